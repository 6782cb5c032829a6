"""MessagePack, by the package `msgpack` where it is installed, else here.

The format is that of https://github.com/msgpack/msgpack/blob/master/spec.md. Both give the same: arrays as tuples, so that the
rows of a result are tuples from the start.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Callable, Union

from ._values import adapt

Buffer = Union[bytes, bytearray, memoryview]

#: Nesting that the daemon never exceeds.
_DEPTH_MAX = 64


class MalformedMessage(ValueError):
    """Bytes that are no MessagePack."""


# Writing


def _pack_integer(value: int, append: Callable[[bytes], None]) -> None:
    if 0 <= value < 128 or -32 <= value < 0:
        append(struct.pack("b", value))
    elif value >= 0:
        for tag, form, bits in ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32), (0xCF, ">BQ", 64)):
            if value < 1 << bits:
                append(struct.pack(form, tag, value))
                return
        raise OverflowError("the integer has more than 64 bits")
    else:
        for tag, form, bits in ((0xD0, ">Bb", 7), (0xD1, ">Bh", 15), (0xD2, ">Bi", 31), (0xD3, ">Bq", 63)):
            if value >= -(1 << bits):
                append(struct.pack(form, tag, value))
                return
        raise OverflowError("the integer has more than 64 bits")


def _pack_head(count: int, small: int, small_max: int, tags: tuple[int, ...], append: Callable[[bytes], None]) -> None:
    """A length: in the tag itself up to `small_max`, else behind one of `tags`, for 8 (0 for none), 16 and 32 bits."""
    if count <= small_max:
        append(bytes([small | count]))
    elif tags[0] and count < 1 << 8:
        append(bytes([tags[0], count]))
    elif count < 1 << 16:
        append(struct.pack(">BH", tags[1], count))
    else:
        append(struct.pack(">BI", tags[2], count))


def _pack(value: Any, append: Callable[[bytes], None]) -> None:
    kind = type(value)
    if value is None:
        append(b"\xc0")
    elif kind is bool:
        append(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        _pack_integer(value, append)
    elif isinstance(value, float):
        append(struct.pack(">Bd", 0xCB, value))
    elif isinstance(value, str):
        text = value.encode()
        _pack_head(len(text), 0xA0, 31, (0xD9, 0xDA, 0xDB), append)
        append(text)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        _pack_head(len(data), 0, -1, (0xC4, 0xC5, 0xC6), append)
        append(data)
    elif isinstance(value, (list, tuple)):
        _pack_head(len(value), 0x90, 15, (0, 0xDC, 0xDD), append)
        for item in value:
            _pack(item, append)
    elif isinstance(value, dict):
        _pack_head(len(value), 0x80, 15, (0, 0xDE, 0xDF), append)
        for key, item in value.items():
            _pack(key, append)
            _pack(item, append)
    else:
        _pack(adapt(value), append)


def pack(value: Any) -> bytes:
    """One value as MessagePack, what it has no form for by `adapt`. Raises TypeError, OverflowError, UnicodeEncodeError."""
    pieces: list[bytes] = []
    _pack(value, pieces.append)
    return b"".join(pieces)


# Reading


_FIXED: dict[int, struct.Struct] = {
    0xCA: struct.Struct(">f"), 0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"), 0xCD: struct.Struct(">H"), 0xCE: struct.Struct(">I"), 0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"), 0xD1: struct.Struct(">h"), 0xD2: struct.Struct(">i"), 0xD3: struct.Struct(">q"),
}  # fmt: skip
_CONSTANT = {0xC0: None, 0xC2: False, 0xC3: True}
# What a length belongs to, and its form.
_LENGTH: dict[int, tuple[str, struct.Struct]] = {
    0xC4: ("bin", struct.Struct(">B")), 0xC5: ("bin", struct.Struct(">H")), 0xC6: ("bin", struct.Struct(">I")),
    0xC7: ("ext", struct.Struct(">B")), 0xC8: ("ext", struct.Struct(">H")), 0xC9: ("ext", struct.Struct(">I")),
    0xD9: ("str", struct.Struct(">B")), 0xDA: ("str", struct.Struct(">H")), 0xDB: ("str", struct.Struct(">I")),
    0xDC: ("array", struct.Struct(">H")), 0xDD: ("array", struct.Struct(">I")),
    0xDE: ("map", struct.Struct(">H")), 0xDF: ("map", struct.Struct(">I")),
}  # fmt: skip


class _Reader:
    def __init__(self, data: Buffer) -> None:
        self.data = memoryview(data)
        self.place = 0

    def take(self, count: int) -> memoryview:
        piece = self.data[self.place : self.place + count]
        if len(piece) != count:
            raise MalformedMessage("the message ends too early")
        self.place += count
        return piece

    def value(self, depth: int = 0) -> Any:
        if depth > _DEPTH_MAX:
            raise MalformedMessage("the message is nested too deeply")
        tag = self.take(1)[0]
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag in _CONSTANT:
            return _CONSTANT[tag]
        fixed = _FIXED.get(tag)
        if fixed is not None:
            return fixed.unpack(self.take(fixed.size))[0]
        if tag < 0x90:
            return self.contents("map", tag & 0x0F, depth)
        if tag < 0xA0:
            return self.contents("array", tag & 0x0F, depth)
        if tag < 0xC0:
            return self.contents("str", tag & 0x1F, depth)
        if 0xD4 <= tag <= 0xD8:
            return self.contents("ext", 1 << (tag - 0xD4), depth)
        if tag in _LENGTH:
            kind, form = _LENGTH[tag]
            return self.contents(kind, form.unpack(self.take(form.size))[0], depth)
        raise MalformedMessage(f"0x{tag:02x} begins no value")

    def contents(self, kind: str, count: int, depth: int) -> Any:
        if kind == "str":
            return str(self.take(count), "utf-8")
        if kind == "bin":
            return bytes(self.take(count))
        if kind == "array":
            return tuple([self.value(depth + 1) for _ in range(count)])
        if kind == "map":
            return {self.value(depth + 1): self.value(depth + 1) for _ in range(count)}
        # An extension: the time of the reply, which nobody asks for.
        self.take(count + 1)
        return None


def unpack(data: Buffer) -> Any:
    """The one value that `data` is. Raises MalformedMessage, UnicodeDecodeError."""
    reader = _Reader(data)
    value = reader.value()
    if reader.place != len(reader.data):
        raise MalformedMessage("something follows the message")
    return value


def choose() -> tuple[Callable[[Any], bytes], Callable[[Buffer], Any]]:
    """`pack` and `unpack`: those of the package `msgpack` if it is there, which are some ten times as fast."""
    try:
        import msgpack  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return pack, unpack
    if not hasattr(msgpack, "unpackb") or msgpack.version < (1, 0, 0):
        return pack, unpack

    def fast_pack(value: Any) -> bytes:
        # One for each value, since a signal handler may pack another one meanwhile; `packb` makes one in twice the time.
        packed: bytes = msgpack.Packer(default=adapt).pack(value)
        return packed

    def ignore_extension(code: int, data: bytes) -> None:
        return None

    # The time of a reply, which nobody asks for, is made a float: the least that there is.
    options = {"use_list": False, "strict_map_key": False, "timestamp": 1, "ext_hook": ignore_extension}
    return fast_pack, functools.partial(msgpack.unpackb, **options)
