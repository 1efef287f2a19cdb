"""What kafka-reassign-partitions plans."""

import pytest

from kafkalike.cli.planning import reassignment
from kafkalike.cli.planning.reassignment import Move
from kafkalike.client.admin.replicas import OngoingReassignment


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([], "Partition reassignment list cannot be empty"),
        ([(("a", 0), [])], "Partition replica list cannot be empty"),
        ([(("a", 0), [1]), (("a", 0), [2])], "Partition reassignment contains duplicate topic partitions: a-0"),
        (
            [(("a", 0), [1, 1]), (("a", 1), [2, 3, 2, 3])],
            "Partition replica lists may not contain duplicate entries: a-0 contains multiple entries for 1. "
            "a-1 contains multiple entries for 2,3",
        ),
    ],
)
def test_what_cannot_be_executed(targets, said: str) -> None:
    with pytest.raises(ValueError) as problem:
        reassignment.executable(targets)
    assert said == str(problem.value)


def test_a_move_goes_from_the_present_replicas_to_the_new_ones() -> None:
    planned = reassignment.moves({}, {("a", 0): [2, 3]}, {("a", 0): [1, 2]})
    assert {("a", 0): Move(frozenset({1, 2}), frozenset({3}))} == planned


def test_a_move_in_the_place_of_another_still_starts_where_that_one_did() -> None:
    ongoing = {("a", 0): OngoingReassignment((2, 3, 1), (2, 3), (1,)), ("b", 5): OngoingReassignment((1, 2), (2,), ())}
    planned = reassignment.moves(ongoing, {("a", 0): [4]}, {("a", 0): [2, 3, 1]})
    assert {
        ("a", 0): Move(frozenset({1}), frozenset({4})),
        ("b", 5): Move(frozenset({1}), frozenset({2})),
    } == planned


def test_throttles_name_those_who_send_and_those_who_receive() -> None:
    planned = {("a", 0): Move(frozenset({1, 2}), frozenset({3})), ("a", 1): Move(frozenset({3}), frozenset())}
    assert {"a": "0:1,0:2,1:3"} == reassignment.leader_throttles(planned)
    assert {"a": "0:3"} == reassignment.follower_throttles(planned)
    assert [1, 2, 3] == reassignment.moving_brokers(planned)


def test_lines() -> None:
    done, other = ("a", 0), ("b", 3)
    assert "Reassignment of partition a-0 is completed." == reassignment.status(done, (1, 2), [1, 2], False)
    assert "Reassignment of partition a-0 is still in progress." == reassignment.status(done, (), [1, 2], True)
    assert (
        "There is no active reassignment of partition b-3, but replica set is 2,1 rather than 1,2."
        == reassignment.status(other, (2, 1), [1, 2], False)
    )
    assert "a-0: replicas: 2,1. adding: 2. removing: 1." == reassignment.listed(
        done, OngoingReassignment((2, 1), (2,), (1,))
    )
    assert "a-0: replicas: 2,1." == reassignment.listed(done, OngoingReassignment((2, 1), (), ()))
