"""The wire's scalars: `read_x(buf, pos) -> (value, pos)` and `write_x(value) -> bytes`, all big-endian.

For headers and for the small formats around the messages; the messages themselves go through `compiler.py`, which
writes the same forms inline. Every reader raises ProtocolError instead of reading past the end, and no length is
believed before it was compared with what is left.
"""

import codecs
import re
from struct import Struct
from struct import error as StructError

from kafkalike.errors import ProtocolError

Buffer = bytes | bytearray | memoryview

INT8, INT16, INT32, INT64 = Struct(">b"), Struct(">h"), Struct(">i"), Struct(">q")


def _fixed(form: Struct, buf: Buffer, pos: int) -> tuple[int, int]:
    try:
        return form.unpack_from(buf, pos)[0], pos + form.size
    except StructError as why:
        raise ProtocolError(f"number cut off at {pos}") from why


def read_int8(buf: Buffer, pos: int) -> tuple[int, int]:
    return _fixed(INT8, buf, pos)


def read_int16(buf: Buffer, pos: int) -> tuple[int, int]:
    return _fixed(INT16, buf, pos)


def read_int32(buf: Buffer, pos: int) -> tuple[int, int]:
    return _fixed(INT32, buf, pos)


def read_int64(buf: Buffer, pos: int) -> tuple[int, int]:
    return _fixed(INT64, buf, pos)


write_int8, write_int16, write_int32, write_int64 = INT8.pack, INT16.pack, INT32.pack, INT64.pack


# Variable length: seven bits a byte, lowest first, the top bit says that another byte follows. Lengths and tags are
# unsigned; inside records numbers are signed and zigzagged (0, -1, 1, -2, ... become 0, 1, 2, 3, ...).


def _read_bits(buf: Buffer, pos: int, bits: int) -> tuple[int, int]:
    value = 0
    try:
        for shift in range(0, bits, 7):
            byte = buf[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    break
                return value, pos
    except IndexError as why:
        raise ProtocolError(f"varint cut off at {pos}") from why
    raise ProtocolError(f"varint of more than {bits} bits at {pos}")


def read_uvarint(buf: Buffer, pos: int) -> tuple[int, int]:
    """Unsigned, at most 32 bits in 5 bytes."""
    return _read_bits(buf, pos, 32)


def read_varint(buf: Buffer, pos: int) -> tuple[int, int]:
    """Zigzagged, at most 32 bits in 5 bytes."""
    value, pos = _read_bits(buf, pos, 32)
    return (value >> 1) ^ -(value & 1), pos


def read_varlong(buf: Buffer, pos: int) -> tuple[int, int]:
    """Zigzagged, at most 64 bits in 10 bytes."""
    value, pos = _read_bits(buf, pos, 64)
    return (value >> 1) ^ -(value & 1), pos


def write_uvarint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return _SINGLE[value]
    if 0 <= value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if 0 <= value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    assert value >= 0, value
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SINGLE = [bytes([value]) for value in range(0x80)]


def write_varint(value: int) -> bytes:
    return write_uvarint((value << 1) ^ (value >> 31))


def write_varlong(value: int) -> bytes:
    return write_uvarint((value << 1) ^ (value >> 63))


# Classic forms have an int16 or int32 length and -1 for null; compact forms a varint of length + 1 and 0 for null.


def _take(buf: Buffer, pos: int, length: int) -> tuple[Buffer, int]:
    if length > len(buf) - pos:
        raise ProtocolError(f"{length} bytes announced at {pos}, {len(buf) - pos} left")
    return buf[pos : pos + length], pos + length


_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]?")


def _replacement(fault: UnicodeError) -> tuple[str, int]:
    """The rest of the text, with U+FFFD for what is not UTF-8. One call does it all: with one for each byte, a million
    would take a second. Python would replace each byte of a surrogate by itself, Java replaces the whole of it by one
    character."""
    assert isinstance(fault, UnicodeDecodeError)
    rest = _SURROGATE.sub(b"\xff", fault.object[fault.start :])
    return rest.decode("utf-8", "replace"), len(fault.object)


# How to decode a string that is not UTF-8: a client that writes Latin-1 is served, as in Kafka.
LENIENT = "kafkalike.replacement"
codecs.register_error(LENIENT, _replacement)


def _text(raw: Buffer) -> str:
    return str(raw, "utf-8", LENIENT)


def read_nullable_string(buf: Buffer, pos: int) -> tuple[str | None, int]:
    length, pos = read_int16(buf, pos)
    if length == -1:
        return None, pos
    if length < 0:
        raise ProtocolError(f"length {length} at {pos}")
    raw, pos = _take(buf, pos, length)
    return _text(raw), pos


def read_string(buf: Buffer, pos: int) -> tuple[str, int]:
    value, pos = read_nullable_string(buf, pos)
    if value is None:
        raise ProtocolError(f"null at {pos} where none is allowed")
    return value, pos


def read_nullable_bytes(buf: Buffer, pos: int) -> tuple[Buffer | None, int]:
    length, pos = read_int32(buf, pos)
    if length == -1:
        return None, pos
    if length < 0:
        raise ProtocolError(f"length {length} at {pos}")
    return _take(buf, pos, length)


def read_bytes(buf: Buffer, pos: int) -> tuple[Buffer, int]:
    value, pos = read_nullable_bytes(buf, pos)
    if value is None:
        raise ProtocolError(f"null at {pos} where none is allowed")
    return value, pos


def read_compact_nullable_string(buf: Buffer, pos: int) -> tuple[str | None, int]:
    length, pos = read_uvarint(buf, pos)
    if length == 0:
        return None, pos
    raw, pos = _take(buf, pos, length - 1)
    return _text(raw), pos


def read_compact_string(buf: Buffer, pos: int) -> tuple[str, int]:
    value, pos = read_compact_nullable_string(buf, pos)
    if value is None:
        raise ProtocolError(f"null at {pos} where none is allowed")
    return value, pos


def write_nullable_string(value: str | None) -> bytes:
    if value is None:
        return write_int16(-1)
    raw = value.encode()
    return write_int16(len(raw)) + raw


def write_string(value: str) -> bytes:
    raw = value.encode()
    return write_int16(len(raw)) + raw


def write_nullable_bytes(value: Buffer | None) -> bytes:
    return write_int32(-1) if value is None else write_int32(len(value)) + value


def write_bytes(value: Buffer) -> bytes:
    return write_int32(len(value)) + value


def write_compact_nullable_string(value: str | None) -> bytes:
    return b"\0" if value is None else write_compact_string(value)


def write_compact_string(value: str) -> bytes:
    raw = value.encode()
    return write_uvarint(len(raw) + 1) + raw


def skip_tagged_fields(buf: Buffer, pos: int) -> int:
    """The position after a section of tagged fields, none of which is known here."""
    count, pos = read_uvarint(buf, pos)
    for _ in range(count):
        _, pos = read_uvarint(buf, pos)
        size, pos = read_uvarint(buf, pos)
        _, pos = _take(buf, pos, size)
    return pos
