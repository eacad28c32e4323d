"""One exercise under judgement: its replaced calls refused, the earlier exercises it uses taken from the reference.

Meanwhile the libraries' global settings are their defaults.
"""

import contextlib
import importlib
import types
from collections.abc import Mapping
from typing import Any

from labkit.testing.defaults import default_settings
from labkit.testing.refusals import Guard, namespaces_of


class Session:
    """What `answers` does to one namespace, and how it is undone.

    `lends` maps names to the module that holds the reference of each. Where that is not to be had, `sources` gives it
    as text; a name that is not in it stays the student's.
    """

    def __init__(
        self,
        namespace: dict,
        replaces: Mapping[str, list[str]],
        lends: Mapping[str, str],
        sources: Mapping[str, str] | None = None,
    ):
        self.namespace = namespace
        self.replaces, self.lends, self.sources = replaces, lends, sources
        self.before: dict[str, Any] = {}
        self.guards: list[Guard] = []
        self.not_lent: list[str] = []  # names in `lends` that stayed the student's
        self.settings = contextlib.ExitStack()

    def begin(self) -> None:
        with contextlib.ExitStack() as settings:
            settings.enter_context(default_settings())
            self._begin()
            self.settings = settings.pop_all()

    def _begin(self) -> None:
        for name, module in self.lends.items():
            try:
                reference = self.reference(name, module)
            except (ImportError, AttributeError):
                self.not_lent.append(name)
                continue
            self.before[name] = self.namespace.get(name)
            self.namespace[name] = reference
        for name, calls in self.replaces.items():
            value = self.namespace.get(name)
            if not callable(value):
                continue
            guard = Guard(name, calls)
            self.guards.append(guard)
            self.before[name] = value
            guard.watch([self.namespace, *(n for n in namespaces_of(value) if n is not self.namespace)])
            self.namespace[name] = guard.wrap_class(value) if isinstance(value, type) else guard.wrap(value)
        for guard in self.guards:
            guard.patch_classes()

    def reference(self, name: str, module: str) -> Any:
        if self.sources is None:
            return getattr(importlib.import_module(module), name)
        own = types.ModuleType(module)
        exec(compile(self.sources.get(name, ""), f"<reference {name}>", "exec"), own.__dict__)
        return getattr(own, name)

    def end(self) -> None:
        self.settings.close()
        for guard in reversed(self.guards):
            guard.release()
        for name, value in self.before.items():
            if value is None:
                self.namespace.pop(name, None)
            else:
                self.namespace[name] = value
