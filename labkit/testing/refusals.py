"""Library calls that an answer may not make: they are refused while the student's code runs, and only then.

Each exercise lists the calls that it asks the student to write. A torch operation is refused by name, so that every
alias of it is; a whole library is refused wherever the student's code reaches it: imports, globals, defaults, closures.
"""

import functools
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NoReturn

import torch
from torch.overrides import TorchFunctionMode

LABKIT = os.path.dirname(os.path.dirname(__file__)) + os.sep
STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
# How far into a list, tuple or dict of the notebook's is looked for a library: it is looked at before each test.
MAX_LOOKED_AT = 1000


class ReplacedCall(Exception):
    """An answer called the very library function that its exercise asks to write."""


def refusal(name: str, call: str) -> str:
    """The sentence that says why an answer is refused."""
    return f"{name} calls {call}; this exercise asks you to write what that call does."


class _TorchCalls(TorchFunctionMode):
    """Refuses listed torch operations by name, so that every alias of one is the same operation."""

    def __init__(self, guard: "Guard"):
        super().__init__()
        self.guard = guard

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if calls := self.guard.operations.get(getattr(func, "__name__", "")):
            # Several listed calls may be one operation, or lead to it: name the one that was made.
            made = next((call for call, made in calls.items() if made == func), min(calls))
            raise self.guard.refusal(self.guard.running() or made)
        return func(*args, **(kwargs or {}))


class _StandIn(types.ModuleType):
    """Takes a refused library's place in `sys.modules` and in globals; any use of it is refused."""

    def __init__(self, name: str, refusal: Callable[[], ReplacedCall]):
        super().__init__(name)
        self.__dict__["_refusal"] = refusal

    def __getattr__(self, name: str):
        # Introspection walks sys.modules and asks each module for such names; an import asks for the path.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        raise self.__dict__["_refusal"]()

    def __call__(self, *args, **kwargs):
        raise self.__dict__["_refusal"]()


class Guard:
    """Refuses a name's listed calls while it is entered; entering twice is fine."""

    def __init__(self, name: str, calls: Iterable[str]):
        self.name = name
        self.depth = 0
        self.operations: dict[str, dict[str, Any]] = {}  # last part of a torch call -> {the call: its function}
        self.functions: dict[types.CodeType, str] = {}  # of torch calls that are written in Python
        self.classes: dict[type, str] = {}
        self.libraries: dict[str, str] = {}  # top-level package -> the call
        for call in calls:
            if call.split(".")[0] != "torch":
                self.libraries[call.split(".")[0]] = call
                continue
            target = _resolve(call)
            if isinstance(target, type):
                self.classes[target] = call
            else:
                self.operations.setdefault(call.rsplit(".", 1)[-1], {})[call] = target
                if isinstance(target, types.FunctionType):
                    self.functions[inspect.unwrap(target).__code__] = call
        self.modules: dict[str, _StandIn] = {}  # of the listed libraries, by their key in sys.modules
        self.modules_seen = -1
        self.swaps: list[tuple[dict, str, Any, Any]] = []  # namespace, name, its value, the stand-in
        self.undo: list[Callable[[], None]] = []

    def refusal(self, call: str) -> ReplacedCall:
        return ReplacedCall(refusal(self.name, call))

    def running(self) -> str | None:
        """The listed call written in Python that is being run, the outermost one, as that is what was called."""
        found, frame = None, inspect.currentframe()
        while frame:
            found, frame = self.functions.get(frame.f_code, found), frame.f_back
        return found

    def in_library(self, value: Any) -> str | None:
        """The listed library that a value comes from, or None."""
        try:
            package = _home(value).split(".")[0]
        except Exception:  # a weak reference to what is gone, or a class of the student's that raises when asked
            return None
        return package if package in self.libraries else None

    def stand_in(self, value: Any) -> Any:
        """What takes the place of a value while the guard is entered: itself, unless it leads to a listed library.

        A function leads there by its closure or a default; a container is copied with stand-ins inside.
        """
        inside: Iterable = ()
        if type(value) is types.FunctionType:
            cells = [c.cell_contents for c in value.__closure__ or () if c != types.CellType()]
            inside = [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        package = next((p for v in (value, *inside) if (p := self.in_library(v))), None)
        if package:
            return _StandIn(package, functools.partial(self.refusal, self.libraries[package]))
        if type(value) is dict and any(map(self.in_library, islice(value.values(), MAX_LOOKED_AT))):
            return {k: self.stand_in(v) for k, v in value.items()}
        if type(value) in (list, tuple) and any(map(self.in_library, islice(value, MAX_LOOKED_AT))):
            return type(value)(map(self.stand_in, value))
        return value

    def watch(self, namespaces: Iterable[dict]) -> None:
        """Find what the namespaces hold of the listed libraries; it is swapped while the guard is entered."""
        if not self.libraries:
            return
        for namespace in namespaces:
            for name, value in list(namespace.items()):
                if (stand_in := self.stand_in(value)) is not value:
                    self.swaps.append((namespace, name, value, stand_in))

    def patch_classes(self) -> None:
        """Make listed torch classes refuse to be built or called while the guard is entered."""
        for cls, call in self.classes.items():
            for method in ("__init__", "forward"):
                original = inspect.getattr_static(cls, method, None)
                if not isinstance(original, types.FunctionType):
                    continue
                own = method in vars(cls)
                setattr(cls, method, self.refusing(original, call))
                restore = functools.partial(setattr, cls, method, original)
                self.undo.append(restore if own else functools.partial(delattr, cls, method))

    def refusing(self, original: Callable, call: str) -> Callable:
        @functools.wraps(original)
        def refuse(*args, **kwargs):
            if self.depth:
                raise self.refusal(call)
            return original(*args, **kwargs)

        return refuse

    def find_modules(self) -> None:
        """Prepare a stand-in for each module of the listed libraries; looked up again only when modules were added."""
        self.modules_seen = len(sys.modules)
        for package, call in self.libraries.items():
            for key in [package, *(k for k in sys.modules if k.startswith(package + "."))]:
                if key not in self.modules:
                    self.modules[key] = _StandIn(key, functools.partial(self.refusal, call))

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth > 1:
            return
        if self.operations:
            self.mode = _TorchCalls(self)
            self.mode.__enter__()
        self.saved = {}
        if self.libraries and self.modules_seen != len(sys.modules):
            self.find_modules()
        for key, stand_in in self.modules.items():
            self.saved[key] = sys.modules.get(key)
            sys.modules[key] = stand_in
        for namespace, name, value, stand_in in self.swaps:
            if namespace.get(name) is value:
                namespace[name] = stand_in

    def __exit__(self, *error) -> None:
        self.depth -= 1
        if self.depth:
            return
        for namespace, name, value, stand_in in self.swaps:
            if namespace.get(name) is stand_in:
                namespace[name] = value
        for key, module in self.saved.items():
            if module is None:
                sys.modules.pop(key, None)
            else:
                sys.modules[key] = module
        if self.operations:
            self.mode.__exit__(None, None, None)

    def refuse(self, call: str, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.refusal(call)

    # -- wrapping what the student wrote

    def wrap(self, function: Callable) -> Callable:
        """The same function, guarded; a generator is guarded at every step."""
        if (stand_in := self.stand_in(function)) is not function:
            return stand_in

        @functools.wraps(function)
        def guarded(*args, **kwargs):
            with self:
                result = function(*args, **kwargs)
            return self.steps(result) if isinstance(result, types.GeneratorType) else result

        return guarded

    def steps(self, generator: types.GeneratorType):
        """The same generator, guarded whenever it runs and only then."""
        resume: Callable = generator.send
        value: Any = None
        while True:
            with self:
                try:
                    item = resume(value)
                except StopIteration as stop:
                    return stop.value
            try:
                resume, value = generator.send, (yield item)
            except GeneratorExit:
                with self:
                    generator.close()
                raise
            except BaseException as error:
                resume, value = generator.throw, error

    def wrap_class(self, cls: type) -> type:
        """Guard a class's methods in place, so that identity, `super()` and `isinstance` stay what they were."""
        for base in cls.__mro__:
            call = self.classes.get(base) or self.libraries.get(self.in_library(base) or "")
            if call:
                return type(cls.__name__, (), {"__new__": functools.partial(self.refuse, call)})
        seen: set[str] = set()
        for ancestor in cls.__mro__:
            if ancestor in (object, torch.nn.Module):
                continue
            for name, value in list(vars(ancestor).items()):
                guarded = self.wrap_member(value)
                if guarded is None or name in seen or name in ("__new__", "__init_subclass__", "__class_getitem__"):
                    continue
                seen.add(name)
                try:
                    setattr(ancestor if not _is_library(ancestor) else cls, name, guarded)
                except TypeError:  # a built-in class
                    continue
                if _is_library(ancestor):
                    self.undo.append(functools.partial(delattr, cls, name))
                else:
                    self.undo.append(functools.partial(setattr, ancestor, name, value))
        return cls

    def wrap_member(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType):
            return self.wrap(value)
        if isinstance(value, staticmethod | classmethod) and isinstance(value.__func__, types.FunctionType):
            return type(value)(self.wrap(value.__func__))
        if isinstance(value, property):
            get, put, remove = (f and self.wrap(f) for f in (value.fget, value.fset, value.fdel))
            return property(get, put, remove, value.__doc__)
        return None

    def release(self) -> None:
        for undo in reversed(self.undo):
            undo()
        self.undo.clear()


def _home(value: Any) -> str:
    """The module that a value comes from, dotted."""
    if isinstance(value, functools.partial):
        return _home(value.func)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(named := getattr(value, "__module__", None), str):
        return named
    # A bound method of a compiled class says nothing of its module.
    owner = getattr(value, "__self__", value)
    return str(getattr(owner, "__module__", None) or type(owner).__module__)


def _resolve(dotted: str) -> Any:
    """The object that a dotted torch path names."""
    value: Any = importlib.import_module("torch")
    for part in dotted.split(".")[1:]:
        try:
            value = getattr(value, part)
        except AttributeError:
            raise ValueError(f"replaces names {dotted}, which this torch does not have; correct it") from None
    return value


def _is_library(cls: type) -> bool:
    """Whether a class comes from an installed package rather than from a notebook or this project."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return cls.__module__ != "__main__" and (file is None or is_library_file(file))


def namespaces_of(value: Any) -> list[dict]:
    """Global namespaces that a student's function or class runs in."""
    functions = [value] if isinstance(value, types.FunctionType) else []
    if isinstance(value, type):
        for cls in value.__mro__:
            if not _is_library(cls):
                functions += [f for f in vars(cls).values() if isinstance(f, types.FunctionType)]
    return list({id(f.__globals__): f.__globals__ for f in functions}.values())


def is_library_file(name: str) -> bool:
    """Whether a file of code is a library's, this one included, rather than a notebook's or the project's."""
    return "site-packages" in name or name.startswith((STANDARD_LIBRARY, LABKIT, "<frozen"))
