"""The judge's end of the wire between tests and a student's code: what crosses is `labkit.testing.codec` bytes.

`Link` asks the student's end (`labkit.testing.student`), and stands behind the `Remote` proxies that tests use in place
of the student's functions, classes and objects.
"""

import builtins
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from labkit.testing import codec
from labkit.testing.refusals import ReplacedCall

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


def config_class(namespace: dict, name: str) -> type | None:
    """The dataclass of a name, if it is bound to one: such objects cross as data."""
    value = namespace.get(name)
    return value if isinstance(value, type) and dataclasses.is_dataclass(value) else None


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
            reply = codec.decode(reply, classes=self.config_class, handle=self._held)
        except codec.CodecError as error:
            raise UnreadableAnswer(f"the answer cannot be read: {error}") from None
        match reply:
            case ("result", value):
                return value
            case ("error", [*names], str(message), [*places]) if all(type(name) is str for name in names):
                names, message = [*map(codec.without_surrogates, names)], codec.without_surrogates(message)
                cls = next((_ERRORS[n] for n in names if n in _ERRORS), Exception)
                raised = cls(message) if cls is not Exception else StudentError(f"{(*names, 'error')[0]}: {message}")
                raised.by_student = True  # type: ignore[attr-defined]
                raised.places = places  # type: ignore[attr-defined]
                raise raised
        raise UnreadableAnswer("the answer cannot be read")

    def config_class(self, name: str) -> type | None:
        return config_class(self.namespace, name)

    def _held(self, handle: str, iterator: str = "") -> "Held":
        """An object that the student's side holds: its handle is a number, as a name could tell a test's input on.

        `iterator` is the name of its type if it is an iterator.
        """
        if re.fullmatch(r"#[0-9]{1,9}", handle) is None:
            raise codec.CodecError("an object in it has a name in place of a number")
        return (_iterators(iterator) if iterator else Remote)(self, handle)

    def handle_of(self, value: Any) -> str | None:
        return value._handle if isinstance(value, Held) and value._link is self else None

    def session(self, replaces: Mapping[str, list[str]], lends: Mapping[str, str]) -> "RemoteSession":
        return RemoteSession(self, dict(replaces), dict(lends))


def _name_in(arguments: tuple) -> str:
    """The notebook's name that a request is about, where it is about one."""
    for value in arguments:
        if isinstance(value, Held) and not value._handle.startswith("#"):
            return value._handle.split(".")[0]
        if type(value) is tuple and (name := _name_in(value)):
            return name
    return ""


class RemoteSession:
    """A `Session` on the student's side."""

    def __init__(self, link: Link, replaces: dict, lends: dict):
        self.link, self.replaces, self.lends = link, replaces, lends
        self.not_lent: list[str] = []

    def begin(self) -> None:
        self.link.asked = ""
        known = self.link.reference
        sources = None if known is None else {name: known[name] for name in self.lends if name in known}
        names = [name for name in self.link.namespace if self.link.config_class(name)]
        self.not_lent = self.link.ask("begin", self.replaces, self.lends, sources, names)

    def end(self) -> None:
        self.link.ask("end")


class Held:
    """Something that the student's side holds, by its handle."""

    __slots__ = ("_handle", "_link")

    def __init__(self, link: Link, handle: str):
        self._link, self._handle = link, handle

    def _steps(self) -> Iterator[Any]:
        """Its items, one by one, as iterating over it on the student's side gives them; not without end."""
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


class RemoteIterator(Held):
    """An iterator of Python's own that an answer returned; its class has the name of the iterator's (`_iterators`).

    A test can take its items, and name it in place of what was wanted. Else it is the plain object that it is where no
    process lies between: equal to nothing, of no length, without items by number.
    """

    __slots__ = ("_items",)

    def __init__(self, link: Link, handle: str):
        super().__init__(link, handle)
        self._items = self._steps()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"


@functools.cache
def _iterators(name: str) -> type[RemoteIterator]:
    """The class of the iterators whose type has a name in `codec.ITERATORS`."""
    return type(name, (RemoteIterator,), {"__slots__": (), "__module__": codec.ITERATORS[name].__module__})


class Remote(Held):
    """Something of the student's, seen from the judge's side: call it, call its methods, iterate over it, pass it on.

    Its attributes are not data: read them through methods (`state_dict`) or `labkit.testing.probes`. It is not
    compared, measured, counted or taken for true or false either, so that no object, however made, satisfies a test.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> "Remote":
        if name.startswith("__"):
            raise AttributeError(name)
        return Remote(self._link, f"{self._handle}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.ask("call", self, args, kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self._steps()

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


def probe(function: Callable) -> Callable:
    """Make a function run where the student's objects are that it is called with."""

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        link = next((a._link for a in (*args, *kwargs.values()) if isinstance(a, Held)), None)
        return function(*args, **kwargs) if link is None else link.ask("probe", function.__name__, args, kwargs)

    return ask
