"""What a produced batch must be, for batches that the straight way through Log.append does not take: those that are
wrong, to say how, and those whose topic wants more than a look at the header.

Most of it needs the header alone. Records are opened only where a topic asks for it: keys on compacted topics,
compression chosen by the broker. Stamping the append time changes two header fields and the checksum.
"""

from typing import Final

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.batch import HEADER_SIZE, TRANSACTIONAL, BatchHeader
from kafkalike.protocol.compression import NAMES
from kafkalike.storage.config import LogConfig
from kafkalike.storage.file_ranges import Found

# The values of compression.type but for "producer".
CODECS: Final = {("uncompressed" if name == "none" else name): codec for codec, name in NAMES.items()}


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
    if client:
        _check_header(header)
        if header.producer_id >= 0 and header.base_sequence < 0:
            raise KafkaError(
                Error.INVALID_RECORD,
                f"Producer {header.producer_id} sent a batch with sequence {header.base_sequence}.",
            )
        if config.compacts:
            _check_keys(records)
        target = header.codec if config.compression_type == "producer" else CODECS[config.compression_type]
        if target != header.codec:
            records = _recompress(records, header, target)
            if len(records) > config.max_message_bytes:
                raise KafkaError(Error.MESSAGE_TOO_LARGE, "The batch is too large in the topic's compression.")
    if config.message_timestamp_type == "LogAppendTime":
        return batch.with_log_append_time(records, now_ms)
    if client:
        for timestamp in (header.base_timestamp, header.max_timestamp):
            _check_timestamp(timestamp, config, now_ms)
    return records


def _check_frame(records: memoryview, config: LogConfig) -> BatchHeader:
    """Exactly one batch of format 2, of a size that the topic takes, that came through unharmed."""
    old = batch.old_format(records)
    if old is not None:
        raise KafkaError(Error.UNSUPPORTED_FOR_MESSAGE_FORMAT, f"Message format {old} is not supported, only 2 is.")
    if len(records) < HEADER_SIZE:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"{len(records)} bytes are no record batch.")
    header = batch.read_header(records)
    if header.magic != batch.MAGIC or header.size_bytes < HEADER_SIZE:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"No record batch: magic {header.magic}, length {header.length}.")
    if header.size_bytes != len(records):
        raise KafkaError(
            Error.INVALID_RECORD,
            f"Only one record batch is allowed; the first is {header.size_bytes} of {len(records)} bytes.",
        )
    if len(records) > config.max_message_bytes:
        raise KafkaError(
            Error.MESSAGE_TOO_LARGE, f"The batch has {len(records)} bytes, more than {config.max_message_bytes}."
        )
    if not batch.crc_ok(records):
        raise KafkaError(Error.CORRUPT_MESSAGE, "The batch fails its checksum.")
    if header.base_offset != 0:
        raise KafkaError(Error.INVALID_RECORD, f"The base offset of a produced batch is 0, not {header.base_offset}.")
    if header.codec not in NAMES:
        raise KafkaError(Error.UNSUPPORTED_COMPRESSION_TYPE, f"There is no codec {header.codec}.")
    return header


def _check_header(header: BatchHeader) -> None:
    delta, count = header.last_offset_delta, header.record_count
    if delta < 0 or count <= 0 or delta + 1 != count:
        raise KafkaError(Error.INVALID_RECORD, f"The batch counts {count} records, its last offset delta is {delta}.")
    if header.is_control:
        raise KafkaError(Error.INVALID_RECORD, "Clients may not write control records.")
    if header.delete_horizon_ms is not None:
        raise KafkaError(Error.INVALID_RECORD, "Clients may not set a delete horizon.")
    if header.attributes & batch.LOG_APPEND_TIME:
        raise KafkaError(Error.INVALID_TIMESTAMP, "The timestamp type LogAppendTime is the broker's to set.")


def _check_timestamp(timestamp: int, config: LogConfig, now_ms: int) -> None:
    low, high = now_ms - config.message_timestamp_before_max_ms, now_ms + config.message_timestamp_after_max_ms
    if timestamp != -1 and not low <= timestamp <= high:
        raise KafkaError(Error.INVALID_TIMESTAMP, f"The timestamp {timestamp} is not within [{low}, {high}].")


def _check_keys(records: memoryview) -> None:
    for index, record in enumerate(batch.records(records)):
        if record.key is None:
            raise KafkaError(Error.INVALID_RECORD, f"Record {index} has no key; a compacted topic needs one.")


def _recompress(records: memoryview, header: BatchHeader, codec: int) -> memoryview:
    return memoryview(
        batch.build(
            list(batch.records(records)),
            codec=codec,
            producer_id=header.producer_id,
            producer_epoch=header.producer_epoch,
            base_sequence=header.base_sequence,
            transactional=header.is_transactional,
        )
    )


def followed(records: memoryview, next_offset: int) -> list[Found]:
    """The whole batches in what a leader sent, checked; positions count from its first byte. A last batch that is
    cut off is left out."""
    batches: list[Found] = []
    end = 0
    while len(records) - end >= HEADER_SIZE:
        header = batch.find_header(records, end)
        if header is None:
            raise KafkaError(Error.CORRUPT_MESSAGE, f"No record batch at offset {next_offset} of what the leader sent.")
        size = header.size_bytes
        if end + size > len(records):
            break
        if header.base_offset < next_offset:
            raise KafkaError(
                Error.UNKNOWN_SERVER_ERROR,
                f"The leader sent offset {header.base_offset}, this log goes on at {next_offset}.",
            )
        if not batch.crc_ok(records[end : end + size]):
            raise KafkaError(Error.CORRUPT_MESSAGE, f"The batch at offset {header.base_offset} fails its checksum.")
        batches.append(Found(end, size, header))
        end += size
        next_offset = header.last_offset + 1
    return batches
