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

Nobody else knows where a field is or which bit is which. Whoever reads a header gets a BatchHeader; the path of every
produced batch (storage/append_path.py) unpacks HEADER into thirteen names in the same order, compares the checksum of
what begins at CRC_START, and writes `pack_stamp(...)` in front of what begins at STAMP_SIZE. Records stay shut there:
they are in record.py. Batches that are wrong raise KafkaError, because they are answered per partition.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.compression import compress, decompress
from kafkalike.protocol.primitives import Buffer
from kafkalike.protocol.record import LEAST_SIZE, Headers, Record, decode_records, encode_record

MAGIC: Final = 2
HEADER_SIZE: Final = 61
# base_offset and length: what `length` does not count.
LOG_OVERHEAD: Final = 12
# base_offset, length and partition_leader_epoch: what the broker writes anew.
STAMP_SIZE: Final = 16
# What lies before, the CRC does not cover.
CRC_START: Final = 21

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
DELETE_HORIZON: Final = 0x40

NO_PRODUCER_ID: Final = -1
MAX_SEQUENCE: Final = 2**31 - 1  # after which 0 comes
TIMESTAMP_TYPES: Final = ("CreateTime", "LogAppendTime")

# How far the records of one batch may swell when a codec is undone.
MAX_INFLATED: Final = 128 << 20
# The smallest message in the oldest format.
_LEAST_OLD_LENGTH: Final = 14

# The fields of a BatchHeader in their order, for hot paths; all others call `read_header`.
HEADER: Final = Struct(">qiibIhiqqqhii")
_PREFIX = Struct(">qiib")
_CRC = Struct(">I")
_CRC_AT: Final = 17
_AFTER_CRC = Struct(">hiqqqhii")
_PRODUCER = Struct(">qhi")
_PRODUCER_AT: Final = 43

# (base_offset, length, partition_leader_epoch): the first STAMP_SIZE bytes of a batch at its place in the log.
pack_stamp = Struct(">qii").pack

_new = tuple.__new__
_unpack_header = HEADER.unpack_from


class BatchHeader(NamedTuple):
    """The header of a batch: the 61 bytes in front of its records."""

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
        """The place in TIMESTAMP_TYPES. 0: the producer's clock, 1: the broker's at append."""
        return 1 if self.attributes & LOG_APPEND_TIME else 0

    @property
    def delete_horizon_ms(self) -> int | None:
        """The time at which a compacted batch's tombstones and markers may go; the base timestamp holds it
        (KIP-534)."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON else None

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
    def last_sequence(self) -> int:
        """The sequence of the last record; -1 if there are none."""
        return (self.base_sequence + self.last_offset_delta) & MAX_SEQUENCE if self.base_sequence >= 0 else -1

    @property
    def size_bytes(self) -> int:
        return LOG_OVERHEAD + self.length


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`, unchecked but for its presence."""
    try:
        return _new(BatchHeader, _unpack_header(buf, pos))
    except StructError as why:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"batch header cut off at {pos}") from why


def find_header(buf: Buffer, pos: int = 0) -> BatchHeader | None:
    """The header at `pos`; None if it is cut off, or if no batch can have it, whatever comes behind it."""
    try:
        header = _new(BatchHeader, _unpack_header(buf, pos))
    except StructError:
        return None
    possible = header.magic == MAGIC and header.length >= HEADER_SIZE - LOG_OVERHEAD and header.last_offset_delta >= 0
    return header if possible else None


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
            header = _new(BatchHeader, _unpack_header(view, pos))
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


def crc_ok(batch: Buffer) -> bool:
    """Whether a whole batch is what its producer computed the checksum of."""
    return bool(crc32c(memoryview(batch)[CRC_START:]) == _CRC.unpack_from(batch, _CRC_AT)[0])


def old_format(buf: Buffer) -> int | None:
    """0 or 1 if `buf` begins with a message of these formats; their length and magic lie where a batch has its own."""
    if len(buf) < _PREFIX.size:
        return None
    _, length, _, magic = _PREFIX.unpack_from(buf)
    return magic if magic in (0, 1) and length >= _LEAST_OLD_LENGTH else None


def read_producer(batch: Buffer) -> tuple[int, int, int] | None:
    """(producer_id, producer_epoch, base_sequence) of what may be a batch; None if it is too short for them."""
    return _PRODUCER.unpack_from(batch, _PRODUCER_AT) if len(batch) >= _PRODUCER_AT + _PRODUCER.size else None


def with_log_append_time(batch: Buffer, now_ms: int) -> memoryview:
    """A whole batch with the time of its append as the largest timestamp, which then counts for each of its records."""
    stamped = bytearray(batch)
    header = read_header(stamped)
    attributes = header.attributes | LOG_APPEND_TIME
    HEADER.pack_into(stamped, 0, *header._replace(attributes=attributes, max_timestamp=now_ms))
    view = memoryview(stamped)
    _CRC.pack_into(stamped, _CRC_AT, crc32c(view[CRC_START:]))
    return view


def records(batch: Buffer, max_size: int = MAX_INFLATED) -> Iterator[Record]:
    """The records of one whole batch, decompressed to at most `max_size` bytes; the CRC is not looked at."""
    header = read_header(batch)
    if header.magic != MAGIC:
        raise _wrong_magic(header.magic)
    data = bytes(memoryview(batch)[HEADER_SIZE : header.size_bytes])
    if header.codec:
        data = decompress(header.codec, data, max_size)
    count = header.record_count
    if not 0 <= count * LEAST_SIZE <= len(data):
        raise KafkaError(Error.INVALID_RECORD, f"{count} records in {len(data)} bytes")
    append_time = header.max_timestamp if header.timestamp_type else None
    return decode_records(data, count, header.base_offset, header.base_timestamp, append_time)


# What `build` takes instead of a Record where offsets just count up: key, value, timestamp, headers.
Unplaced = tuple[bytes | None, bytes | None, int, Headers]


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
    """Builds one batch. A Record keeps its offset; (key, value, timestamp, headers) gets the next one after
    `base_offset`."""
    assert records
    placed = [
        item if isinstance(item, Record) else Record(base_offset + index, item[2], item[0], item[1], item[3])
        for index, item in enumerate(records)
    ]
    base_timestamp = placed[0].timestamp
    body = b"".join(encode_record(record, base_offset, base_timestamp) for record in placed)
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
