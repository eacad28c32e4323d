"""The student's end of the wire: a namespace with their answers, which does what the tests' end asks of it."""

import itertools
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from labkit.testing import codec, probes
from labkit.testing.link import config_class
from labkit.testing.session import Session

# Characters of an exception's text that cross.
MAX_MESSAGE = 10_000
MAX_PLACES = 16


class Student:
    """The student's side: a namespace with their answers, and the objects of theirs that a test holds on to.

    `handle` takes a request and gives a reply, both in `labkit.testing.codec` bytes; it raises only for an interrupt.
    """

    def __init__(self, namespace: dict):
        self.namespace = namespace
        self.held: dict[str, Any] = {}
        self.handles = itertools.count()
        self.sessions: list[Session] = []
        self.config_names: frozenset[str] = frozenset()  # the config dataclasses that the judge has too
        self.snapshots: dict[str, dict] = {}

    def handle(self, request: bytes) -> bytes:
        """Do what a request asks: the methods here whose names begin with `do_`."""
        try:
            do, *arguments = codec.decode(request, classes=self.config_class, handle=self.find)
            reply = getattr(self, f"do_{do}")(*arguments)
            return self.encoded(("result", reply))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit too: a student's exit() ends the call, not the judging.
            return codec.encode(("error", *_described(error), _places(error)))

    def encoded(self, value: Any) -> bytes:
        return codec.encode(value, classes=self.config_class, handle=self.hold)

    def config_class(self, name: str) -> type | None:
        # A dataclass that the judge lacks, such as one that needs an answer to be defined, crosses as a handle.
        return config_class(self.namespace, name) if name in self.config_names else None

    def hold(self, value: Any) -> str:
        """A handle for an object: the same object keeps its handle."""
        for key, known in self.held.items():
            if known is value:
                return key
        # A number is never used again, so that what a test kept of an earlier one cannot become another object.
        key = f"#{next(self.handles)}"
        self.held[key] = value
        return key

    def find(self, handle: str) -> Any:
        """The object of a handle: a held one or a name of the notebook, then attributes."""
        root, *attributes = handle.split(".")
        if root.startswith("#"):
            if root not in self.held:
                raise LookupError("an object of an earlier test is gone")
            value = self.held[root]
        elif root in self.namespace:
            value = self.namespace[root]
        else:
            raise NameError(f"name '{root}' is not defined")
        for attribute in attributes:
            value = getattr(value, attribute)
        return value

    def do_call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        return function(*args, **kwargs)

    def do_iterate(self, value: Iterable) -> Any:
        return (iter(value),)

    def do_next(self, iterator: Any) -> tuple:
        try:
            return (next(iterator),)
        except StopIteration:
            return ()

    def do_probe(self, name: str, args: tuple, kwargs: dict) -> Any:
        return getattr(probes, name)(*args, **kwargs)

    def do_begin(self, replaces: dict, lends: dict, sources: dict | None, config_names: list[str]) -> list[str]:
        self.config_names = frozenset(config_names)
        session = Session(self.namespace, replaces, lends, sources)
        self.sessions.append(session)
        session.begin()
        return session.not_lent

    def do_end(self) -> None:
        self.sessions.pop().end()
        if not self.sessions:
            self.held.clear()

    def do_snapshot(self, name: str) -> None:
        """Remember which names there are and what they are bound to."""
        self.snapshots[name] = dict(self.namespace)

    def do_restore(self, name: str) -> None:
        """Bind all names as they were at a snapshot; what is bound to them stays as it is now."""
        snapshot = self.snapshots[name]
        for gone in self.namespace.keys() - snapshot.keys():
            del self.namespace[gone]
        self.namespace.update(snapshot)


def _described(error: BaseException) -> tuple[list[str], str]:
    """The names of an exception's classes and its text, as far as a student's own class gives one."""
    names = [cls.__name__ for cls in type(error).__mro__]
    try:
        return names, str(error)[:MAX_MESSAGE]
    except BaseException:
        return names, ""


def _places(error: BaseException) -> list[tuple[str, int]]:
    """The innermost functions that an exception passed, and the line in each, the outermost first."""
    frames = list(traceback.walk_tb(error.__traceback__))[-MAX_PLACES:]
    return [(frame.f_code.co_name, line or 0) for frame, line in frames]
