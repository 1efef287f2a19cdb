"""Partitioners: where a message goes."""

from collections import Counter

import pytest

from kafkalike.client.partitioners import RoundRobin, Sticky, murmur2, partition_for_key

# From the Java client's own tests, as signed numbers.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_murmur2_equals_javas(key: bytes) -> None:
    assert JAVA[key] & 0xFFFFFFFF == murmur2(key)


def test_a_key_goes_where_the_java_client_puts_it() -> None:
    assert [0, 2, 0, 3, 1, 3] == [partition_for_key(key, 4) for key in JAVA]


def test_round_robin_is_strict_and_per_topic() -> None:
    policy = RoundRobin()
    assert [0, 1] == [policy.choose("a", 2) for _ in range(2)]
    counts: Counter[int] = Counter()
    for _ in range(1000):
        counts[policy.choose("b", 4)] += 1
        policy.batch_closed("b", 4)
    assert {0: 250, 1: 250, 2: 250, 3: 250} == counts
    assert 0 == policy.choose("a", 2)


def test_round_robin_takes_in_new_partitions() -> None:
    policy = RoundRobin()
    assert [0, 1, 2, 3, 0] == [policy.choose("a", count) for count in (2, 2, 4, 4, 4)]


def test_sticky_stays_until_the_batch_is_closed() -> None:
    policy = Sticky()
    assert [0, 0] == [policy.choose("a", 3) for _ in range(2)]
    policy.batch_closed("a", 3)
    assert [1, 1] == [policy.choose("a", 3) for _ in range(2)]
