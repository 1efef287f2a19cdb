"""What arithmetic says of a znode's size, against the znode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.cluster import znode_sizes
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import Assignment, TopicNode
from kafkalike.errors import Error, KafkaError

ID = b"x" * 16


def encoded(partitions: dict[int, Assignment]) -> int:
    return len(TopicNode(partitions, ID).encode())


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 1), (0, 10), (9, 11), (5, 5), (98, 10003), (100, 101)])
def test_the_digits_of_many_numbers(start: int, end: int) -> None:
    assert sum(len(str(number)) for number in range(start, end)) == znode_sizes._digits(start, end)


@given(
    st.integers(0, 1200), st.integers(0, 3000), st.integers(1, 4), st.sampled_from([[1, 2, 3, 4], [998, 1002, 7, 9]])
)
def test_a_new_topic_is_never_larger_than_it_was_said_to_be(
    first: int, count: int, factor: int, brokers: list[int]
) -> None:
    spread = {
        p: Assignment(tuple(brokers[(p + at) % len(brokers)] for at in range(factor)))
        for p in range(first, first + count)
    }
    said = znode_sizes.partitions(first, count, factor, brokers)
    real = encoded(spread) - encoded({})
    assert real <= said + 12 <= 1.2 * real + 24


@given(
    st.dictionaries(
        st.integers(0, 5000),
        st.builds(
            Assignment,
            st.lists(st.integers(0, 2000), min_size=1, max_size=4).map(tuple),
            st.lists(st.integers(0, 2000), max_size=2).map(tuple),
            st.lists(st.integers(0, 2000), max_size=2).map(tuple),
        ),
        max_size=30,
    )
)
def test_assignments_have_the_size_of_their_lists(assignments: dict[int, Assignment]) -> None:
    # A list's last entry has no comma.
    assert 0 <= znode_sizes.assigned(assignments) - (encoded(assignments) - encoded({})) <= 3


def test_as_many_partitions_fit_as_the_refusal_says() -> None:
    with pytest.raises(KafkaError) as refused:
        znode_sizes.check_new("t", 10**6, 1, [0])
    assert Error.INVALID_PARTITIONS == refused.value.error
    assert (
        "Topic 't' with 1000000 partitions would take 12889091 bytes in ZooKeeper, where a znode holds 1000000: "
        "at most 84242 partitions with replication factor 1." == refused.value.message
    )
    znode_sizes.check_new("t", 84242, 1, [0])
    with pytest.raises(KafkaError):
        znode_sizes.check_new("t", 84243, 1, [0])
    assert encoded({p: Assignment((0,)) for p in range(84242)}) <= znode_sizes.LIMIT


def test_a_number_of_partitions_is_refused_without_counting_them() -> None:
    with pytest.raises(KafkaError, match="at most 0 partitions"):
        znode_sizes.check_new("t", 2**31 - 1, 3, range(3), taken=znode_sizes.LIMIT)
    with pytest.raises(KafkaError, match="at most 5 partitions"):
        znode_sizes.check_new("t", 2**31 - 6, 3, range(3), first=5, taken=znode_sizes.LIMIT)


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    values = {"a": "x" * 10, "b": '"' * 499_980}
    assert len(EntityConfig.encode(values)) == znode_sizes.configs(values) > znode_sizes.LIMIT
    with pytest.raises(KafkaError, match="The configuration of topic 't' would take"):
        znode_sizes.check_configs("topic 't'", values)
    znode_sizes.check_configs("topic 't'", {"a": "x" * 10})


def test_topics_of_one_request_count_together() -> None:
    znode_sizes.check_together(1, [znode_sizes.LIMIT + 1])
    znode_sizes.check_together(2, [znode_sizes.LIMIT, 0])
    for count, each in ((2, [znode_sizes.LIMIT, 1]), (5001, [])):
        with pytest.raises(KafkaError) as refused:
            znode_sizes.check_together(count, each)
        assert Error.POLICY_VIOLATION == refused.value.error
