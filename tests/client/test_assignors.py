"""Assignors: the results of the Java client's for the same input."""

from hypothesis import given
from hypothesis import strategies as st

from kafkalike.client.assignors import ASSIGNORS, assign_range, assign_round_robin


def test_range_gives_the_first_members_one_more_of_each_topic() -> None:
    plan = assign_range({"c2": ["t0", "t1"], "c1": ["t0", "t1"]}, {"t0": 3, "t1": 3})
    assert {
        "c1": [("t0", 0), ("t0", 1), ("t1", 0), ("t1", 1)],
        "c2": [("t0", 2), ("t1", 2)],
    } == plan


def test_round_robin_deals_all_partitions_in_turn() -> None:
    plan = assign_round_robin({"c1": ["t0", "t1"], "c2": ["t0", "t1"]}, {"t0": 3, "t1": 3})
    assert {
        "c1": [("t0", 0), ("t0", 2), ("t1", 1)],
        "c2": [("t0", 1), ("t1", 0), ("t1", 2)],
    } == plan


def test_round_robin_skips_members_that_do_not_want_the_topic() -> None:
    plan = assign_round_robin({"c1": ["t0"], "c2": ["t0", "t1"]}, {"t0": 1, "t1": 2})
    assert {"c1": [("t0", 0)], "c2": [("t1", 0), ("t1", 1)]} == plan


def test_more_members_than_partitions_leaves_some_idle() -> None:
    plan = assign_range({"a": ["t"], "b": ["t"], "c": ["t"]}, {"t": 2})
    assert {"a": [("t", 0)], "b": [("t", 1)], "c": []} == plan


def test_a_topic_that_does_not_exist_gives_nothing() -> None:
    assert {"a": []} == assign_range({"a": ["t"]}, {})
    assert {"a": []} == assign_round_robin({"a": ["t"]}, {})


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("tuv"), unique=True), min_size=1),
    st.dictionaries(st.sampled_from("tuv"), st.integers(0, 7)),
    st.sampled_from(sorted(ASSIGNORS)),
)
def test_every_wanted_partition_has_exactly_one_owner_who_wants_it(
    members: dict[str, list[str]], partitions: dict[str, int], name: str
) -> None:
    plan = ASSIGNORS[name](members, partitions)
    owned = [partition for share in plan.values() for partition in share]
    wanted = {topic for topics in members.values() for topic in topics}
    assert sorted((t, p) for t in wanted for p in range(partitions.get(t, 0))) == sorted(owned)
    assert all(topic in members[member] for member, share in plan.items() for topic, _ in share)
