"""What a client's batch must be, and what a topic's settings make of it."""

import struct
from typing import Any

import pytest
from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.control_records import COMMIT, EndTxnMarker, build_marker
from kafkalike.storage.config import LogConfig
from kafkalike.storage.validation import inspect, plain_attributes
from tests.storage.disk import NOW, a_batch


def patched(data: memoryview, at: int, form: str, value: int, crc: bool = True) -> memoryview:
    """The batch with one field changed, and a checksum that fits again."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    if crc:
        struct.pack_into(">I", changed, 17, crc32c(memoryview(changed)[21:]))
    return memoryview(changed)


good = a_batch(3)


@pytest.mark.parametrize(
    "data, error",
    [
        (memoryview(b""), Error.CORRUPT_MESSAGE),
        (good[:60], Error.CORRUPT_MESSAGE),
        (good[:-1], Error.INVALID_RECORD),
        (memoryview(bytes(good) + b"x"), Error.INVALID_RECORD),
        (memoryview(bytes(good) * 2), Error.INVALID_RECORD),
        (patched(good, 8, ">i", 3), Error.CORRUPT_MESSAGE),
        (patched(good, 8, ">i", -1), Error.CORRUPT_MESSAGE),
        (patched(good, 16, ">b", 0), Error.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (patched(good, 16, ">b", 1), Error.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (memoryview(b"\0" * 8 + b"\0\0\0\x14" + b"\0" * 20), Error.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (memoryview(b"\0" * 61), Error.CORRUPT_MESSAGE),
        (patched(good, 16, ">b", 3), Error.CORRUPT_MESSAGE),
        (patched(good, 70, ">b", 0x55, crc=False), Error.CORRUPT_MESSAGE),
        (patched(good, 0, ">q", 1), Error.INVALID_RECORD),
        (patched(good, 57, ">i", 4), Error.INVALID_RECORD),
        (patched(good, 57, ">i", 0), Error.INVALID_RECORD),
        (patched(good, 57, ">i", -3), Error.INVALID_RECORD),
        (patched(good, 23, ">i", -1), Error.INVALID_RECORD),
        (patched(good, 21, ">h", 0x20), Error.INVALID_RECORD),
        (patched(good, 21, ">h", 0x40), Error.INVALID_RECORD),
        (patched(good, 21, ">h", 0x08), Error.INVALID_TIMESTAMP),
        (patched(good, 21, ">h", 0x05), Error.UNSUPPORTED_COMPRESSION_TYPE),
        (a_batch(1, producer_id=5, producer_epoch=0, base_sequence=-1), Error.INVALID_RECORD),
    ],
)
def test_what_is_wrong_is_refused(data: memoryview, error: Error) -> None:
    with pytest.raises(KafkaError) as raised:
        inspect(data, LogConfig(), NOW, True)
    assert error == raised.value.error


def test_what_is_right_stays_the_same_object() -> None:
    assert good is inspect(good, LogConfig(), NOW, True)


def test_a_batch_may_be_as_large_as_the_topic_says() -> None:
    assert good is inspect(good, LogConfig(max_message_bytes=len(good)), NOW, True)
    with pytest.raises(KafkaError) as raised:
        inspect(good, LogConfig(max_message_bytes=len(good) - 1), NOW, True)
    assert Error.MESSAGE_TOO_LARGE == raised.value.error


@pytest.mark.parametrize("timestamp, fits", [(-1, True), (NOW - 60, False), (NOW - 50, True), (NOW + 31, False)])
def test_timestamps_stay_within_the_topics_bounds(timestamp: int, fits: bool) -> None:
    config = LogConfig(message_timestamp_before_max_ms=50, message_timestamp_after_max_ms=30)
    data = a_batch(1, timestamp)
    if fits:
        inspect(data, config, NOW, True)
    else:
        with pytest.raises(KafkaError) as raised:
            inspect(data, config, NOW, True)
        assert Error.INVALID_TIMESTAMP == raised.value.error


@pytest.mark.parametrize("codec", range(5))
def test_the_append_time_is_stamped_without_opening_the_records(codec: int) -> None:
    data = a_batch(3, codec=codec)
    stamped = inspect(data, LogConfig(message_timestamp_type="LogAppendTime"), NOW + 77, True)
    header = batch.read_header(stamped)
    assert (NOW + 77, 1, codec) == (header.max_timestamp, header.timestamp_type, header.codec)
    assert batch.crc_ok(stamped)
    assert bytes(data[61:]) == bytes(stamped[61:])
    assert 0 == batch.read_header(data).timestamp_type, "the client's buffer is not touched"


def test_a_compacted_topic_wants_keys() -> None:
    config = LogConfig(cleanup_policy=("compact",))
    keyless = memoryview(batch.build([(b"k", b"v", NOW, ()), (None, b"v", NOW, ())]))
    with pytest.raises(KafkaError) as raised:
        inspect(keyless, config, NOW, True)
    assert Error.INVALID_RECORD == raised.value.error
    assert good is inspect(good, config, NOW, True)


@pytest.mark.parametrize("source", range(5))
@pytest.mark.parametrize("name, codec", [("uncompressed", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)])
def test_the_topics_codec_replaces_the_clients(source: int, name: str, codec: int) -> None:
    fields: dict[str, Any] = dict(producer_id=9, producer_epoch=2, base_sequence=40, transactional=True)
    data = a_batch(3, codec=source, **fields)
    made = inspect(data, LogConfig(compression_type=name), NOW, True)
    header = batch.read_header(made)
    assert codec == header.codec
    assert (9, 2, 40, True) == (
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.is_transactional,
    )
    assert list(batch.records(data)) == list(batch.records(made))


def test_coordinators_write_control_batches() -> None:
    marker = memoryview(build_marker(EndTxnMarker(COMMIT, 5), 1, 0, NOW))
    assert marker is inspect(marker, LogConfig(compression_type="zstd"), NOW, False)
    with pytest.raises(KafkaError):
        inspect(marker, LogConfig(), NOW, True)


def test_only_settings_that_need_a_second_look_leave_the_straight_way() -> None:
    assert {0, 1, 2, 3, 4, 16, 17, 18, 19, 20} == plain_attributes(LogConfig())
    assert {4, 20} == plain_attributes(LogConfig(compression_type="zstd"))
    for config in (
        LogConfig(message_timestamp_type="LogAppendTime"),
        LogConfig(cleanup_policy=("compact",)),
        LogConfig(message_timestamp_after_max_ms=3600000),
    ):
        assert set() == plain_attributes(config)
