"""The wire: data, and only data, between the judge and a worker.

A frame is a four-byte big-endian length and a msgpack body. What msgpack has no type for travels
as an extension: tuples, sets, complex numbers, big integers, slices, dtypes, tensors (dtype, shape,
raw bytes) and handles, which stand for objects that stay where they are. Nothing is ever unpickled,
every length is checked before memory is taken for it, and a message has so many parts and no more,
since a container of one byte on the wire takes sixty in memory.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgpack

MAX_FRAME = 64 * 1024 * 1024
MAX_DEPTH = 24
MAX_PARTS = 1 << 18
MAX_DIMS = 16
MAX_INT_BYTES = 4096
MAX_COLLISIONS = 64

_LENGTH = struct.Struct(">I")
_TUPLE, _SET, _FROZENSET, _COMPLEX, _INT, _SLICE, _ELLIPSIS, _DTYPE, _TENSOR, _HANDLE = range(10)

_DTYPES = (
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128"),
)


_TABLES = frozenset({dict, OrderedDict})
_CONTAINERS = _TABLES | {list, tuple, set, frozenset}


class WireError(Exception):
    """A message is malformed, too large, or holds something that does not travel."""


@dataclass(frozen=True)
class Handle:
    """Stands for an object that stays on the other side.

    Attributes:
        id: the number of the request that made it, times 65536, plus a count.
        type: the object's type, for people to read.
    """

    id: int
    type: str


def encode(value: Any, keep: Callable[[Any], Handle] | None = None) -> bytes:
    """Turn a value into bytes.

    Args:
        value: numbers, strings, bytes, tensors, dtypes, handles, and containers of them.
        keep: called with each object that is not data; the handle it returns travels in its place.

    Raises:
        WireError: something is not data and there is no `keep`, or the message grows too large.
    """
    body = _Encoder(keep).pack(value)
    _measure(value)
    return body


def decode(
    body: bytes | memoryview,
    resolve: Callable[[Handle], Any] | None = None,
    *,
    trusted: bool = False,
) -> Any:
    """Turn bytes into the value they describe.

    Args:
        body: one frame's body.
        resolve: called with each handle; what it returns stands in its place.
        trusted: it comes from the judge, so its parts need not be counted.

    Raises:
        WireError: the bytes are no message.
    """
    if trusted:
        return _Decoder(resolve).unpack(body)
    value = _CountingDecoder(resolve).unpack(body)
    _measure(value)
    return value


def _measure(value: Any) -> None:
    """Refuse what is nested too deep, or has too many parts, for those who walk over it."""
    level: list[Any] = [[value]]
    parts = 0
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for one in level:
            if type(one) in _TABLES:
                inner += one.keys()
            inner += one.values() if type(one) in _TABLES else one
        parts += len(inner)
        if parts > MAX_PARTS:
            raise WireError(f"a value of over {MAX_PARTS} parts does not travel")
        level = [one for one in inner if type(one) in _CONTAINERS]
        if not level:
            return
    raise WireError(f"containers are nested more than {MAX_DEPTH} deep")


class _Encoder:
    def __init__(self, keep: Callable[[Any], Handle] | None):
        self.keep = keep
        self.depth = 0

    def pack(self, value: Any) -> bytes:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise WireError(f"containers are nested more than {MAX_DEPTH} deep")
        try:
            body: bytes = msgpack.packb(
                value, default=self.extend, strict_types=True, unicode_errors="surrogatepass"
            )
        except (ValueError, OverflowError, RecursionError) as error:
            raise WireError(str(error)) from error
        finally:
            self.depth -= 1
        if len(body) > MAX_FRAME:
            raise WireError(f"a value of over {MAX_FRAME >> 20} MiB does not travel")
        return body

    def extend(self, value: Any) -> Any:
        """What msgpack does not know by itself, as an extension or as a plainer value."""
        kind = type(value)
        if isinstance(value, tuple) and (kind is tuple or hasattr(kind, "_fields")):
            return msgpack.ExtType(_TUPLE, self.pack(list(value)))
        if kind in (set, frozenset):
            code = _SET if kind is set else _FROZENSET
            return msgpack.ExtType(code, self.pack(list(value)))
        if kind is OrderedDict:
            return dict(value)
        if kind is complex:
            return msgpack.ExtType(_COMPLEX, self.pack([value.real, value.imag]))
        if kind is int:  # beyond 64 bits
            size = (value.bit_length() + 8) // 8
            if size > MAX_INT_BYTES:
                raise WireError(f"an integer of {size} bytes does not travel")
            return msgpack.ExtType(_INT, value.to_bytes(size, "big", signed=True))
        if kind is slice:
            return msgpack.ExtType(_SLICE, self.pack([value.start, value.stop, value.step]))
        if value is Ellipsis:
            return msgpack.ExtType(_ELLIPSIS, b"")
        if kind is Handle:
            return msgpack.ExtType(_HANDLE, self.pack([value.id, value.type]))
        torch = sys.modules.get("torch")
        if torch is not None:
            if isinstance(value, torch.Tensor):
                return self.tensor(value, torch)
            if kind is torch.dtype:
                return msgpack.ExtType(_DTYPE, str(value).removeprefix("torch.").encode())
            if kind is torch.Size:
                return msgpack.ExtType(_TUPLE, self.pack(list(value)))
        for plain in (bool, int, float, str):  # numpy scalars, enum members, subclasses
            if isinstance(value, plain) and kind is not plain:
                return plain(value)
        if self.keep is None:
            raise WireError(f"a {kind.__name__} is not data")
        return self.extend(self.keep(value))

    def tensor(self, value: Any, torch: Any) -> msgpack.ExtType:
        name = str(value.dtype).removeprefix("torch.")
        if name not in _DTYPES or value.layout is not torch.strided:
            raise WireError(f"a {value.dtype} tensor of layout {value.layout} does not travel")
        size = value.numel() * value.element_size()
        if size > MAX_FRAME:
            raise WireError(
                f"a tensor of {size >> 20} MiB does not travel; the limit is {MAX_FRAME >> 20} MiB"
            )
        plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        raw = ctypes.string_at(plain.data_ptr(), size) if size else b""
        return msgpack.ExtType(_TENSOR, self.pack([name, list(plain.shape), raw]))


class _Decoder:
    hooks: Mapping[str, Any] = {}

    def __init__(self, resolve: Callable[[Handle], Any] | None):
        self.resolve = resolve
        self.depth = 0

    def unpack(self, body: bytes | memoryview) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise WireError(f"containers are nested more than {MAX_DEPTH} deep")
        try:
            return msgpack.unpackb(
                body,
                ext_hook=self.extend,
                strict_map_key=False,
                unicode_errors="surrogatepass",
                timestamp=1,  # msgpack's own extension, which nobody here sends, is a number
                max_array_len=MAX_PARTS,
                max_map_len=MAX_PARTS,
                **self.hooks,
            )
        except WireError:
            raise
        except Exception as error:  # msgpack's own, and what an unhashable key raises
            raise WireError(f"{type(error).__name__}: {error}") from error
        finally:
            self.depth -= 1

    def extend(self, code: int, body: bytes) -> Any:
        if code == _TUPLE:
            return tuple(self.items(body))
        if code == _SET:
            return set(_refuse_collisions(self.items(body)))
        if code == _FROZENSET:
            return frozenset(_refuse_collisions(self.items(body)))
        if code == _COMPLEX:
            real, imag = self.items(body, 2)
            if type(real) is not float or type(imag) is not float:
                raise WireError("a complex number that is none")
            return complex(real, imag)
        if code == _INT:
            if len(body) > MAX_INT_BYTES:
                raise WireError("an integer that is too long")
            return int.from_bytes(body, "big", signed=True)
        if code == _SLICE:
            parts = self.items(body, 3)
            if not all(part is None or type(part) is int for part in parts):
                raise WireError("a slice that is none")
            return slice(*parts)
        if code == _ELLIPSIS:
            return Ellipsis
        if code == _DTYPE:
            return _dtype(body.decode("ascii", "replace"))
        if code == _TENSOR:
            return self.tensor(*self.items(body, 3))
        if code == _HANDLE:
            number, kind = self.items(body, 2)
            if type(number) is not int or type(kind) is not str:
                raise WireError("a handle that is none")
            handle = Handle(number, kind[:200])
            return handle if self.resolve is None else self.resolve(handle)
        raise WireError(f"unknown extension {code}")

    def items(self, body: bytes, count: int | None = None) -> list[Any]:
        items = self.unpack(body)
        if type(items) is not list or (count is not None and len(items) != count):
            raise WireError("an extension with the wrong parts")
        return items

    def tensor(self, name: Any, shape: Any, raw: Any) -> Any:
        import torch

        dtype = _dtype(name)
        if type(shape) is not list or len(shape) > MAX_DIMS or type(raw) is not bytes:
            raise WireError("a tensor that is none")
        if not all(type(size) is int and 0 <= size <= MAX_FRAME for size in shape):
            raise WireError("a tensor with an impossible shape")
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise WireError("a tensor whose bytes do not fill its shape")
        if not raw:
            return torch.empty(shape, dtype=dtype)
        if dtype is torch.bool:  # any byte but 0 and 1 would be no truth value
            return torch.frombuffer(bytearray(raw), dtype=torch.uint8).ne(0).reshape(shape)
        return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)


class _CountingDecoder(_Decoder):
    """Refuses what takes more memory or time to build than its bytes promise."""

    def __init__(self, resolve: Callable[[Handle], Any] | None):
        super().__init__(resolve)
        self.left = 16 * MAX_PARTS  # a tensor is one part, but several containers
        self.hooks = {"list_hook": self.count, "object_pairs_hook": self.table}

    def count(self, parts: Any) -> Any:
        """Called with each container as soon as it is made."""
        self.left -= 1 + len(parts)
        if self.left < 0:
            raise WireError("a message of too many parts")
        return parts

    def table(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """Called with the pairs of each map."""
        _refuse_collisions([key for key, _ in pairs])
        table: dict[Any, Any] = self.count(dict(pairs))
        return table

    def extend(self, code: int, body: bytes) -> Any:
        self.count(())
        return super().extend(code, body)


def _refuse_collisions(keys: list[Any]) -> list[Any]:
    """Refuse keys chosen to share their hashes: a table of them takes quadratic time to fill."""
    if len(keys) - len({hash(key) for key in keys}) > MAX_COLLISIONS:
        raise WireError("keys that collide")
    return keys


def _dtype(name: Any) -> Any:
    import torch

    if name not in _DTYPES:
        raise WireError("no such dtype")
    return getattr(torch, name)


class Frames:
    """Cuts a stream of bytes into frames; a length over the limit is refused before it is read."""

    def __init__(self, limit: int = MAX_FRAME):
        self.limit = limit
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.buffer += data
        while len(self.buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self.buffer)
            if length > self.limit:
                raise WireError(f"a frame of {length} bytes; the limit is {self.limit}")
            end = _LENGTH.size + length
            if len(self.buffer) < end:
                return
            body = bytes(self.buffer[_LENGTH.size : end])
            del self.buffer[:end]
            yield body


def frame(body: bytes) -> bytes:
    """A body with its length in front."""
    return _LENGTH.pack(len(body)) + body


class Line(Protocol):
    """Where bytes come from, and go to: a socket, or two pipes."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> object: ...


def receive(connection: Line, limit: int = MAX_FRAME) -> bytes | None:
    """Wait for one whole frame; None when the other side has closed."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise WireError(f"a frame of {length} bytes; the limit is {limit}")
    return _exactly(connection, length)


def _exactly(connection: Line, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = connection.recv(min(count - len(parts), 1 << 20))
        except ConnectionError:  # it ended with something of ours still unread
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
