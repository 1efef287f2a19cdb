"""One message inside a record batch, format 2: the bytes that are together in the batch's codec.

    record = varint length, int8 attributes (0), varlong timestamp - base_timestamp, varint offset - base_offset,
             varint key length and key, varint value length and value (-1 for null),
             varint header count, each header as varint length and name, varint length and value

batch.py undoes the codec and calls `decode_records`; what it cannot read is INVALID_RECORD.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol.primitives import LENIENT, write_varlong

# A record with neither key, value nor headers.
LEAST_SIZE = 7

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """One message as a consumer sees it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def decode_records(
    data: bytes, count: int, base_offset: int, base_timestamp: int, append_time: int | None
) -> Iterator[Record]:
    """Exactly `count` records in the uncompressed `data`; `append_time`, if it is given, is each one's timestamp."""
    end = len(data)
    pos = 0
    key: bytes | None
    value: bytes | None
    # Consumers spend their time here: most numbers are a single byte, the rest is left to _varint.
    try:
        for _ in range(count):
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = _varint(data, pos)
            stop = pos + length
            if stop > end:
                raise ProtocolError(f"record of {length} bytes, {end - pos} left")
            # The next byte holds the record's attributes, of which none exist.
            pos += 1
            delta = data[pos]
            if delta < 0x80:
                delta = delta >> 1 ^ -(delta & 1)
                pos += 1
            else:
                delta, pos = _varint(data, pos, 64)
            timestamp = base_timestamp + delta if append_time is None else append_time
            delta = data[pos]
            if delta < 0x80:
                delta = delta >> 1 ^ -(delta & 1)
                pos += 1
            else:
                delta, pos = _varint(data, pos)
            offset = base_offset + delta
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = _varint(data, pos)
            if length >= 0:
                key = data[pos : pos + length]
                pos += length
            else:
                key = _null(length)
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = _varint(data, pos)
            if length >= 0:
                value = data[pos : pos + length]
                pos += length
            else:
                value = _null(length)
            named = data[pos]
            if named < 0x80:
                named = named >> 1 ^ -(named & 1)
                pos += 1
            else:
                named, pos = _varint(data, pos)
            headers: Headers = ()
            if named:
                headers, pos = _headers(data, pos, named)
            if pos != stop:
                raise ProtocolError(f"record ends {pos - stop} bytes off")
            yield Record(offset, timestamp, key, value, headers)
        if pos != end:
            raise ProtocolError(f"{end - pos} bytes after the last record")
    except (ProtocolError, IndexError) as why:
        raise KafkaError(Error.INVALID_RECORD, str(why)) from why


def _varint(data: bytes, pos: int, bits: int = 32) -> tuple[int, int]:
    """Zigzag; most fit into the first byte."""
    value = data[pos]
    pos += 1
    if value > 0x7F:
        byte = data[pos]
        pos += 1
        value = value & 0x7F | (byte & 0x7F) << 7
        shift = 14
        while byte > 0x7F:
            if shift >= bits:
                raise ProtocolError("varint too long")
            byte = data[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            shift += 7
        if value >> bits:
            raise ProtocolError("varint too large")
    return (value >> 1) ^ -(value & 1), pos


def _null(length: int) -> bytes | None:
    if length != -1:
        raise ProtocolError(f"length {length}")
    return None


def _nullable(data: bytes, pos: int) -> tuple[bytes | None, int]:
    length, pos = _varint(data, pos)
    if length < 0:
        return _null(length), pos
    stop = pos + length
    if stop > len(data):
        raise ProtocolError(f"{length} bytes announced, {len(data) - pos} left")
    return data[pos:stop], stop


def _headers(data: bytes, pos: int, count: int) -> tuple[Headers, int]:
    if not 0 <= count * 2 <= len(data) - pos:
        raise ProtocolError(f"{count} headers")
    headers = []
    for _ in range(count):
        name, pos = _nullable(data, pos)
        if name is None:
            raise ProtocolError("header without a name")
        value, pos = _nullable(data, pos)
        headers.append((name.decode("utf-8", LENIENT), value))
    return tuple(headers), pos


def encode_record(record: Record, base_offset: int, base_timestamp: int) -> bytes:
    """Encodes one record of a batch, before compression."""
    offset, timestamp, key, value, headers = record
    delta = offset - base_offset
    assert delta >= 0, (offset, base_offset)
    parts = [b"\0", _signed(timestamp - base_timestamp), _signed(delta)]
    _add(parts, key)
    _add(parts, value)
    parts.append(_signed(len(headers)))
    for name, content in headers:
        _add(parts, name.encode())
        _add(parts, content)
    body = b"".join(parts)
    return _signed(len(body)) + body


def _add(parts: list[bytes], value: bytes | None) -> None:
    if value is None:
        parts.append(b"\1")
    else:
        parts.append(_signed(len(value)))
        parts.append(value)


def _signed(value: int) -> bytes:
    return _SMALL[value] if 0 <= value < 1024 else write_varlong(value)


_SMALL = [write_varlong(value) for value in range(1024)]
