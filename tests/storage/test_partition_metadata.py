"""partition.metadata, as Kafka writes and reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.storage.partition_metadata import decode_topic_id, encode_topic_id


def test_a_topic_id_is_kafkas() -> None:
    topic_id = bytes(range(16))
    assert b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw" == encode_topic_id(topic_id)
    assert topic_id == decode_topic_id(encode_topic_id(topic_id))


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"version: 0",
        b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw",
        b"topic_id: AAECAwQFBgcICQoLDA0ODw",
        b"version: 0\ntopic_id: AAECAwQFBgc",
        b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_a_topic_id_is_none(data: bytes | None) -> None:
    assert None is decode_topic_id(data)


@given(st.binary(max_size=60))
def test_garbage_is_never_an_error(data: bytes) -> None:
    decode_topic_id(data)
    decode_topic_id(b"version: 0\ntopic_id: " + data)
