"""Bytes for the data that crosses between a test and the code it judges.

Data is None, bool, int, float, str, bytes, list, tuple, set, frozenset, dict with any hashable of these as keys,
tensors, torch dtypes, and config dataclasses (by name and fields); further what answers often give in place of these,
so that a test can name it: numpy arrays and scalars, bytearray, Fraction and Decimal, ranges and a dict's views. What
else a student's side holds, such as a module, crosses as a handle: a text that only that side can turn back into the
object. An iterator is such an object, as it may never end; its type's name crosses beside its handle. Nothing is
pickled, and reading a message runs no code but the reader's own dataclass constructors, so a student's bytes can be
read anywhere.

A message is the length of its JSON part (8 bytes, little-endian), the JSON, and its tensors in safetensors format. In
the JSON, None, booleans, texts, finite floats, ints below 2**63 and lists stand for themselves; everything else is an
object with one key that says what it is.
"""

import base64
import binascii
import dataclasses
import itertools
import json
import math
import types
from collections import Counter
from collections.abc import Callable, Collection, ItemsView, Iterable, KeysView, ValuesView
from decimal import Decimal
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

MAX_DEPTH = 64
MAX_ITEMS = 2_000_000
MAX_BYTES = 256 * 2**20
# Of the JSON part: a text of one odd character takes four bytes for each of its others once it is read.
MAX_JSON = 64 * 2**20
MAX_TENSORS = 10_000
# Python itself writes out no int that is much longer.
MAX_INT_BITS = 14_000
# Digits of a Decimal, and of the whole number that it would be.
MAX_DIGITS = 4_000
# Only numbers beyond 64 bits, and fractions, can be made to share one hash by the thousand.
MAX_LARGE = 10_000
# Comparisons of keys with the same hash that reading a set or dict may cost.
MAX_COLLISIONS = 1_000_000

_HEAD = 8
# Sets and dicts grow by so many items at a time: keys made to collide then cannot keep a reader from an alarm for long.
_STEP = 1000
# What JSON brings as it is.
_PLAIN = frozenset((int, str, bool, type(None)))
# Those that are no subclass of Python's own numbers.
_SCALARS = frozenset(
    ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32")
)
_DTYPES = {str(d).removeprefix("torch."): d for d in vars(torch).values() if isinstance(d, torch.dtype)}

_EMPTY: dict[Any, Any] = {}
_KEYS, _VALUES, _ITEMS = type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items())
_BUILT_IN: tuple[Iterable[Any], ...] = ([], (), set(), "", b"", _EMPTY, _EMPTY.values(), _EMPTY.items(), range(0))
ITERATORS: dict[str, type] = {
    iterator.__name__: iterator
    for iterator in (
        *(types.GeneratorType, enumerate, filter, map, reversed, zip),
        *(type(iter(items)) for items in _BUILT_IN),
        *(type(reversed([])), type(iter(int, 0))),
        *(kind for kind in vars(itertools).values() if hasattr(kind, "__next__")),
    )
}
"""Python's own iterators by their names. No other names cross: one that the student chose could tell a test's input."""

Classes = Callable[[str], type | None]


class CodecError(ValueError):
    """A value that cannot be sent, or bytes that are no message."""


class _HandleError(Exception):
    """What the reader's own `handle` raised, which says nothing against the message."""

    def __init__(self, error: Exception):
        self.error = error


def no_classes(name: str) -> None:
    """The registry of a side that knows no config dataclass."""


# ------------------------------------------------------------------------------------------------------------ writing


def encode(value: Any, *, classes: Classes = no_classes, handle: Callable[[Any], str | None] | None = None) -> bytes:
    """The bytes of a value.

    `classes` gives this side's config dataclass of a name; `handle` gives the handle of an object that is no data.
    Subclasses of the listed types travel as their base. Raises CodecError for anything else.
    """
    writer = _Writer(classes, handle)
    text = json.dumps(writer.tree(value, 0), separators=(",", ":"), allow_nan=False).encode("ascii")
    _bound(text)
    message = len(text).to_bytes(_HEAD, "little") + text
    if writer.tensors:
        message += safetensors.torch.save(writer.tensors)
    if len(message) > MAX_BYTES:
        raise CodecError(f"a value of {len(message):,} bytes is more than the {MAX_BYTES:,} that may be sent")
    return message


def _bound(text: bytes) -> None:
    """Refuse a JSON text that would take much memory to read: each item in it costs a sign, as a text's commas do."""
    if len(text) > MAX_JSON:
        raise CodecError(f"{len(text):,} bytes of texts and numbers are more than the {MAX_JSON:,} that may be sent")
    if sum(map(text.count, (b",", b"[", b"{"))) > 2 * MAX_ITEMS + MAX_DEPTH:
        raise CodecError(f"a value of more than {MAX_ITEMS:,} items cannot be sent; send a tensor")


class _Writer:
    def __init__(self, classes: Classes, handle: Callable[[Any], str | None] | None):
        self.classes, self.handle = classes, handle
        self.tensors: dict[str, Tensor] = {}
        self.items = 0

    def tree(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is int and -(2**63) < value < 2**63:
            return value
        if value is None or kind is bool:
            return value
        if depth > MAX_DEPTH:
            raise CodecError(f"a value nested deeper than {MAX_DEPTH} levels, or inside itself, cannot be sent")
        if isinstance(value, str):
            return _write_text(str(value))
        if isinstance(value, float):
            value = float(value)
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            value = int(value)
            if value.bit_length() > MAX_INT_BITS:
                raise CodecError(f"a whole number of more than {MAX_INT_BITS:,} bits cannot be sent")
            return value if -(2**63) < value < 2**63 else {"int": hex(value)}
        if isinstance(value, bytes | bytearray):
            kind_name = "bytes" if isinstance(value, bytes) else "bytearray"
            return {kind_name: base64.b64encode(value).decode("ascii")}
        if isinstance(value, Fraction):
            return {"fraction": [self.tree(part, depth + 1) for part in (value.numerator, value.denominator)]}
        if isinstance(value, Decimal):
            return {"decimal": _write_decimal(value)}
        if isinstance(value, np.ndarray):
            return {"array": self.tensor(_as_tensor(value))}
        if isinstance(value, np.generic) and value.dtype.name in _SCALARS:
            return {"scalar": [value.dtype.name, self.tree(value.item(), depth + 1)]}
        if isinstance(value, list):
            return self.row(value, depth)
        if isinstance(value, tuple):
            return {"tuple": self.row(value, depth)}
        if isinstance(value, set):
            return {"set": self.row(value, depth)}
        if isinstance(value, frozenset):
            return {"frozenset": self.row(value, depth)}
        if isinstance(value, dict):
            return {"dict": [self.row(value.keys(), depth), self.row(value.values(), depth)]}
        if isinstance(value, _KEYS):
            return {"dict_keys": self.row(value, depth)}
        if isinstance(value, _VALUES):
            return {"dict_values": self.row(value, depth)}
        if isinstance(value, _ITEMS):
            return {"dict_items": [self.row([key for key, _ in value], depth), self.row([v for _, v in value], depth)]}
        if kind is range:
            self.count(value[: MAX_ITEMS + 1])  # which takes no time, and len() knows no longer ones
            return {"range": [self.tree(part, depth + 1) for part in (value.start, value.stop, value.step)]}
        if isinstance(value, Tensor):
            return {"tensor": self.tensor(value)}
        if kind is torch.dtype:
            return {"dtype": str(value).removeprefix("torch.")}
        if dataclasses.is_dataclass(kind) and self.classes(kind.__name__) is not None:
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
            return {"config": [kind.__name__, {k: self.tree(v, depth + 1) for k, v in fields.items()}]}
        name = self.handle(value) if self.handle else None
        if name is None:
            raise CodecError(
                f"{_described(value)} cannot be sent; tests and answers exchange numbers, texts, bytes, lists, tuples, "
                "sets, dicts, tensors and config dataclasses"
            )
        return {"iterator": [name, kind.__name__]} if ITERATORS.get(kind.__name__) is kind else {"handle": name}

    def row(self, values: Collection, depth: int) -> Any:
        """A container's items. Token ids, texts and pairs of ids come in thousands, so rows of them are taken whole."""
        self.count(values)
        if _stands_for_itself(values):
            return list(values)
        if _are_tuples(values):
            flat = list(chain.from_iterable(values))
            self.count(flat)
            if _stands_for_itself(flat) and depth < MAX_DEPTH:
                return {"tuples": list(values)}
        return [self.tree(v, depth + 1) for v in values]

    def count(self, values: Collection) -> None:
        self.items += len(values)
        if self.items > MAX_ITEMS:
            raise CodecError(f"a value of more than {MAX_ITEMS:,} items cannot be sent; send a tensor")

    def tensor(self, value: Tensor) -> list[str]:
        if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
            raise CodecError(f"a tensor with layout {value.layout} on {value.device} cannot be sent; send a dense one")
        # safetensors takes no views of shared memory, and the receiver gets no part in the graph.
        plain = value.detach().to("cpu").resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
        plain = plain.as_subclass(Tensor)
        if len(self.tensors) >= MAX_TENSORS:
            raise CodecError(f"a value of more than {MAX_TENSORS:,} tensors cannot be sent; stack them")
        key = str(len(self.tensors))
        dtype = str(plain.dtype).removeprefix("torch.")
        self.tensors[key] = torch.view_as_real(plain) if plain.is_complex() else plain
        return [key, dtype]


def _stands_for_itself(values: Collection) -> bool:
    """Whether a row is of nothing but small ints, or of nothing but texts that JSON keeps as they are."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return min(values) > -(2**63) and max(values) < 2**63
    return kinds == {str} and all(map(_is_unicode, values))


def _are_tuples(values: Collection) -> bool:
    return set(map(type, values)) == {tuple}


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write_text(text: str) -> Any:
    if _is_unicode(text):
        return text
    # JSON would join two lone surrogates into one character.
    return {"text": base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")}


def _write_decimal(value: Decimal) -> str:
    if value.is_finite() and max(len(value.as_tuple().digits), abs(value.adjusted())) > MAX_DIGITS:
        raise CodecError(f"a Decimal of more than {MAX_DIGITS:,} digits cannot be sent")
    return str(Decimal(value))


def _as_tensor(array: np.ndarray) -> Tensor:
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    except TypeError:
        raise CodecError(f"an array of {array.dtype} cannot be sent; send numbers") from None


def without_surrogates(text: str) -> str:
    """A text in which half a surrogate pair is written out, such as "\\ud800": it could be neither stored nor sent."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _described(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


# ------------------------------------------------------------------------------------------------------------ reading


def decode(data: bytes, *, classes: Classes = no_classes, handle: Callable[..., Any] | None = None) -> Any:
    """The value of a message. Raises CodecError for bytes that are no message, whatever they hold.

    `handle` gives what stands for an object of the other side: by its handle, and if it is an iterator by the name that
    it has in ITERATORS too. What it raises passes through.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"a message of {len(data):,} bytes is more than the {MAX_BYTES:,} that are read")
    length = int.from_bytes(data[:_HEAD], "little")
    if len(data) < _HEAD or length > len(data) - _HEAD:
        raise CodecError("the message is cut short")
    body, blob = bytes(data[_HEAD : _HEAD + length]), bytes(data[_HEAD + length :])
    try:
        _bound(body)
        tensors = _tensors(blob)
        tree = json.loads(body.decode("ascii"), parse_constant=_no_constant, object_pairs_hook=_object)
        return _Reader(tensors, classes, handle).value(tree, 0)
    except CodecError:
        raise
    except _HandleError as error:
        raise error.error from None
    except Exception as error:  # of a dataclass's own constructor too
        raise CodecError(f"the message is malformed: {type(error).__name__}: {error}") from None


def _tensors(blob: bytes) -> dict[str, Tensor]:
    """The tensors of a message, whose number is looked at before they are made."""
    if not blob:
        return {}
    length = int.from_bytes(blob[:_HEAD], "little")
    header = blob[_HEAD : _HEAD + length]
    if length > 300 * MAX_TENSORS or header.count(b"dtype") > MAX_TENSORS:
        raise CodecError(f"the message has more than {MAX_TENSORS:,} tensors")
    return safetensors.torch.load(blob)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CodecError("the message is malformed: an object has a key twice")
    return found


def _no_constant(text: str) -> None:
    raise CodecError(f"the message is malformed: {text} in its JSON")


class _Reader:
    def __init__(self, tensors: dict[str, Tensor], classes: Classes, handle: Callable[..., Any] | None):
        self.tensors, self.classes, self.handle = tensors, classes, handle
        self.items = self.large = 0

    def value(self, tree: Any, depth: int) -> Any:
        kind = type(tree)
        if kind is int or kind is str or kind is bool or tree is None:
            return tree
        if depth > MAX_DEPTH:
            raise CodecError(f"the message is nested deeper than {MAX_DEPTH} levels")
        if kind is float:
            if not math.isfinite(tree):
                raise CodecError("the message is malformed: a number is too large")
            return tree
        if kind is list:
            return self.row(tree, depth)
        if len(tree) != 1:
            raise CodecError("the message is malformed: an object has one key")
        ((tag, inner),) = tree.items()
        read = getattr(self, f"read_{tag}", None) if tag in _TAGS else None
        if read is None:
            raise CodecError(f"the message is malformed: unknown kind {tag!r}")
        return read(inner, depth)

    def row(self, trees: Any, depth: int) -> list:
        """A container's items, as `_Writer.row` wrote them."""
        if type(trees) is dict and set(trees) == {"tuples"}:
            return self.read_tuples(trees["tuples"], depth)
        self.count(trees)
        if set(map(type, trees)) <= _PLAIN:
            return trees
        return [self.value(t, depth + 1) for t in trees]

    def count(self, trees: Any) -> None:
        if type(trees) is not list:
            raise CodecError("the message is malformed: a row is no list")
        self.count_items(len(trees))

    def count_items(self, number: int) -> None:
        self.items += number
        if self.items > MAX_ITEMS:
            raise CodecError(f"the message has more than {MAX_ITEMS:,} items")

    def read_tuples(self, inner: Any, depth: int) -> list[tuple]:
        self.count(inner)
        if set(map(type, inner)) - {list}:
            raise CodecError("the message is malformed: a row is no list")
        flat = list(chain.from_iterable(inner))
        self.count(flat)
        if set(map(type, flat)) - _PLAIN:
            raise CodecError("the message is malformed: a row of tuples holds something else than ints and texts")
        return list(map(tuple, inner))

    def read_float(self, inner: Any, depth: int) -> float:
        if inner not in ("nan", "inf", "-inf"):
            raise CodecError("the message is malformed: not a float")
        return float(inner)

    def read_int(self, inner: Any, depth: int) -> int:
        self.count_large()
        if len(_text(inner)) > MAX_INT_BITS // 4 + 4:
            raise CodecError(f"the message holds a whole number of more than {MAX_INT_BITS:,} bits")
        return int(inner, 16)

    def count_large(self) -> None:
        self.large += 1
        if self.large > MAX_LARGE:
            raise CodecError(f"the message holds more than {MAX_LARGE:,} fractions and numbers beyond 64 bits")

    def read_fraction(self, inner: Any, depth: int) -> Fraction:
        self.count_large()
        above, below = (self.value(part, depth + 1) for part in inner)
        if type(above) is not int or type(below) is not int or below < 1 or math.gcd(above, below) != 1:
            raise CodecError("the message is malformed: not a fraction in lowest terms")
        return Fraction(above, below)

    def read_decimal(self, inner: Any, depth: int) -> Decimal:
        self.count_large()
        if len(_text(inner)) > 2 * MAX_DIGITS:
            raise CodecError(f"the message holds a Decimal of more than {MAX_DIGITS:,} digits")
        value = Decimal(inner)
        if _write_decimal(value) != inner:
            raise CodecError("the message is malformed: not a Decimal as it is written")
        return value

    def read_array(self, inner: Any, depth: int) -> np.ndarray:
        return self.read_tensor(inner, depth).numpy()

    def read_scalar(self, inner: Any, depth: int) -> np.generic:
        name, item = inner
        if _text(name) not in _SCALARS:
            raise CodecError("the message is malformed: not a scalar of numpy")
        return np.dtype(name).type(self.value(item, depth + 1))

    def read_text(self, inner: Any, depth: int) -> str:
        return _unbase64(inner).decode("utf-8", "surrogatepass")

    def read_bytes(self, inner: Any, depth: int) -> bytes:
        return _unbase64(inner)

    def read_bytearray(self, inner: Any, depth: int) -> bytearray:
        return bytearray(_unbase64(inner))

    def read_tuple(self, inner: Any, depth: int) -> tuple:
        return tuple(self.row(inner, depth))

    def read_set(self, inner: Any, depth: int) -> set:
        return self.hashed(self.row(inner, depth))

    def read_frozenset(self, inner: Any, depth: int) -> frozenset:
        return frozenset(self.hashed(self.row(inner, depth)))

    def read_dict(self, inner: Any, depth: int) -> dict:
        keys, values = inner
        found: dict = {}
        read = self.row(keys, depth)
        _check_hashes(read)
        pairs = zip(read, self.row(values, depth), strict=True)
        while some := list(islice(pairs, _STEP)):
            found.update(some)
        return found

    def read_dict_keys(self, inner: Any, depth: int) -> KeysView:
        keys = self.row(inner, depth)
        _check_hashes(keys)
        return dict.fromkeys(keys).keys()

    def read_dict_values(self, inner: Any, depth: int) -> ValuesView:
        return dict(enumerate(self.row(inner, depth))).values()

    def read_dict_items(self, inner: Any, depth: int) -> ItemsView:
        return self.read_dict(inner, depth).items()

    def read_range(self, inner: Any, depth: int) -> range:
        start, stop, step = (self.value(part, depth + 1) for part in inner)
        if {type(start), type(stop), type(step)} != {int}:
            raise CodecError("the message is malformed: not a range")
        found = range(start, stop, step)
        self.count_items(len(found[: MAX_ITEMS + 1]))
        return found

    def hashed(self, items: list) -> set:
        found: set = set()
        _check_hashes(items)
        for start in range(0, len(items), _STEP):
            found.update(items[start : start + _STEP])
        return found

    def read_tensor(self, inner: Any, depth: int) -> Tensor:
        key, name = inner
        tensor, dtype = self.tensors[_text(key)], _DTYPES[_text(name)]
        if dtype.is_complex:
            tensor = torch.view_as_complex(tensor)
        if tensor.dtype != dtype:
            raise CodecError("the message is malformed: a tensor has another dtype than it says")
        return tensor

    def read_dtype(self, inner: Any, depth: int) -> torch.dtype:
        return _DTYPES[_text(inner)]

    def read_config(self, inner: Any, depth: int) -> Any:
        name, fields = inner
        cls = self.classes(_text(name))
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise CodecError(f"there is no config dataclass {name!r} on this side")
        if type(fields) is not dict or set(fields) != {f.name for f in dataclasses.fields(cls) if f.init}:
            raise CodecError(f"the fields of {name} differ between the two sides")
        return cls(**{k: self.value(v, depth + 1) for k, v in fields.items()})

    def read_handle(self, inner: Any, depth: int) -> Any:
        return self.found(_text(inner))

    def read_iterator(self, inner: Any, depth: int) -> Any:
        name, kind = inner
        if _text(kind) not in ITERATORS:
            raise CodecError("the message is malformed: not an iterator of Python's")
        return self.found(_text(name), kind)

    def found(self, *handle: str) -> Any:
        if self.handle is None:
            raise CodecError("the message holds a handle where none is expected")
        try:
            return self.handle(*handle)
        except Exception as error:
            raise _HandleError(error) from None


_TAGS = frozenset(name.removeprefix("read_") for name in vars(_Reader) if name.startswith("read_"))


def _check_hashes(keys: list) -> None:
    """Refuse keys that were made to share a hash: with each other they would be compared, for hours."""
    if len(keys) ** 2 <= MAX_COLLISIONS:
        return
    if sum(count * (count - 1) // 2 for count in Counter(map(hash, keys)).values()) > MAX_COLLISIONS:
        raise CodecError("the message holds keys that were made to collide")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise CodecError("the message is malformed: a text is missing")
    return value


def _unbase64(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error as error:
        raise CodecError(f"the message is malformed: {error}") from None
