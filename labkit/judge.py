"""What stands between a test and the code it judges.

A test cell of an assembled notebook ends in `with answers("layer-norm", ...):` and calls its test functions inside.
While that block runs, the student's functions and classes refuse the library calls that the exercise asks them to
write, and the earlier exercises that this one builds on come from the reference, so that a mistake costs its points
once. Outside the student's code nothing is refused: a test may call the very function it compares with.

The same block serves when the student's code sits in another process: then the exercise names are `Remote` proxies,
and the student's side is asked, through `labkit.codec` bytes, to do what `answers` does here (`Student`, `Link`).
"""

import builtins
import dataclasses
import functools
import hashlib
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch.overrides import TorchFunctionMode

from labkit import codec

SEED_VARIABLE = "COURSE_GRADING_SEED"
# Used where nobody grades: in the student's own notebook and in the project's tests.
PRACTICE_SEED = "practice"

_HERE = os.path.dirname(__file__) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep

_cells: list[str] = []
_failed: dict[str, set[str]] = {}


class ReplacedCall(Exception):
    """An answer called the very library function that its exercise asks to write."""


def fresh_seed() -> int:
    """Seed for a hidden test's inputs: new for each submission and test cell, and the same when it is graded again.

    It comes from the grading secret in the environment and the test cell that is running; where nobody grades it is
    a constant of the cell.
    """
    secret = os.environ.get(SEED_VARIABLE, PRACTICE_SEED)
    cell = _cells[-1] if _cells else ""
    return int.from_bytes(hashlib.sha256(f"{secret}:{cell}".encode()).digest()[:4], "big")


# ------------------------------------------------------------------------------------------------------- refusing


class _TorchCalls(TorchFunctionMode):
    """Refuses listed torch operations by name, so that every alias of one is the same operation."""

    def __init__(self, guard: "_Guard"):
        super().__init__()
        self.guard = guard

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if calls := self.guard.operations.get(getattr(func, "__name__", "")):
            # Several listed calls may be one operation: name the one that was made.
            raise self.guard.refusal(next((call for call, made in calls.items() if made == func), min(calls)))
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


class _Guard:
    """Refuses a name's listed calls while it is entered; entering twice is fine."""

    def __init__(self, name: str, calls: Iterable[str]):
        self.name = name
        self.depth = 0
        self.operations: dict[str, dict[str, Any]] = {}  # last part of a torch call -> {the call: its function}
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
        self.modules: dict[str, _StandIn] = {}  # of the listed libraries, by their key in sys.modules
        self.modules_seen = -1
        self.swaps: list[tuple[dict, str, Any, Any]] = []  # namespace, name, its value, the stand-in
        self.undo: list[Callable[[], None]] = []

    def refusal(self, call: str) -> ReplacedCall:
        return ReplacedCall(f"{self.name} calls {call}; this exercise asks you to write what that call does.")

    def in_library(self, value: Any) -> str | None:
        """The listed library that a value comes from, or None."""
        if isinstance(value, functools.partial):
            return self.in_library(value.func)
        if isinstance(value, types.ModuleType):
            home = value.__name__
        elif isinstance(named := getattr(value, "__module__", None), str):
            home = named
        else:  # a bound method of a compiled class says nothing of its module
            owner = getattr(value, "__self__", value)
            home = str(getattr(owner, "__module__", None) or type(owner).__module__)
        package = home.split(".")[0]
        return package if package in self.libraries else None

    def stand_in(self, value: Any) -> Any:
        """What takes the place of a value while the guard is entered: itself, unless it leads to a listed library.

        A function leads there by its closure or a default; a container is copied with stand-ins inside.
        """
        inside: Iterable = ()
        if isinstance(value, types.FunctionType):
            cells = [c.cell_contents for c in value.__closure__ or () if c != types.CellType()]
            inside = [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        package = next((p for v in (value, *inside) if (p := self.in_library(v))), None)
        if package:
            return _StandIn(package, functools.partial(self.refusal, self.libraries[package]))
        if type(value) is dict and any(map(self.in_library, value.values())):
            return {k: self.stand_in(v) for k, v in value.items()}
        if type(value) in (list, tuple) and any(map(self.in_library, value)):
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
    return cls.__module__ != "__main__" and (file is None or _is_library_file(file))


def _namespaces(value: Any) -> list[dict]:
    """Global namespaces that a student's function or class runs in."""
    functions = [value] if isinstance(value, types.FunctionType) else []
    if isinstance(value, type):
        for cls in value.__mro__:
            if not _is_library(cls):
                functions += [f for f in vars(cls).values() if isinstance(f, types.FunctionType)]
    return list({id(f.__globals__): f.__globals__ for f in functions}.values())


# -------------------------------------------------------------------------------------------------------- answers


class Session:
    """What `answers` does to one namespace, and how it is undone."""

    def __init__(self, namespace: dict, replaces: Mapping[str, list[str]], parts: Mapping[str, str]):
        self.namespace = namespace
        self.replaces, self.parts = replaces, parts
        self.before: dict[str, Any] = {}
        self.guards: list[_Guard] = []
        self.kept: list[str] = []  # parts that stayed the student's

    def begin(self) -> None:
        for name, module in self.parts.items():
            try:
                reference = getattr(importlib.import_module(module), name)
            except (ImportError, AttributeError):
                self.kept.append(name)
                continue
            self.before[name] = self.namespace.get(name)
            self.namespace[name] = reference
        for name, calls in self.replaces.items():
            value = self.namespace.get(name)
            if not callable(value):
                continue
            guard = _Guard(name, calls)
            self.guards.append(guard)
            self.before[name] = value
            guard.watch([self.namespace, *(n for n in _namespaces(value) if n is not self.namespace)])
            self.namespace[name] = guard.wrap_class(value) if isinstance(value, type) else guard.wrap(value)
        for guard in self.guards:
            guard.patch_classes()

    def end(self) -> None:
        for guard in reversed(self.guards):
            guard.release()
        for name, value in self.before.items():
            if value is None:
                self.namespace.pop(name, None)
            else:
                self.namespace[name] = value


class answers:
    """Judge an exercise's answers for the duration of a `with` block.

    `exercise` is its id and `cell` the test cell's. `replaces` maps each name that the exercise defines to the calls
    it may not make; `parts` maps names of earlier exercises to the module with their reference.
    """

    def __init__(
        self,
        exercise: str,
        *,
        cell: str | None = None,
        replaces: Mapping[str, list[str]] | None = None,
        parts: Mapping[str, str] | None = None,
    ):
        self.exercise, self.cell = exercise, cell or exercise
        namespace = sys._getframe(1).f_globals
        link = next((v._link for v in list(namespace.values()) if type(v) is Remote), None)
        self.session = (link.session if link else functools.partial(Session, namespace))(replaces or {}, parts or {})

    def __enter__(self) -> None:
        self.session.begin()
        _cells.append(self.cell)

    def __exit__(self, kind, error, trace) -> None:
        _cells.pop()
        self.session.end()
        failures = _failed.setdefault(self.exercise, set())
        if error is None:
            failures.discard(self.cell)
            return
        failures.add(self.cell)
        error.__traceback__ = _shortened(trace, isinstance(error, ReplacedCall))
        first = [e for e, cells in _failed.items() if cells and e != self.exercise]
        if first and (self.session.kept or self.exercise == "integration"):
            error.add_note(f"This test also uses your answer to {first[0]}, whose own test fails: fix that first.")


def _shortened(trace: types.TracebackType | None, to_the_end: bool) -> types.TracebackType | None:
    """A traceback with the notebook's own steps: what libraries do between them, or after them, says nothing new."""
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    files = [step.tb_frame.f_code.co_filename for step in steps]
    last = max((n for n, file in enumerate(files) if not _is_library_file(file)), default=-1)
    kept = [
        step
        for n, (step, file) in enumerate(zip(steps, files, strict=True))
        if not _is_library_file(file) or (n > last and not to_the_end and not file.startswith(_HERE))
    ]
    shortened = None
    for step in reversed(kept):
        shortened = types.TracebackType(shortened, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shortened


def _is_library_file(name: str) -> bool:
    return "site-packages" in name or name.startswith((_STANDARD_LIBRARY, _HERE, "<frozen"))


# ----------------------------------------------------------------------------------------------- in two processes


class StudentError(Exception):
    """An exception on the student's side that has no counterpart here, or an answer that cannot be read."""


# What a student's exception may become on the judge's side; all of them take one text.
_ERRORS: dict[str, type[Exception]] = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, UnicodeError | ExceptionGroup)
} | {"ReplacedCall": ReplacedCall}


class Student:
    """The student's side: a namespace with their answers, and the objects of theirs that a test holds on to.

    `handle` takes a request and gives a reply, both in `labkit.codec` bytes; it raises only for an interrupt.
    """

    def __init__(self, namespace: dict):
        self.namespace = namespace
        self.held: dict[str, Any] = {}
        self.sessions: list[Session] = []

    def handle(self, request: bytes) -> bytes:
        """Do what a request asks: call, iterate, take the next item, probe, begin or end a session."""
        try:
            do, *arguments = codec.decode(request, classes=self.config_class, handle=self.find)
            reply = getattr(self, f"do_{do}")(*arguments)
            return self.encoded(("result", reply))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit too: a student's exit() ends the call, not the judging.
            names = [cls.__name__ for cls in type(error).__mro__]
            return codec.encode(("error", names, str(error)))

    def encoded(self, value: Any) -> bytes:
        return codec.encode(value, classes=self.config_class, handle=self.hold)

    def config_class(self, name: str) -> type | None:
        value = self.namespace.get(name)
        return value if isinstance(value, type) and dataclasses.is_dataclass(value) else None

    def hold(self, value: Any) -> str:
        """A handle for an object: the same object keeps its handle."""
        for key, known in self.held.items():
            if known is value:
                return key
        key = f"#{len(self.held)}"
        self.held[key] = value
        return key

    def find(self, handle: str) -> Any:
        """The object of a handle: a held one or a name of the notebook, then attributes."""
        root, *attributes = handle.split(".")
        if root.startswith("#"):
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
        importlib.import_module("labkit.probes")
        return _probes[name](*args, **kwargs)

    def do_begin(self, replaces: dict, parts: dict) -> list[str]:
        session = Session(self.namespace, replaces, parts)
        self.sessions.append(session)
        session.begin()
        return session.kept

    def do_end(self) -> None:
        self.sessions.pop().end()


class Link:
    """The judge's side: asks the student's side, through `send`, which carries bytes there and back."""

    def __init__(self, send: Callable[[bytes], bytes], namespace: dict):
        self.send, self.namespace = send, namespace

    def ask(self, do: str, *arguments: Any) -> Any:
        """The result of a request; what the student's side raised is raised here."""
        request = codec.encode((do, *arguments), classes=self.config_class, handle=self.handle_of)
        reply = codec.decode(self.send(request), classes=self.config_class, handle=functools.partial(Remote, self))
        match reply:
            case ("result", value):
                return value
            case ("error", [*names], str(message)):
                cls = next((_ERRORS[n] for n in names if n in _ERRORS), Exception)
                if cls is Exception:
                    raise StudentError(f"{names[0] if names else 'error'}: {message}")
                raise cls(message)
        raise StudentError("the answer cannot be read")

    def config_class(self, name: str) -> type | None:
        value = self.namespace.get(name)
        return value if isinstance(value, type) and dataclasses.is_dataclass(value) else None

    def handle_of(self, value: Any) -> str | None:
        return value._handle if type(value) is Remote and value._link is self else None

    def session(self, replaces: Mapping[str, list[str]], parts: Mapping[str, str]) -> "_RemoteSession":
        return _RemoteSession(self, dict(replaces), dict(parts))


class _RemoteSession:
    """A `Session` on the student's side."""

    def __init__(self, link: Link, replaces: dict, parts: dict):
        self.link, self.replaces, self.parts = link, replaces, parts
        self.kept: list[str] = []

    def begin(self) -> None:
        self.kept = self.link.ask("begin", self.replaces, self.parts)

    def end(self) -> None:
        self.link.ask("end")


class Remote:
    """Something of the student's, seen from the judge's side: call it, call its methods, iterate over it, pass it on.

    Its attributes are not data: read them through methods (`state_dict`) or `labkit.probes`.
    """

    __slots__ = ("_handle", "_link")

    def __init__(self, link: Link, handle: str):
        self._link, self._handle = link, handle

    def __getattr__(self, name: str) -> "Remote":
        if name.startswith("__"):
            raise AttributeError(name)
        return Remote(self._link, f"{self._handle}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.ask("call", self, args, kwargs)

    def __iter__(self):
        (iterator,) = self._link.ask("iterate", self)
        while item := self._link.ask("next", iterator):
            yield item[0]

    def __repr__(self) -> str:
        return f"<the student's {self._handle}>"


_probes: dict[str, Callable] = {}


def probe(function: Callable) -> Callable:
    """Make a function run where the student's objects are that it is called with."""
    _probes[function.__name__] = function

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        link = next((a._link for a in (*args, *kwargs.values()) if type(a) is Remote), None)
        return function(*args, **kwargs) if link is None else link.ask("probe", function.__name__, args, kwargs)

    return ask
