"""Records: what is inside a batch, when its codec is undone."""

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.record import LEAST_SIZE, Record, decode_records, encode_record

RECORDS = [
    Record(10, 1000, b"key", b"value", (("name", b"content"), ("none", None))),
    Record(12, 900, None, None),
    Record(70000, 2**41, b"", bytes(9000)),
]


def encoded(records, base_offset=10, base_timestamp=1000):
    return b"".join(encode_record(record, base_offset, base_timestamp) for record in records)


def test_records_come_back():
    assert RECORDS == list(decode_records(encoded(RECORDS), 3, 10, 1000, None))


def test_the_time_of_the_append_counts_for_each():
    assert [5, 5, 5] == [record.timestamp for record in decode_records(encoded(RECORDS), 3, 10, 1000, 5)]


def test_the_smallest_record():
    assert LEAST_SIZE == len(encoded([Record(10, 1000, None, None)]))


@pytest.mark.parametrize("count", [2, 4])
def test_there_are_as_many_as_announced(count):
    with pytest.raises(KafkaError) as caught:
        list(decode_records(encoded(RECORDS), count, 10, 1000, None))
    assert Error.INVALID_RECORD == caught.value.error


def test_a_record_that_is_cut_off_is_invalid():
    data = encoded(RECORDS[:1])
    for end in range(len(data)):
        with pytest.raises(KafkaError) as caught:
            list(decode_records(data[:end], 1, 10, 1000, None))
        assert Error.INVALID_RECORD == caught.value.error
