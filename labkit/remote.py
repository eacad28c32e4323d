"""The student's code in one place and the tests in another: what crosses between them is `labkit.codec` bytes.

`Student` holds the answers and does what it is asked; `Link` asks, and stands behind the `Remote` proxies that tests
use in place of the student's functions, classes and objects.
"""

import builtins
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labkit import codec
from labkit.refusals import ReplacedCall
from labkit.session import Session


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
