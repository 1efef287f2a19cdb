"""What a produced batch must be, for batches that the straight way through Log.append does not take: those that are
wrong, to say how, and those whose topic wants more than a look at the header.

Most of it needs the header alone. Records are opened only where a topic asks for it: keys on compacted topics,
compression chosen by the broker. Stamping the append time changes two header fields and the checksum.
"""

from typing import Final

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.segment import HEADER, HEADER_SIZE, Found, Header

LEAST_LENGTH: Final = 14  # of a message in the oldest format; below this it is not even one of those
CODECS: Final = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
CODEC, APPEND_TIME, TRANSACTIONAL, CONTROL, DELETE_HORIZON = 0x07, 0x08, 0x10, 0x20, 0x40


def plain_attributes(config: LogConfig) -> frozenset[int]:
    """Attributes of client batches that need nothing on this topic beyond size, counts and checksum."""
    if (
        config.message_timestamp_type == "LogAppendTime"
        or config.compacts
        or config.message_timestamp_before_max_ms < 2**62
        or config.message_timestamp_after_max_ms < 2**62
    ):
        return frozenset()
    codecs = set(CODECS.values()) if config.compression_type == "producer" else {CODECS[config.compression_type]}
    return frozenset(codecs | {codec | TRANSACTIONAL for codec in codecs})


def inspect(records: memoryview, config: LogConfig, now_ms: int, client: bool) -> memoryview:
    """The batch as it is to be appended, perhaps changed; KafkaError if it must not be."""
    header = _check_frame(records, config)
    _, _, _, _, _, attributes, _, base_timestamp, max_timestamp, producer_id, _, sequence, _ = header
    if client:
        _check_header(header)
        if producer_id >= 0 and sequence < 0:
            raise KafkaError(Error.INVALID_RECORD, f"Producer {producer_id} sent a batch with sequence {sequence}.")
        if config.compacts:
            _check_keys(records)
        target = attributes & CODEC if config.compression_type == "producer" else CODECS[config.compression_type]
        if target != attributes & CODEC:
            records = _recompress(records, header, target)
            if len(records) > config.max_message_bytes:
                raise KafkaError(Error.MESSAGE_TOO_LARGE, "The batch is too large in the topic's compression.")
    if config.message_timestamp_type == "LogAppendTime":
        return _stamp(records, now_ms)
    if client:
        for timestamp in (base_timestamp, max_timestamp):
            _check_timestamp(timestamp, config, now_ms)
    return records


def _check_frame(records: memoryview, config: LogConfig) -> Header:
    """Exactly one batch of format 2, of a size that the topic takes, that came through unharmed."""
    if len(records) > 16 and records[16] < 2 and int.from_bytes(records[8:12], "big", signed=True) >= LEAST_LENGTH:
        raise KafkaError(
            Error.UNSUPPORTED_FOR_MESSAGE_FORMAT, f"Message format {records[16]} is not supported, only 2 is."
        )
    if len(records) < HEADER_SIZE:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"{len(records)} bytes are no record batch.")
    header: Header = HEADER.unpack_from(records)
    base, length, _, magic, crc, attributes, *_ = header
    if magic != 2 or length + 12 < HEADER_SIZE:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"No record batch: magic {magic}, length {length}.")
    if length + 12 != len(records):
        raise KafkaError(
            Error.INVALID_RECORD,
            f"Only one record batch is allowed; the first is {length + 12} of {len(records)} bytes.",
        )
    if len(records) > config.max_message_bytes:
        raise KafkaError(
            Error.MESSAGE_TOO_LARGE, f"The batch has {len(records)} bytes, more than {config.max_message_bytes}."
        )
    if crc32c(records[21:]) != crc:
        raise KafkaError(Error.CORRUPT_MESSAGE, "The batch fails its checksum.")
    if base != 0:
        raise KafkaError(Error.INVALID_RECORD, f"The base offset of a produced batch is 0, not {base}.")
    if attributes & CODEC > 4:
        raise KafkaError(Error.UNSUPPORTED_COMPRESSION_TYPE, f"There is no codec {attributes & CODEC}.")
    return header


def _check_header(header: Header) -> None:
    attributes, delta, count = header[5], header[6], header[12]
    if delta < 0 or count <= 0 or delta + 1 != count:
        raise KafkaError(Error.INVALID_RECORD, f"The batch counts {count} records, its last offset delta is {delta}.")
    if attributes & CONTROL:
        raise KafkaError(Error.INVALID_RECORD, "Clients may not write control records.")
    if attributes & DELETE_HORIZON:
        raise KafkaError(Error.INVALID_RECORD, "Clients may not set a delete horizon.")
    if attributes & APPEND_TIME:
        raise KafkaError(Error.INVALID_TIMESTAMP, "The timestamp type LogAppendTime is the broker's to set.")


def _check_timestamp(timestamp: int, config: LogConfig, now_ms: int) -> None:
    low, high = now_ms - config.message_timestamp_before_max_ms, now_ms + config.message_timestamp_after_max_ms
    if timestamp != -1 and not low <= timestamp <= high:
        raise KafkaError(Error.INVALID_TIMESTAMP, f"The timestamp {timestamp} is not within [{low}, {high}].")


def _check_keys(records: memoryview) -> None:
    for index, record in enumerate(batch.records(records)):
        if record.key is None:
            raise KafkaError(Error.INVALID_RECORD, f"Record {index} has no key; a compacted topic needs one.")


def _recompress(records: memoryview, header: Header, codec: int) -> memoryview:
    return memoryview(
        batch.build(
            list(batch.records(records)),
            codec=codec,
            producer_id=header[9],
            producer_epoch=header[10],
            base_sequence=header[11],
            transactional=bool(header[5] & TRANSACTIONAL),
        )
    )


def _stamp(records: memoryview, now_ms: int) -> memoryview:
    """The batch with the append time as its largest timestamp, which then counts for each of its records."""
    header = list(HEADER.unpack_from(records))
    header[5] |= APPEND_TIME
    header[8] = now_ms
    stamped = bytearray(records)
    HEADER.pack_into(stamped, 0, *header)
    view = memoryview(stamped)
    header[4] = crc32c(view[21:])
    HEADER.pack_into(stamped, 0, *header)
    return view


def followed(records: memoryview, next_offset: int) -> list[Found]:
    """The whole batches in what a leader sent, checked; positions count from its first byte. A last batch that is
    cut off is left out."""
    batches: list[Found] = []
    end = 0
    while len(records) - end >= HEADER_SIZE:
        header: Header = HEADER.unpack_from(records, end)
        size = header[1] + 12
        if size < HEADER_SIZE or header[3] != 2 or header[6] < 0:
            raise KafkaError(Error.CORRUPT_MESSAGE, f"No record batch at offset {next_offset} of what the leader sent.")
        if end + size > len(records):
            break
        if header[0] < next_offset:
            raise KafkaError(
                Error.UNKNOWN_SERVER_ERROR, f"The leader sent offset {header[0]}, this log goes on at {next_offset}."
            )
        if crc32c(records[end + 21 : end + size]) != header[4]:
            raise KafkaError(Error.CORRUPT_MESSAGE, f"The batch at offset {header[0]} fails its checksum.")
        batches.append(Found(end, size, header))
        end += size
        next_offset = batches[-1].last_offset + 1
    return batches
