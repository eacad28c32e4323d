"""What crosses between tests and answers arrives as it was; bytes that are no message are refused and run nothing."""

import contextlib
import itertools
import json
import math
from collections import OrderedDict, namedtuple
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.testing import checks, codec, link
from labkit.testing.codec import CodecError, decode, encode
from labkit.testing.link import Link, Remote, UnreadableAnswer
from labkit.testing.student import Student

DTYPES = [
    torch.bool,
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.complex64, torch.complex128),
]


@dataclass(frozen=True)
class Sizes:
    """A config as assignments have them."""

    width: int
    names: tuple[str, ...] = ()
    eps: float = 1e-5
    area: int = field(init=False, default=0)


def classes(name: str) -> type | None:
    return {"Sizes": Sizes}.get(name)


def same(a, b) -> bool:
    """Equality that knows types, NaN, the sign of zero and tensors."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, KeysView | ValuesView | ItemsView):
        return same(list(a), list(b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(k, m) and same(v, w) for (k, v), (m, w) in zip(a.items(), b.items(), strict=True)
        )
    return a == b


def there_and_back(value, **kwargs):
    return decode(encode(value, **kwargs), **kwargs)


texts = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates included
atoms = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=8)
hashables = st.recursive(
    atoms.filter(lambda x: x == x),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    atoms | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.lists(st.tuples(st.integers(), st.integers()), max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(values)
def test_data_arrives_as_it_was(value):
    assert same(there_and_back(value), value)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 2**31))
def test_tensors_arrive_as_they_were(dtype, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randint(0, 100, shape, generator=generator).to(dtype)
    assert same(there_and_back([tensor, {"again": tensor}]), [tensor, {"again": tensor}])


def test_views_aliases_parameters_and_gradients_arrive_as_plain_tensors():
    base = torch.arange(12.0).view(3, 4).requires_grad_()
    sent = {"transposed": base.T, "part": base[1], "expanded": base[:, :1].expand(3, 5), "whole": base}
    got = there_and_back(sent)
    assert all(torch.equal(got[k], sent[k].detach()) for k in sent)
    assert not any(t.requires_grad for t in got.values())
    got["whole"].zero_()
    assert torch.equal(got["part"], base[1].detach()), "the receiver's tensors share no memory"
    parameter = there_and_back(torch.nn.Parameter(torch.ones(2)))
    assert type(parameter) is torch.Tensor
    conjugate = torch.tensor([1 + 2j]).conj()
    assert torch.equal(there_and_back(conjugate), conjugate.resolve_conj())


def test_special_tensor_values_arrive_bit_by_bit():
    odd = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 5e-324], dtype=torch.float64)
    assert torch.equal(there_and_back(odd).view(torch.int64), odd.view(torch.int64))


def test_subclasses_travel_as_their_base():
    pair = namedtuple("pair", "a b")
    assert same(there_and_back(pair(1, 2)), (1, 2))
    assert same(there_and_back(OrderedDict(b=1, a=2)), {"b": 1, "a": 2})
    assert same(there_and_back(np.float64(0.5)), 0.5)


others = (
    st.binary(max_size=8).map(bytearray)
    | st.fractions()
    | st.decimals(-(10**30), 10**30)
    | st.sampled_from([Decimal(t) for t in ("NaN", "Infinity", "-0", "1E+400", "0.10")])
    | st.integers(-128, 127).map(np.int8)
    | st.integers(0, 2**64 - 1).map(np.uint64)
    | st.floats(width=32, allow_nan=False).map(np.float32)
    | st.booleans().map(np.bool_)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3))
    | st.dictionaries(hashables, atoms, max_size=4).flatmap(
        lambda d: st.sampled_from([d.keys(), d.values(), d.items()])
    )
)


@settings(max_examples=200, deadline=None)
@given(st.lists(others, max_size=4))
def test_what_answers_give_in_place_of_data_arrives_with_its_type(value):
    assert same(there_and_back(value), value)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64", "complex64", ">i4"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_arrays_arrive_as_they_were(dtype, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    got = there_and_back(array)
    assert same(got, array.astype(array.dtype.newbyteorder("=")))
    assert same(there_and_back(array.T[..., ::-1] if shape else array), got.T[..., ::-1] if shape else got)


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([object()]), Decimal("1E+9999"), Decimal("1" * 5000)])
def test_arrays_of_objects_and_long_decimals_are_refused_in_words(value):
    with pytest.raises(CodecError, match="cannot be sent"):
        encode(value)


COLLIDING = [i * (2**61 - 1) for i in range(1, 5000)]  # all have the hash 0


@pytest.mark.parametrize("value", [set(COLLIDING[:2000]), dict.fromkeys(COLLIDING[:2000]), COLLIDING * 3])
def test_numbers_made_to_collide_are_refused_on_arrival(value):
    message = encode(value)
    with pytest.raises(CodecError, match=r"collide|beyond 64 bits"):
        decode(message)


def test_many_keys_that_are_like_one_another_arrive():
    pairs = {(i, j) for i in range(-60, 60) for j in range(-60, 60)}  # -1 and -2 have one hash
    assert there_and_back(pairs) == pairs


def test_dtypes_arrive():
    assert there_and_back(torch.float64) is torch.float64


def test_a_config_becomes_the_receivers_own():
    @dataclass(frozen=True)
    class Sizes:
        width: int
        names: tuple[str, ...] = ()
        eps: float = 1e-5

    sent = encode(globals()["Sizes"](3, ("a",)), classes=classes)
    got = decode(sent, classes={"Sizes": Sizes}.get)
    assert type(got) is Sizes
    assert (got.width, got.names, got.eps) == (3, ("a",), 1e-5)


def test_a_config_with_other_fields_is_refused():
    @dataclass
    class Sizes:
        height: int

    with pytest.raises(CodecError, match="fields of Sizes differ"):
        decode(encode(globals()["Sizes"](3), classes=classes), classes={"Sizes": Sizes}.get)
    with pytest.raises(CodecError, match="no config dataclass"):
        decode(encode(globals()["Sizes"](3), classes=classes))


def test_other_objects_cross_as_handles():
    held = {}

    def hold(value):
        held["#0"] = value
        return "#0"

    module = torch.nn.Linear(2, 2)
    message = encode([1, module], handle=hold)
    assert decode(message, handle=lambda name: (name, "seen")) == [1, ("#0", "seen")]
    assert decode(message, handle=held.get)[1] is module
    with pytest.raises(CodecError, match="handle where none is expected"):
        decode(message)


ITERATORS = {
    "generator": "(2 * x for x in [1, 2])",
    "map": "map(int, [2, 4])",
    "filter": "filter(None, [2, 0, 4])",
    "zip": "zip([2, 4], 'ab')",
    "enumerate": "enumerate([2, 4])",
    "reversed": "reversed((4, 2))",
    "list_reverseiterator": "reversed([4, 2])",
    "dict_keyiterator": "iter({2: 1, 4: 1})",
}
OTHERS = {
    "dict_keys": "{2: 1, 4: 1}.keys()",
    "dict_values": "{1: 2, 2: 4}.values()",
    "dict_items": "{2: 'a', 4: 'b'}.items()",
    "range": "range(2, 5, 2)",
    "ndarray": "np.array([2, 4])",
    "bytearray": "bytearray([2, 4])",
}


def answer_both_ways(body: str):
    """An answer of the student's that returns something, as a test meets it: directly, and from another process."""
    namespace: dict = {"itertools": itertools, "np": np}
    exec(f"def f():\n    return {body}", namespace)
    return namespace["f"], Remote(Link(Student(namespace).handle, {}), "f")


def what_is_said(test: str, f) -> str:
    """What a line of a test says of an answer."""
    try:
        exec(test, {"f": f, "torch": torch, "checks": checks, "Iterator": Iterator})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "passed"


@pytest.mark.parametrize(("name", "body"), (ITERATORS | OTHERS).items(), ids=str)
@pytest.mark.parametrize(
    "test",
    [
        "assert isinstance(f(), list), f'the merges should be a list, and you return a {type(f()).__name__}'",
        "assert isinstance(f(), Iterator), f'an iterator is wanted, not {type(f())}'",
        "assert list(f()) == [2, 4], f'{list(f())} should be [2, 4]'",
        "assert f() is None or f() != {2: 4}, 'it is'",
        "assert 4 in f(), f'{[*f()]} lacks 4'",
        "assert sum(f()) == 6, 'the sum'",
        "assert bool(f()), 'it is empty'",
        "len(f())",
        "f()[1:0]",
        "f().shape",
        "f() < 1",
        "next(f())",
        "next(iter(f()))",
        "torch.tensor(f())",
        "f'{f():.2f}'",
        "checks.check_tensor(f(), torch.ones(2), 'hint')",
        "checks.check_number(f(), 2, 'hint')",
    ],
)
def test_of_what_an_answer_gives_a_test_says_the_same_both_ways(name: str, body: str, test: str):
    directly, through_codec = (what_is_said(test, f) for f in answer_both_ways(body))
    assert through_codec == directly
    if "should be a list" in test:
        assert directly == f"AssertionError: the merges should be a list, and you return a {name}"


def test_an_iterator_is_taken_once_and_stays_what_it_is(monkeypatch):
    _, f = answer_both_ways("itertools.count(5)")
    numbers = f()
    assert type(numbers).__name__ == "count"
    assert list(itertools.islice(numbers, 3)) == [5, 6, 7] and next(numbers) == 8
    assert numbers == numbers and numbers not in (f(), 5) and repr(numbers) == "<count object>"
    monkeypatch.setattr(link, "MAX_STEPS", 50)
    with pytest.raises(UnreadableAnswer, match="more than 50 items, one by one: does it ever end"):
        list(f())


def test_an_iterator_of_a_students_class_keeps_its_name_to_itself():
    _, f = answer_both_ways("type('input_7', (), {'__iter__': lambda s: s, '__next__': lambda s: 1})()")
    assert type(f()) is Remote
    with pytest.raises(CodecError, match="not an iterator of Python's"):
        decode(message('{"iterator":["#1","input_7"]}'), handle=lambda *handle: handle)
    assert decode(message('{"iterator":["#1","zip"]}'), handle=lambda *handle: handle) == ("#1", "zip")


@pytest.mark.parametrize("value", [range(10**7), range(10**30), range(-(2**20_000), 0, 2**19_999), [range(10**6)] * 3])
def test_long_ranges_are_neither_sent_nor_read(value):
    with pytest.raises(CodecError, match="cannot be sent"):
        encode(value)
    parts = '{"range":[0,10000000,1]}', '{"range":[0,{"int":"0x1000000000000000000"},1]}', '{"range":[0,1,0]}'
    for tree in parts:
        with pytest.raises(CodecError):
            decode(message(tree))


@pytest.mark.parametrize("value", [lambda: 1, object(), 1j, torch.nn.Linear(1, 1), Sizes(1), int])
def test_what_is_no_data_is_refused_in_words(value):
    with pytest.raises(CodecError, match="cannot be sent"):
        encode([value])


def test_sparse_and_meta_tensors_are_refused_in_words():
    for tensor in (torch.eye(2).to_sparse(), torch.empty(2, device="meta")):
        with pytest.raises(CodecError, match="cannot be sent"):
            encode(tensor)


def test_depth_and_size_are_bounded(monkeypatch):
    inside_itself: list = []
    inside_itself.append(inside_itself)
    with pytest.raises(CodecError, match="deeper"):
        encode(inside_itself)
    deep: list = []
    for _ in range(codec.MAX_DEPTH):
        deep = [deep]
    assert there_and_back(deep) == deep
    with pytest.raises(CodecError, match="deeper"):
        encode([[[deep]]])
    monkeypatch.setattr(codec, "MAX_ITEMS", 10)
    with pytest.raises(CodecError, match="items"):
        encode([0] * 11)
    monkeypatch.setattr(codec, "MAX_BYTES", 100)
    with pytest.raises(CodecError, match="bytes"):
        encode(["x" * 200])
    with pytest.raises(CodecError, match="bytes"):
        decode(b"x" * 200)


def message(tree: str, blob: bytes = b"") -> bytes:
    return len(tree.encode()).to_bytes(8, "little") + tree.encode() + blob


HOSTILE = [
    *("", "{", "NaN", "[Infinity]", "-Infinity", "1e999", '{"float":1}', '{"float":"1.5"}', '{"float":["nan"]}'),
    *('{"int":"zz"}', '{"int":5}', '{"text":"%%"}', '{"bytes":5}', '{"bytes":"***"}', '{"set":[[1]]}', '{"set":5}'),
    *(
        '{"dict":[1,2]}',
        '{"dict":[[1],[2,3]]}',
        '{"dict":[[[1]],[2]]}',
        '{"dict":[]}',
        '{"dict":5}',
        '{"tuple":{"a":1}}',
    ),
    *('{"tuples":[1]}', '{"tuples":[[[1]]]}', '{"tuples":[[{"a":1}]]}', '{"tuples":{}}', '{"unknown":1}', '{"row":[]}'),
    *('{"value":[]}', '{"__init__":[]}', '{"a":1,"b":2}', "{}", '{"tensor":["0","float32"]}', '{"tensor":"ab"}'),
    *('{"dtype":"os.system"}', '{"dtype":["float32"]}', '{"config":["int",{}]}', '{"config":["Sizes",[]]}'),
    *('{"config":["Sizes",{"width":1}]}', '{"config":[["Sizes"],{}]}', '{"handle":5}', '{"handle":"#1"}'),
    *('{"fraction":[2,4]}', '{"fraction":[1,0]}', '{"fraction":[1]}', '{"fraction":[0.5,1]}', '{"bytearray":5}'),
    *('{"decimal":"1e5"}', '{"decimal":"1E+99999"}', '{"decimal":5}', '{"decimal":"x"}', '{"array":["0","float32"]}'),
    *('{"dict_keys":[[1]]}', '{"dict_values":5}', '{"dict_items":[[1],[2,3]]}', '{"iterator":["#1","zip"]}'),
    *('{"range":[0,1]}', '{"range":[0,true,1]}', '{"range":[0.5,1,1]}', '{"iterator":["#1"]}', '{"iterator":5}'),
    *('{"scalar":["int8",300]}', '{"scalar":["object",1]}', '{"scalar":["int8","x"]}', '{"scalar":1}'),
    *("[" * 100_000, "[" * 100 + "]" * 100, "9" * 5000, '{"set":' * 200 + "1" + "}" * 200),
]


@pytest.mark.parametrize("tree", HOSTILE, ids=lambda t: t[:30])
def test_malformed_messages_are_refused(tree):
    with pytest.raises(CodecError):
        decode(message(tree), classes=classes)


def test_malformed_tensors_are_refused():
    good = encode(torch.ones(3))
    with pytest.raises(CodecError):
        decode(good[:-1])
    with pytest.raises(CodecError, match="another dtype"):
        decode(good.replace(b'"float32"', b'"float64"'))
    with pytest.raises(CodecError):
        decode(message('{"tensor":["0","float32"]}', b"\xff" * 40))
    header = json.dumps({"0": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    with pytest.raises(CodecError):
        decode(message('{"tensor":["0","float32"]}', len(header).to_bytes(8, "little") + header))


@pytest.mark.parametrize(
    "value",
    [2**15_000, "," * 2_000_000 * 3, [torch.zeros(())] * 10_001, "é" * 12_000_000],
    ids=["int", "signs", "tensors", "text"],
)
def test_what_would_be_refused_on_arrival_is_not_sent(value):
    with pytest.raises(CodecError, match="sent"):
        encode(value)


def many_tensors(number: int) -> bytes:
    entries = {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(number)}
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "tree",
    [
        '{"int":"0x' + "f" * 5_000 + '"}',
        "[" + "[]," * 5_000_000 + "[]]",
        '["' + "x" * codec.MAX_JSON + '"]',
        '{"float":"nan","float":"nan"}',
        '{"config":["Sizes",{"width":1,"width":2,"names":[],"eps":1}]}',
        '"\u00e9"',
    ],
    ids=["int", "items", "text", "tag twice", "field twice", "not ascii"],
)
def test_messages_that_take_much_to_read_or_say_a_thing_twice_are_refused(tree):
    with pytest.raises(CodecError):
        decode(message(tree), classes=classes)


def test_the_number_of_tensors_is_looked_at_first(monkeypatch):
    def load(blob: bytes) -> dict:
        raise AssertionError("the tensors were made")

    monkeypatch.setattr(codec.safetensors.torch, "load", load)
    with pytest.raises(CodecError, match="more than 10,000 tensors"):
        decode(message("1", many_tensors(10_001)))
    with pytest.raises(CodecError, match="more than 10,000 tensors"):
        decode(message("1", (2**40).to_bytes(8, "little") + b"{}"))


def test_what_a_config_raises_is_a_codec_error():
    @dataclass
    class Picky:
        width: int

        def __post_init__(self):
            raise LookupError("never")

    with pytest.raises(CodecError, match="never"):
        decode(message('{"config":["Picky",{"width":1}]}'), classes=lambda name: Picky)


def test_what_finding_an_object_raises_passes():
    def gone(name: str) -> None:
        raise LookupError(name)

    with pytest.raises(LookupError, match="#1"):
        decode(message('{"handle":"#1"}'), handle=gone)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3), st.data())
def test_any_change_to_a_message_with_tensors_gives_a_value_or_a_codec_error(dtype, shape, data):
    config = Sizes(3, ("a",))
    bytes_ = bytearray(encode([torch.zeros(shape, dtype=dtype), config, {1: 2**70}], classes=classes))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        match data.draw(st.sampled_from(["change", "cut", "double"])):
            case "change":
                bytes_[at] = data.draw(st.integers(0, 255))
            case "cut":
                del bytes_[at : at + data.draw(st.integers(1, 9))]
            case "double":
                bytes_[at:at] = bytes_[at : at + 9]
        if not bytes_:
            return
    with contextlib.suppress(CodecError):
        decode(bytes(bytes_), classes=classes)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), values, st.data())
def test_any_bytes_give_a_value_or_a_codec_error(noise, value, data):
    good = bytearray(encode(value))
    for _ in range(3):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    for bytes_ in (noise, bytes(good), message(noise.decode("latin-1"))):
        with contextlib.suppress(CodecError):
            decode(bytes_, classes=classes)
