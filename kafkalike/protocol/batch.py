"""Record batches, format 2: what producers send, what the log stores, what consumers get, always the same bytes.

    offset bytes field
         0     8 base_offset              the broker overwrites it; the CRC does not cover it
         8     4 length                   of what follows these 12 bytes
        12     4 partition_leader_epoch   the broker overwrites it
        16     1 magic                    2
        17     4 crc                      CRC-32C of everything from attributes on
        21     2 attributes               0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
        23     4 last_offset_delta        kept when compaction removes the last record
        27     8 base_timestamp
        35     8 max_timestamp
        43     8 producer_id              -1 for none
        51     2 producer_epoch
        53     4 base_sequence
        57     4 record_count
        61       records, together in the codec

    record = varint length, int8 attributes, varlong timestamp - base_timestamp, varint offset - base_offset,
             varint key length and key, varint value length and value (-1 for null),
             varint header count, each header as varint length and name, varint length and value

On the broker's hot path only `split`, `crc_ok` and `stamp` run, and records stay shut. Batches that are wrong raise
KafkaError, because they are answered per partition.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol.compression import compress, decompress
from kafkalike.protocol.primitives import LENIENT, Buffer, write_varlong

MAGIC = 2
HEADER_SIZE = 61
# base_offset and length: what `length` does not count.
LOG_OVERHEAD = 12
# partition_leader_epoch, magic, crc: with LOG_OVERHEAD what the CRC does not cover.
CRC_START = 21

CODEC_MASK = 0x07
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL, DELETE_HORIZON = 0x08, 0x10, 0x20, 0x40

# How far the records of one batch may swell when a codec is undone.
MAX_INFLATED = 128 << 20
# A record with neither key, value nor headers.
_LEAST_RECORD = 7

_HEADER = Struct(">qiibIhiqqqhii")
_PREFIX = Struct(">qiib")
_STAMP = Struct(">qii")
_AFTER_CRC = Struct(">hiqqqhii")
_CRC = Struct(">I")

Headers = tuple[tuple[str, bytes | None], ...]


class BatchHeader(NamedTuple):
    """The 61 bytes in front of the records."""

    base_offset: int
    length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def codec(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def timestamp_type(self) -> int:
        """0: the producer's clock, 1: the broker's at append."""
        return 1 if self.attributes & LOG_APPEND_TIME else 0

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def size_bytes(self) -> int:
        return LOG_OVERHEAD + self.length


class Record(NamedTuple):
    """One message as a consumer sees it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


# What `build` takes instead of a Record where offsets just count up: key, value, timestamp, headers.
Unplaced = tuple[bytes | None, bytes | None, int, Headers]


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`, unchecked but for its presence."""
    try:
        return BatchHeader._make(_HEADER.unpack_from(buf, pos))
    except StructError as why:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"batch header cut off at {pos}") from why


def split(buf: Buffer, partial_tail: bool = False) -> list[tuple[BatchHeader, memoryview]]:
    """The batches that fill `buf`; the CRC is not looked at.

    A fetch may end in the middle of a batch: with `partial_tail` such a rest is left out, else it is an error.
    """
    view = memoryview(buf)
    end = len(view)
    batches = []
    pos = 0
    while pos < end:
        if end - pos >= HEADER_SIZE:
            header = BatchHeader._make(_HEADER.unpack_from(view, pos))
            stop = pos + LOG_OVERHEAD + header.length
            if header.magic == MAGIC and header.length >= HEADER_SIZE - LOG_OVERHEAD and stop <= end:
                if header.record_count < 0 or header.last_offset_delta < 0:
                    why = f"batch of {header.record_count} records, last offset delta {header.last_offset_delta}"
                    raise KafkaError(Error.INVALID_RECORD, why)
                batches.append((header, view[pos:stop]))
                pos = stop
                continue
        _check_partial(view[pos:])
        if not partial_tail:
            raise KafkaError(Error.CORRUPT_MESSAGE, f"the last {end - pos} bytes are no whole batch")
        break
    return batches


def _check_partial(rest: memoryview) -> None:
    """Raises unless `rest` is, as far as it goes, the beginning of a batch."""
    if len(rest) < _PREFIX.size:
        return
    _, length, _, magic = _PREFIX.unpack_from(rest)
    if length < 0:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"batch of {length} bytes")
    if magic != MAGIC:
        raise _wrong_magic(magic)
    if length < HEADER_SIZE - LOG_OVERHEAD:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"batch of {length} bytes")


def _wrong_magic(magic: int) -> KafkaError:
    if magic in (0, 1):
        return KafkaError(Error.UNSUPPORTED_FOR_MESSAGE_FORMAT, f"message format {magic} is not supported")
    return KafkaError(Error.CORRUPT_MESSAGE, f"there is no message format {magic}")


def crc_ok(batch: memoryview) -> bool:
    """Whether a whole batch is what its producer computed the checksum of."""
    return bool(crc32c(batch[CRC_START:]) == _CRC.unpack_from(batch, 17)[0])


def stamp(header: BatchHeader, base_offset: int, leader_epoch: int) -> bytes:
    """The first 16 bytes of the batch at its place in the log."""
    return _STAMP.pack(base_offset, header.length, leader_epoch)


def records(batch: Buffer, max_size: int = MAX_INFLATED) -> Iterator[Record]:
    """The records of one whole batch, decompressed to at most `max_size` bytes; the CRC is not looked at."""
    header = read_header(batch)
    if header.magic != MAGIC:
        raise _wrong_magic(header.magic)
    data = bytes(memoryview(batch)[HEADER_SIZE : header.size_bytes])
    if header.codec:
        data = decompress(header.codec, data, max_size)
    if not 0 <= header.record_count * _LEAST_RECORD <= len(data):
        raise KafkaError(Error.INVALID_RECORD, f"{header.record_count} records in {len(data)} bytes")
    return _iterate(header, data)


def _iterate(header: BatchHeader, data: bytes) -> Iterator[Record]:
    base_offset, base_timestamp = header.base_offset, header.base_timestamp
    append_time = header.max_timestamp if header.timestamp_type else None
    end = len(data)
    pos = 0
    key: bytes | None
    value: bytes | None
    # Consumers spend their time here: most numbers are a single byte, the rest is left to _varint.
    try:
        for _ in range(header.record_count):
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = _varint(data, pos)
            stop = pos + length
            if stop > end:
                raise ProtocolError(f"record of {length} bytes, {end - pos} left")
            # Here are the record's attributes, of which none exist.
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
            count = data[pos]
            if count < 0x80:
                count = count >> 1 ^ -(count & 1)
                pos += 1
            else:
                count, pos = _varint(data, pos)
            headers: Headers = ()
            if count:
                headers, pos = _headers(data, pos, count)
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


def build(
    records: Sequence[Record | Unplaced],
    base_offset: int = 0,
    codec: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    leader_epoch: int = -1,
    transactional: bool = False,
    control: bool = False,
) -> bytes:
    """One batch. A Record keeps its offset; (key, value, timestamp, headers) gets the next one after `base_offset`."""
    assert records
    placed = [
        item if isinstance(item, Record) else Record(base_offset + index, item[2], item[0], item[1], item[3])
        for index, item in enumerate(records)
    ]
    base_timestamp = placed[0].timestamp
    body = b"".join(_encode(record, base_offset, base_timestamp) for record in placed)
    body = compress(codec, body) if codec else body
    attributes = codec | (TRANSACTIONAL if transactional else 0) | (CONTROL if control else 0)
    covered = _AFTER_CRC.pack(
        attributes,
        placed[-1].offset - base_offset,
        base_timestamp,
        max(record.timestamp for record in placed),
        producer_id,
        producer_epoch,
        base_sequence,
        len(placed),
    )
    crc = crc32c(body, crc32c(covered))
    length = HEADER_SIZE - LOG_OVERHEAD + len(body)
    return b"".join([_PREFIX.pack(base_offset, length, leader_epoch, MAGIC), _CRC.pack(crc), covered, body])


def _encode(record: Record, base_offset: int, base_timestamp: int) -> bytes:
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
