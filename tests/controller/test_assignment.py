"""Assignments as Kafka's own documentation and tests have them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.controller.assignment import assign
from kafkalike.errors import Error, KafkaError

FIVE: dict[int, str | None] = dict.fromkeys(range(5))
RACKS: dict[int, str | None] = {0: "rack1", 1: "rack3", 2: "rack3", 3: "rack2", 4: "rack2", 5: "rack1"}


def test_without_racks_followers_shift_with_each_round() -> None:
    expected = {
        0: (0, 1, 2), 1: (1, 2, 3), 2: (2, 3, 4), 3: (3, 4, 0), 4: (4, 0, 1),
        5: (0, 2, 3), 6: (1, 3, 4), 7: (2, 4, 0), 8: (3, 0, 1), 9: (4, 1, 2),
    }  # fmt: skip
    assert expected == assign(FIVE, 10, 3, start=0, shift=0)


def test_with_racks_no_two_replicas_share_one_while_another_is_free() -> None:
    expected = {0: (0, 3, 1), 1: (3, 1, 5), 2: (1, 5, 4), 3: (5, 4, 2), 4: (4, 2, 0), 5: (2, 0, 3), 6: (0, 4, 2)}
    assert expected == assign(RACKS, 7, 3, start=0, shift=0)


def test_later_partitions_go_on_where_the_earlier_ones_ended() -> None:
    whole = assign(FIVE, 10, 2, start=3, shift=3)
    # Kafka counts the shift from the first partition that is added, so only within the first round they agree.
    assert {p: whole[p] for p in (3, 4)} == assign(FIVE, 2, 2, start=3, shift=3, first_partition=3)


@pytest.mark.parametrize(
    ("partitions", "factor", "error", "text"),
    [
        (0, 1, Error.INVALID_PARTITIONS, "Number of partitions must be larger than 0."),
        (1, 0, Error.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0."),
        (1, 6, Error.INVALID_REPLICATION_FACTOR, "Replication factor: 6 larger than available brokers: 5."),
    ],
)
def test_what_cannot_be_is_refused_in_kafkas_words(partitions: int, factor: int, error: Error, text: str) -> None:
    with pytest.raises(KafkaError) as caught:
        assign(FIVE, partitions, factor, 0, 0)
    assert (error, text) == (caught.value.error, caught.value.message)


def test_racks_on_some_brokers_only_are_refused() -> None:
    with pytest.raises(KafkaError, match="Not all brokers have rack information"):
        assign({0: "r", 1: None}, 1, 1, 0, 0)


@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9),
    st.booleans(),
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(0, 65535),
    st.integers(0, 65535),
)
def test_leaders_are_spread_evenly_and_replicas_differ(
    brokers: dict[int, str], racked: bool, partitions: int, factor: int, start: int, shift: int
) -> None:
    factor = min(factor, len(brokers))
    known: dict[int, str | None] = {broker_id: rack if racked else None for broker_id, rack in brokers.items()}
    assignment = assign(known, partitions, factor, start, shift)
    assert list(range(partitions)) == list(assignment)
    for replicas in assignment.values():
        assert factor == len(set(replicas)) == len(replicas)
        assert set(replicas) <= set(brokers)
        if racked:
            assert min(factor, len(set(brokers.values()))) == len({brokers[r] for r in replicas})
    leaders = Counter(replicas[0] for replicas in assignment.values())
    assert max(leaders.values()) - (min(leaders.values()) if len(leaders) == len(brokers) else 0) <= 1
