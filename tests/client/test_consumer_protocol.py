"""The bytes of subscriptions and assignments."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.client.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kafkalike.errors import ProtocolError

TOPICS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_a_subscription_is_what_javas_consumer_sends() -> None:
    expected = b"\0\1" + b"\0\0\0\2" + b"\0\1a" + b"\0\1b" + b"\xff\xff\xff\xff" + b"\0\0\0\1\0\1a\0\0\0\1\0\0\0\7"
    assert expected == encode_subscription(["b", "a"], [("a", 7)])


@given(st.sets(TOPICS, max_size=5))
def test_subscriptions_come_back(topics: set[str]) -> None:
    assert sorted(topics) == decode_subscription(encode_subscription(topics))


@given(st.sets(st.tuples(TOPICS, st.integers(0, 1000)), max_size=8))
def test_assignments_come_back(partitions: set[tuple[str, int]]) -> None:
    assert sorted(partitions) == sorted(decode_assignment(encode_assignment(partitions)))


def test_no_bytes_are_no_partitions() -> None:
    assert [] == decode_assignment(b"")


def test_what_newer_versions_append_is_ignored() -> None:
    assert ["a"] == decode_subscription(encode_subscription(["a"]) + struct.pack(">ih", 4, -1))


@given(st.binary(max_size=40))
def test_garbage_is_a_protocol_error(data: bytes) -> None:
    for decode in (decode_subscription, decode_assignment):
        try:
            decode(data)
        except ProtocolError:
            continue


def test_a_count_beyond_the_bytes_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_subscription(b"\0\0\x7f\xff\xff\xff")
