"""Record batches: the same bytes as other implementations, and KafkaError for whatever is no batch."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.batch import (
    HEADER_SIZE,
    STAMP_SIZE,
    build,
    crc_ok,
    old_format,
    pack_stamp,
    read_header,
    read_producer,
    records,
    split,
    with_log_append_time,
)
from kafkalike.protocol.record import Record

HEADERS = st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3).map(tuple)
BYTES = st.none() | st.binary(max_size=200)
UNPLACED = st.lists(st.tuples(BYTES, BYTES, st.integers(0, 2**42), HEADERS), min_size=1, max_size=20)


@given(UNPLACED, st.integers(0, 4), st.integers(0, 2**40))
def test_records_come_back(unplaced, codec, base_offset):
    wire = build(unplaced, base_offset=base_offset, codec=codec)
    [(header, view)] = split(wire)
    assert crc_ok(view)
    assert (header.codec, header.record_count, header.size_bytes) == (codec, len(unplaced), len(wire))
    assert header.last_offset == base_offset + len(unplaced) - 1
    assert header.max_timestamp == max(timestamp for _, _, timestamp, _ in unplaced)
    assert list(records(view)) == [
        Record(base_offset + index, timestamp, key, value, headers)
        for index, (key, value, timestamp, headers) in enumerate(unplaced)
    ]


def test_a_header_that_is_not_utf8_is_read_with_a_replacement():
    [record] = records(build([(None, b"", 1, (("caf?", None),))]).replace(b"?", b"\xe9"))
    assert record.headers == (("caf\ufffd", None),)


@given(UNPLACED, st.integers(0, 4))
def test_kafka_python_reads_them(unplaced, codec):
    [theirs] = [list(b) for b in _batches(build(unplaced, codec=codec))]
    assert [(r.key, r.value, r.timestamp, tuple(r.headers)) for r in theirs] == unplaced


def _batches(wire):
    found = MemoryRecords(wire)
    while found.has_next():
        yield found.next_batch()


@given(UNPLACED, st.integers(0, 4), st.booleans())
def test_they_are_kafka_pythons_bytes(unplaced, codec, transactional):
    """Byte for byte without compression; compressors may differ, but what they hold may not."""
    theirs = DefaultRecordBatchBuilder(2, codec, transactional, 77, 3, 11, 1 << 30)
    for index, (key, value, timestamp, headers) in enumerate(unplaced):
        theirs.append(index, timestamp, key, value, list(headers))
    wire = bytes(theirs.build())
    ours = build(unplaced, codec=codec, producer_id=77, producer_epoch=3, base_sequence=11, transactional=transactional)
    if codec == 0:
        # kafka-python leaves the partition leader epoch 0; it is the broker's to fill in.
        assert ours[:12] + ours[16:] == wire[:12] + wire[16:]
    [(header, view)] = split(wire)
    assert crc_ok(view)
    assert header.is_transactional == transactional
    assert list(records(view)) == list(records(ours))


def test_header_fields():
    wire = build(
        [Record(10, 1000, b"k", b"v"), Record(14, 900, None, None)],
        base_offset=10,
        producer_id=5,
        producer_epoch=2,
        base_sequence=8,
        leader_epoch=4,
        transactional=True,
        control=True,
    )
    header = read_header(wire)
    assert (header.base_offset, header.last_offset, header.last_offset_delta, header.record_count) == (10, 14, 4, 2)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (5, 2, 8)
    assert (header.partition_leader_epoch, header.magic, header.timestamp_type) == (4, 2, 0)
    assert (header.base_timestamp, header.max_timestamp) == (1000, 1000)
    assert header.is_transactional
    assert header.is_control
    assert [record.offset for record in records(wire)] == [10, 14]


def test_stamping_leaves_the_checksum_alone():
    wire = build([(b"k", b"v", 1, ())])
    [(header, view)] = split(wire)
    placed = pack_stamp(1234, header.length, 7) + bytes(view[STAMP_SIZE:])
    [(header, view)] = split(placed)
    assert (header.base_offset, header.partition_leader_epoch) == (1234, 7)
    assert crc_ok(view)
    assert [record.offset for record in records(view)] == [1234]


def test_log_append_time_is_every_records_time():
    wire = bytearray(build([(b"k", b"v", 1, ()), (b"k", b"v", 2, ())]))
    wire[22] |= batch.LOG_APPEND_TIME
    wire[35:43] = (99).to_bytes(8, "big")
    assert [record.timestamp for record in records(wire)] == [99, 99]


def test_the_time_of_the_append_is_set_in_the_header_and_the_checksum():
    view = with_log_append_time(build([(b"k", b"v", 1, ()), (b"k", b"v", 2, ())], codec=1), 99)
    header = read_header(view)
    assert (True, 1, 99, 1) == (crc_ok(view), header.codec, header.max_timestamp, header.timestamp_type)
    assert [99, 99] == [record.timestamp for record in records(view)]


def test_the_producer_of_a_batch():
    wire = build([(None, b"", 0, ())], producer_id=5, producer_epoch=2, base_sequence=8)
    assert (5, 2, 8) == read_producer(wire) == read_header(wire)[9:12]
    assert None is read_producer(wire[:56])


def test_sequences_begin_again_at_0():
    wire = build([(None, b"", 0, ())] * 3, producer_id=5, producer_epoch=2, base_sequence=2**31 - 2)
    assert 0 == read_header(wire).last_sequence
    assert -1 == read_header(build([(None, b"", 0, ())])).last_sequence


def test_a_delete_horizon_takes_the_place_of_the_base_timestamp():
    wire = bytearray(build([(None, b"", 7, ())]))
    assert None is read_header(wire).delete_horizon_ms
    wire[22] |= batch.DELETE_HORIZON
    assert 7 == read_header(wire).delete_horizon_ms


def test_messages_of_the_old_formats_are_known_by_their_magic():
    wire = bytearray(build([(None, b"", 7, ())]))
    assert None is old_format(wire)
    for magic in (0, 1):
        wire[16] = magic
        assert magic == old_format(wire)
        assert None is old_format(wire[:16])
    wire[8:12] = (13).to_bytes(4, "big")
    assert None is old_format(wire)


def test_a_flipped_bit_after_the_crc_is_noticed():
    wire = build([(b"key", b"value", 1, ())])
    for at in range(17, len(wire)):
        damaged = bytearray(wire)
        damaged[at] ^= 1
        assert not crc_ok(memoryview(damaged))


def test_several_batches():
    one, two = build([(None, b"1", 0, ())]), build([(None, b"2", 0, ())], base_offset=1)
    assert [bytes(view) for _, view in split(one + two)] == [one, two]
    assert split(b"") == []


def test_a_partial_batch_at_the_end_is_an_error_unless_expected():
    one, two = build([(None, b"1", 0, ())]), build([(None, b"2", 0, ())], base_offset=1)
    for end in range(1, len(two)):
        assert [bytes(view) for _, view in split(one + two[:end], partial_tail=True)] == [one]
        with pytest.raises(KafkaError) as caught:
            split(one + two[:end])
        assert caught.value.error == Error.CORRUPT_MESSAGE


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (16, b"\0", Error.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (16, b"\1", Error.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (16, b"\3", Error.CORRUPT_MESSAGE),
        (8, b"\xff\xff\xff\xff", Error.CORRUPT_MESSAGE),
        (8, b"\0\0\0\x30", Error.CORRUPT_MESSAGE),
        (8, b"\x7f\xff\xff\xff", Error.CORRUPT_MESSAGE),
        (57, b"\xff\xff\xff\xff", Error.INVALID_RECORD),
        (23, b"\xff\xff\xff\xff", Error.INVALID_RECORD),
    ],
)
def test_headers_that_cannot_be(at, value, error):
    wire = bytearray(build([(None, b"value", 0, ())]))
    wire[at : at + len(value)] = value
    with pytest.raises(KafkaError) as caught:
        split(wire)
    assert caught.value.error == error


@pytest.mark.parametrize("count", [0, 2, 3, 2**31 - 1])
def test_the_record_count_must_be_right(count):
    wire = bytearray(build([(None, b"value", 0, ())]))
    wire[57:61] = count.to_bytes(4, "big")
    with pytest.raises(KafkaError) as caught:
        list(records(wire))
    assert caught.value.error == Error.INVALID_RECORD


def test_damaged_batches_only_ever_raise_kafka_error():
    random = Random(3)
    for codec in range(5):
        unplaced = [(b"key%d" % i, b"value" * i, i, (("h", b"x"),)) for i in range(20)]
        wire = build(unplaced, codec=codec)
        for _ in range(1000):
            damaged = bytearray(wire[: random.choice([len(wire), random.randint(0, len(wire))])])
            for _ in range(random.randint(0, 3) if damaged else 0):
                damaged[random.randrange(len(damaged))] = random.randrange(256)
            try:
                for _, view in split(damaged):
                    crc_ok(view)
                    list(records(view, max_size=1 << 16))
            except KafkaError:
                pass


def test_records_that_swell_are_bounded():
    wire = build([(None, bytes(1 << 20), 0, ())], codec=4)
    assert len(wire) < 1000
    with pytest.raises(KafkaError) as caught:
        list(records(wire, max_size=1 << 19))
    assert caught.value.error == Error.MESSAGE_TOO_LARGE


def test_an_empty_batch_left_by_compaction_has_no_records():
    wire = bytearray(build([(None, b"", 0, ())])[:HEADER_SIZE])
    wire[8:12] = (HEADER_SIZE - 12).to_bytes(4, "big")
    wire[57:61] = bytes(4)
    [(header, view)] = split(wire)
    assert list(records(view)) == []
