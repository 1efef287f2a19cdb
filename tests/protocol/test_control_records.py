"""Markers at the end of transactions: Kafka's bytes, and nothing for control records of another kind."""

import pytest

from kafkalike.protocol.batch import build, crc_ok, read_header, records
from kafkalike.protocol.control_records import ABORT, COMMIT, EndTxnMarker, build_marker, read_marker


def test_a_marker_comes_back():
    for kind in (ABORT, COMMIT):
        wire = build_marker(EndTxnMarker(kind, 7), 5, 2, 1000, base_offset=9)
        assert EndTxnMarker(kind, 7) == read_marker(wire)
        header = read_header(wire)
        assert crc_ok(wire)
        assert (True, True, 5, 2, -1) == (
            header.is_control,
            header.is_transactional,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        )
        assert (9, 9, 1000) == (header.base_offset, header.last_offset, header.max_timestamp)


def test_its_key_and_value_are_kafkas():
    [record] = records(build_marker(EndTxnMarker(COMMIT, 3), 5, 2, 1000))
    assert (b"\0\0\0\1", b"\0\0\0\0\0\3") == (record.key, record.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"\0\0\0\0\0\3"),
        (b"\0\0\0\1", None),
        (b"\0\0\0", b"\0\0\0\0\0\3"),
        (b"\0\0\0\1", b"\0\0\0\0\0"),
        (b"\0\0\0\2", b"\0\0\0\0\0\3"),
    ],
)
def test_other_control_records_are_no_markers(key, value):
    assert None is read_marker(build([(key, value, 0, ())], control=True))
