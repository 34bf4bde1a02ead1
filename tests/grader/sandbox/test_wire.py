"""The wire: what goes in comes out, and what is no message is a WireError and nothing else."""

from __future__ import annotations

import collections
import contextlib
import enum
import math
import socket
import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.sandbox import wire
from grader.sandbox.wire import Frames, Handle, WireError, decode, encode, frame, receive

DTYPES = [getattr(torch, name) for name in wire._DTYPES]

keys = st.one_of(st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text()))
data = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.binary()),
        st.integers(min_value=-(2**4000), max_value=2**4000),
        st.text(st.characters()),  # lone surrogates too
        st.complex_numbers(),
        st.slices(10),
        st.sampled_from([..., *DTYPES]),
        st.builds(Handle, st.integers(0, 2**60), st.text(max_size=20)),
        st.sets(keys, max_size=5),
        st.frozensets(keys, max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(keys, inner, max_size=5),
    ),
    max_leaves=20,
)


def identical(one: Any, other: Any) -> bool:
    """Equal in type and to the bit, also where a number is not equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return identical(one.real, other.real) and identical(one.imag, other.imag)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other)


def there_and_back(value: Any) -> Any:
    return decode(encode(value))


def ext(code: int, value: Any) -> bytes:
    return msgpack.packb(msgpack.ExtType(code, msgpack.packb(value)))


# ---- what goes in comes out


@given(data)
def test_data_comes_out_as_it_went_in(value):
    assert identical(there_and_back(value), value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_a_tensor_of_any_dtype_and_shape_comes_out_as_it_went_in(dtype, shape):
    value = (torch.randn(shape) * 3).to(dtype)
    assert identical(there_and_back(value), value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, -0.0])
def test_a_tensor_keeps_numbers_that_are_not_finite_and_signs_of_zero(number):
    came = there_and_back(torch.tensor([number, 1.0]))
    assert struct.pack("f", came[0].item()) == struct.pack("f", number)


def test_a_tensor_keeps_what_is_not_a_number():
    assert there_and_back(torch.tensor([math.nan, 1.0])).isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    "view",
    [
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(12.0)[::5],
        torch.arange(4.0).expand(3, 4),
        torch.randn(3, 2, dtype=torch.complex64).conj(),
        torch.randn(3, dtype=torch.complex64).conj().imag,
    ],
    ids=["transposed", "strided", "expanded", "conjugate", "negative"],
)
def test_a_view_travels_as_the_values_that_it_shows(view):
    assert identical(there_and_back(view), view.clone().contiguous())


def test_a_tensor_arrives_without_a_gradient_to_take():
    assert there_and_back(torch.ones(2, requires_grad=True) * 2).requires_grad is False


def test_a_tensor_that_arrived_can_be_written_to():
    came = there_and_back(torch.zeros(2))
    came += 1
    assert came.tolist() == [1.0, 1.0]


def test_a_subclass_of_tensor_travels_as_a_plain_tensor():
    assert type(there_and_back(torch.nn.Parameter(torch.ones(2)))) is torch.Tensor


@pytest.mark.parametrize(
    ("value", "plainer"),
    [
        (collections.namedtuple("Point", "x y")(1, 2), (1, 2)),
        (torch.Size([2, 3]), (2, 3)),
        (collections.OrderedDict(a=1, b=2), {"a": 1, "b": 2}),
        (np.float64(1.5), 1.5),
        (enum.IntEnum("Colour", "RED")(1), 1),
    ],
    ids=["namedtuple", "Size", "OrderedDict", "numpy scalar", "enum"],
)
def test_what_is_nearly_plain_data_travels_as_the_plain_kind(value, plainer):
    assert identical(there_and_back(value), plainer)


def test_what_is_no_data_travels_as_the_handle_that_its_keeper_gives():
    kept = []

    def keep(value):
        kept.append(value)
        return Handle(7, "object")

    thing = object()
    assert decode(encode([1, thing], keep)) == [1, Handle(7, "object")]
    assert kept == [thing]


def test_a_handle_is_replaced_by_what_it_stands_for():
    assert decode(encode({"on": Handle(7, "x")}), lambda handle: handle.id + 1) == {"on": 8}


# ---- what does not travel


@pytest.mark.parametrize(
    "value",
    [object(), print, [{"a": object}], np.ones(2)],
    ids=["object", "function", "a type inside", "array"],
)
def test_without_a_keeper_only_data_travels(value):
    with pytest.raises(WireError, match="is not data"):
        encode(value)


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {0: x}])
def test_containers_nested_too_deep_do_not_travel(wrap):
    value: Any = 1
    for _ in range(wire.MAX_DEPTH + 1):
        value = wrap(value)
    with pytest.raises(WireError, match="nested"):
        encode(value)


def test_a_container_that_holds_itself_does_not_travel():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(WireError):
        encode(value)


@pytest.mark.parametrize(
    "value",
    [
        2 ** (8 * wire.MAX_INT_BYTES),
        torch.empty(wire.MAX_FRAME + 1, dtype=torch.uint8),
        bytes(wire.MAX_FRAME + 1),
        [0] * (wire.MAX_PARTS + 1),
        [torch.ones(4).to_sparse()],
        torch.ones(4).to(torch.float8_e4m3fn),
    ],
    ids=["integer", "tensor", "bytes", "parts", "sparse", "float8"],
)
def test_what_is_too_large_or_strange_does_not_travel(value):
    with pytest.raises(WireError):
        encode(value)


def test_as_many_parts_as_may_leave_may_also_arrive():
    parts = [()] * (wire.MAX_PARTS - 1)
    assert len(there_and_back(parts)) == len(parts)


# ---- what is no message


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_random_bytes_are_a_message_or_a_wire_error(body):
    with contextlib.suppress(WireError):
        decode(body)


MESSAGE = {
    "id": 3,
    "value": [(1, 2.5), {"k", "l"}, 2**70, 1j, slice(1, 2), torch.float16, Handle(5, "Net"), ...],
    "tensors": {"a": torch.randn(2, 3), "b": torch.tensor([True, False])},
}


@given(st.data())
@settings(max_examples=400)
def test_a_message_with_flipped_bits_is_another_message_or_a_wire_error(draw):
    body = bytearray(encode(MESSAGE))
    flips = draw.draw(st.lists(st.integers(0, 8 * len(body) - 1), min_size=1, max_size=4))
    for bit in flips:
        body[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(WireError):
        decode(bytes(body))


def test_a_message_cut_short_anywhere_is_a_wire_error():
    body = encode(MESSAGE)
    for end in range(len(body)):
        with pytest.raises(WireError):
            decode(body[:end])


def test_a_message_with_something_behind_it_is_a_wire_error():
    with pytest.raises(WireError):
        decode(encode(MESSAGE) + b"\x00")


@pytest.mark.parametrize(
    "body",
    [
        ext(wire._TENSOR, ["float32", [2], b"\0" * 7]),
        ext(wire._TENSOR, ["float32", [3], b"\0" * 8]),
        ext(wire._TENSOR, ["float32", [-2], b"\0" * 8]),
        ext(wire._TENSOR, ["float32", [2.0], b"\0" * 8]),
        ext(wire._TENSOR, ["float32", [True], b"\0" * 4]),
        ext(wire._TENSOR, ["float32", 2, b"\0" * 8]),
        ext(wire._TENSOR, ["float32", [2], "texttext"]),
        ext(wire._TENSOR, ["float32", [1] * (wire.MAX_DIMS + 1), b"\0" * 4]),
        ext(wire._TENSOR, ["float32", [0, *[wire.MAX_FRAME] * 9], b""]),
        ext(wire._TENSOR, ["float32", [2**62, 2**62], b""]),
        ext(wire._TENSOR, ["qint8", [1], b"\0"]),
        ext(wire._TENSOR, ["Tensor", [1], b"\0"]),
        ext(wire._TENSOR, [["float32"], [1], b"\0" * 4]),
        ext(wire._TENSOR, ["float32", [1]]),
        ext(wire._TENSOR, "float32"),
    ],
)
def test_a_tensor_whose_parts_do_not_fit_is_a_wire_error(body):
    with pytest.raises(WireError):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [
        ext(wire._COMPLEX, [1, 2]),
        ext(wire._COMPLEX, [1.0]),
        ext(wire._SLICE, ["a", None, None]),
        ext(wire._SLICE, [1, 2]),
        ext(wire._HANDLE, ["1", "x"]),
        ext(wire._HANDLE, [True, "x"]),
        ext(wire._HANDLE, [1, 2]),
        ext(wire._SET, [[1]]),
        ext(wire._SET, {"a": 1}),
        ext(wire._DTYPE, 1),
        ext(99, 1),
        msgpack.packb(msgpack.ExtType(wire._INT, bytes(wire.MAX_INT_BYTES + 1))),
        msgpack.packb({(): 1}, strict_types=False),
        b"\xa2\xff\xfe",
    ],
)
def test_a_value_whose_parts_are_not_its_own_is_a_wire_error(body):
    with pytest.raises(WireError):
        decode(body)


def test_any_byte_of_a_truth_value_arrives_as_true_or_false():
    came = decode(ext(wire._TENSOR, ["bool", [3], b"\x00\x02\xff"]))
    assert came.view(torch.uint8).tolist() == [0, 1, 1]


def test_the_timestamp_that_msgpack_knows_arrives_as_a_number():
    assert decode(msgpack.packb(msgpack.Timestamp(5, 0))) == 5.0


@pytest.mark.parametrize(
    "head",
    [
        *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"),
        *(b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x08", b"\xdd\x00\x0f\xff\xff" * 50),
        ext(wire._TENSOR, ["float64", [wire.MAX_FRAME, wire.MAX_FRAME], b"\0" * 8]),
    ],
    ids=["array", "map", "str", "bin", "ext", "arrays in arrays", "tensor"],
)
def test_no_memory_is_taken_for_a_size_that_is_only_declared(head):
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decode(head + b"\x90" * 100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_message_of_little_bytes_may_not_fill_the_memory():
    rows = 1000
    row = b"\xdd" + (wire.MAX_PARTS // 10).to_bytes(4, "big") + b"\x90" * (wire.MAX_PARTS // 10)
    with pytest.raises(WireError, match="too many parts"):
        decode(b"\xdd" + rows.to_bytes(4, "big") + row * rows)


@pytest.mark.parametrize("layer", [b"\x91", b"\x81\x00"])
def test_containers_nested_too_deep_are_refused_where_they_arrive(layer):
    for depth in (wire.MAX_DEPTH + 1, 600, 5000):
        with pytest.raises(WireError):
            decode(layer * depth + b"\x00")


def test_extensions_nested_too_deep_are_refused_where_they_arrive():
    body = msgpack.packb([1])
    for _ in range(500):
        body = msgpack.packb([msgpack.ExtType(wire._TUPLE, body)])
    with pytest.raises(WireError, match="nested"):
        decode(body)


# ---- frames


@given(st.lists(st.binary(max_size=50), max_size=6), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(bodies, draw):
    stream = b"".join(map(frame, bodies))
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(stream)))))
    frames, came = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        came += frames.feed(stream[start:end])
    assert came == bodies


def test_a_frame_over_the_limit_is_refused_before_it_is_read():
    with pytest.raises(WireError, match="the limit is 10"):
        list(Frames(limit=10).feed(frame(bytes(11))[:4]))


def test_a_frame_at_the_limit_is_read():
    assert list(Frames(limit=10).feed(frame(bytes(10)))) == [bytes(10)]


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_receiving_waits_for_a_frame_and_leaves_the_next(ends):
    ours, theirs = ends
    theirs.sendall(frame(b"one") + frame(b"two"))
    assert [receive(ours), receive(ours)] == [b"one", b"two"]


def test_receiving_a_frame_over_the_limit_is_a_wire_error(ends):
    ours, theirs = ends
    theirs.sendall(struct.pack(">I", 11))
    with pytest.raises(WireError, match="the limit is 10"):
        receive(ours, limit=10)


@pytest.mark.parametrize("said", [b"", b"\0\0", struct.pack(">I", 5) + b"hal"])
def test_a_stream_that_ends_before_its_frame_gives_none(ends, said):
    ours, theirs = ends
    theirs.sendall(said)
    theirs.close()
    assert receive(ours) is None
