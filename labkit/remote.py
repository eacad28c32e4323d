"""The student's code in one place and the tests in another: what crosses between them is `labkit.codec` bytes.

`Student` holds the answers and does what it is asked; `Link` asks, and stands behind the `Remote` proxies that tests
use in place of the student's functions, classes and objects.
"""

import builtins
import dataclasses
import functools
import importlib
import itertools
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from labkit import codec
from labkit.refusals import ReplacedCall
from labkit.session import Session

# Characters of an exception's text that cross.
MAX_MESSAGE = 10_000
MAX_PLACES = 16
# How many items a test takes, one by one, from what the student returned.
MAX_STEPS = 100_000


class StudentError(Exception):
    """An exception on the student's side that has no counterpart here."""


class UnreadableAnswer(StudentError):
    """What the student's side gave is nothing that a test can look at."""


class NoData(UnreadableAnswer, TypeError):
    """A test looked into an object of the student's as if it were data."""

    def __init__(self) -> None:
        super().__init__("the answer is an object that is no data: return numbers, texts, lists, tensors")


# What a student's exception may become on the judge's side; all of them take one text.
_ERRORS: dict[str, type[Exception]] = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, UnicodeError | ExceptionGroup)
} | {"ReplacedCall": ReplacedCall, "CodecError": UnreadableAnswer}


class Student:
    """The student's side: a namespace with their answers, and the objects of theirs that a test holds on to.

    `handle` takes a request and gives a reply, both in `labkit.codec` bytes; it raises only for an interrupt.
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
        return _config_class(self.namespace, name) if name in self.config_names else None

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
        importlib.import_module("labkit.probes")
        return _probes[name](*args, **kwargs)

    def do_begin(self, replaces: dict, parts: dict, sources: dict | None, config_names: list[str]) -> list[str]:
        self.config_names = frozenset(config_names)
        session = Session(self.namespace, replaces, parts, sources)
        self.sessions.append(session)
        session.begin()
        return session.kept

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


def _config_class(namespace: dict, name: str) -> type | None:
    value = namespace.get(name)
    return value if isinstance(value, type) and dataclasses.is_dataclass(value) else None


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


class Link:
    """The judge's side: asks the student's side, through `send`, which carries bytes there and back.

    `reference` gives the source of earlier exercises' names, for a student's side that cannot import it.
    """

    def __init__(self, send: Callable[[bytes], bytes], namespace: dict, reference: Mapping[str, str] | None = None):
        self.send, self.namespace, self.reference = send, namespace, reference
        self.asked = ""  # the student's name that the running test asked for last

    def ask(self, do: str, *arguments: Any) -> Any:
        """The result of a request; what the student's side raised is raised here, with `by_student` set.

        `places` of the exception says where it arose, as the student's side tells it: functions and lines.
        """
        self.asked = _name_in(arguments) or self.asked
        request = codec.encode((do, *arguments), classes=self.config_class, handle=self.handle_of)
        reply = self.send(request)
        try:
            reply = codec.decode(reply, classes=self.config_class, handle=functools.partial(Remote, self))
        except codec.CodecError as error:
            raise UnreadableAnswer(f"the answer cannot be read: {error}") from None
        match reply:
            case ("result", value):
                return value
            case ("error", [*names], str(message), [*places]) if all(type(name) is str for name in names):
                cls = next((_ERRORS[n] for n in names if n in _ERRORS), Exception)
                raised = cls(message) if cls is not Exception else StudentError(f"{(*names, 'error')[0]}: {message}")
                raised.by_student = True  # type: ignore[attr-defined]
                raised.places = places  # type: ignore[attr-defined]
                raise raised
        raise UnreadableAnswer("the answer cannot be read")

    def config_class(self, name: str) -> type | None:
        return _config_class(self.namespace, name)

    def handle_of(self, value: Any) -> str | None:
        return value._handle if type(value) is Remote and value._link is self else None

    def session(self, replaces: Mapping[str, list[str]], parts: Mapping[str, str]) -> "_RemoteSession":
        return _RemoteSession(self, dict(replaces), dict(parts))


def _name_in(arguments: tuple) -> str:
    """The notebook's name that a request is about, where it is about one."""
    for value in arguments:
        if type(value) is Remote and not value._handle.startswith("#"):
            return value._handle.split(".")[0]
        if type(value) is tuple and (name := _name_in(value)):
            return name
    return ""


class _RemoteSession:
    """A `Session` on the student's side."""

    def __init__(self, link: Link, replaces: dict, parts: dict):
        self.link, self.replaces, self.parts = link, replaces, parts
        self.kept: list[str] = []

    def begin(self) -> None:
        self.link.asked = ""
        known = self.link.reference
        sources = None if known is None else {name: known[name] for name in self.parts if name in known}
        names = [name for name in self.link.namespace if self.link.config_class(name)]
        self.kept = self.link.ask("begin", self.replaces, self.parts, sources, names)

    def end(self) -> None:
        self.link.ask("end")


class Remote:
    """Something of the student's, seen from the judge's side: call it, call its methods, iterate over it, pass it on.

    Its attributes are not data: read them through methods (`state_dict`) or `labkit.probes`. It is not compared,
    measured, counted or taken for true or false either, so that no object, however made, satisfies a test.
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
        match self._link.ask("iterate", self):
            case (iterator,):
                pass
            case _:
                raise UnreadableAnswer("the answer cannot be read")
        for _ in range(MAX_STEPS):
            match self._link.ask("next", iterator):
                case (item,):
                    yield item
                case ():
                    return
                case _:
                    raise UnreadableAnswer("the answer cannot be read")
        raise UnreadableAnswer(f"the answer gives more than {MAX_STEPS:,} items, one by one: does it ever end?")

    def __repr__(self) -> str:
        return f"<the student's {self._handle[:100]}>"

    def __format__(self, form: str) -> str:
        if form:
            raise NoData
        return repr(self)

    def _no_data(self, *_: Any) -> NoReturn:
        raise NoData

    __bool__ = __len__ = __contains__ = __getitem__ = __int__ = __index__ = __float__ = __complex__ = _no_data
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _no_data
    __hash__ = object.__hash__


_probes: dict[str, Callable] = {}


def probe(function: Callable) -> Callable:
    """Make a function run where the student's objects are that it is called with."""
    _probes[function.__name__] = function

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        link = next((a._link for a in (*args, *kwargs.values()) if type(a) is Remote), None)
        return function(*args, **kwargs) if link is None else link.ask("probe", function.__name__, args, kwargs)

    return ask
