"""What crosses between tests and answers arrives as it was; bytes that are no message are refused and run nothing."""

import contextlib
import json
import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.testing import codec
from labkit.testing.codec import CodecError, decode, encode

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
