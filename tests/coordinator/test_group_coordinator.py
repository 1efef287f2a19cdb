"""The coordinator's shell: leadership, records, timers, offsets that go away."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.coordinator.group_partition import GroupListing
from kafkalike.coordinator.internal_topic import partition_of
from kafkalike.errors import Error, KafkaError
from tests.coordinator.apache import G, beside_apaches, write
from tests.coordinator.fakes import FakeBroker
from tests.coordinator.groups import A, B, joining, stable, state_of


def test_a_broker_that_does_not_lead_is_not_the_coordinator() -> None:
    broker = FakeBroker(lead=(0,))
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE
    assert broker.group_coordinator.topic.error_of(B) is Error.NOT_COORDINATOR
    assert broker.group_coordinator.heartbeat(B, 1, "m", None) is Error.NOT_COORDINATOR
    assert broker.commit(B, ("t", 0, 1)) == [[Error.NOT_COORDINATOR]]


def test_while_it_loads_everybody_is_told_what_they_understand() -> None:
    broker = FakeBroker(lead=())
    broker.replicas.callback(0, 0, True)
    answers: list[Any] = []
    assert broker.group_coordinator.heartbeat(A, 1, "m", None) is Error.NONE
    assert broker.commit(A, ("t", 0, 1)) == [[Error.COORDINATOR_LOAD_IN_PROGRESS]]
    broker.group_coordinator.join(A, joining(), answers.append)
    broker.group_coordinator.sync(A, 1, "m", None, None, None, {}, answers.append)
    assert [each.error for each in answers] == [Error.COORDINATOR_LOAD_IN_PROGRESS, Error.REBALANCE_IN_PROGRESS]
    broker.settle()
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE


def test_the_empty_group_id_is_no_group() -> None:
    broker = FakeBroker()
    answers: list[Any] = []
    broker.group_coordinator.join("", joining(), answers.append)
    broker.group_coordinator.leave("", [("m", None, None)], answers.append)
    assert [each.error for each in answers] == [Error.INVALID_GROUP_ID] * 2


def test_commits_of_members_are_fenced_by_generation_and_member() -> None:
    broker = FakeBroker()
    member = stable(broker)
    assert broker.commit(A, ("t", 0, 1), generation=0, member=member) == [[Error.ILLEGAL_GENERATION]]
    assert broker.commit(A, ("t", 0, 1), generation=1, member="x") == [[Error.UNKNOWN_MEMBER_ID]]
    assert broker.commit(A, ("t", 0, 1)) == [[Error.UNKNOWN_MEMBER_ID]]
    assert broker.commit(B, ("t", 0, 1), generation=1, member="x") == [[Error.ILLEGAL_GENERATION]]
    answers = broker.commit(A, ("t", 0, 1), ("t", 1, 2), generation=1, member=member)
    broker.settle()
    assert answers == [[Error.NONE, Error.NONE]]


def test_without_zookeeper_a_member_is_kept_for_a_third_of_its_session() -> None:
    """Its heartbeats wait behind its commit, and its session is 10 s."""
    broker = FakeBroker()
    member = stable(broker)
    broker.zk.suspend()
    answers = broker.commit(A, ("t", 0, 2), generation=1, member=member)
    others = broker.commit("g", ("t", 0, 2))
    broker.settle(3.3)
    assert answers == []
    broker.settle(0.1)
    assert answers == [[Error.COORDINATOR_LOAD_IN_PROGRESS]]
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))
    assert raised.value.error is Error.COORDINATOR_LOAD_IN_PROGRESS
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE
    assert others == []
    broker.zk.connect()
    broker.settle()
    assert others == [[Error.NONE]]
    broker.settle(9)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE


def test_groups_that_exist_as_znodes_are_shown_as_empty() -> None:
    broker = FakeBroker(lead=(0,))
    member = stable(broker, topics=("t",))
    assert member
    classic = next(name for name in ("old1", "old2", "old3", "old4") if partition_of(name, 2) == 0)
    elsewhere = next(name for name in ("old1", "old2", "old3", "old4") if partition_of(name, 2) == 1)
    for name in (classic, elsewhere):
        broker.zk.put(f"/consumers/{name}/offsets/t/0", b"5")
    broker.zk.put("/consumers/no-offsets/ids", None)
    error, listed = broker.wait(broker.group_coordinator.list_groups())
    assert (error, sorted(listed)) == (
        Error.NONE,
        sorted([GroupListing(A, "consumer", "Stable"), GroupListing(classic, "", "Empty")]),
    )
    assert state_of(broker, classic) == "Empty"
    assert broker.wait(broker.group_coordinator.describe([elsewhere]))[0].error is Error.NOT_COORDINATOR


def test_unknown_groups_are_dead() -> None:
    assert state_of(FakeBroker(), "nobody") == "Dead"


def test_offset_delete_spares_what_members_consume() -> None:
    broker = FakeBroker()
    member = stable(broker)
    answers = broker.commit(A, ("t", 0, 1), ("u", 0, 1), generation=1, member=member)
    broker.settle()
    assert answers == [[Error.NONE, Error.NONE]]
    assert broker.wait(broker.group_coordinator.delete_offsets(A, [("t", 0), ("u", 0)])) == {
        ("t", 0): Error.GROUP_SUBSCRIBED_TO_TOPIC,
        ("u", 0): Error.NONE,
    }
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.delete_offsets("nobody", [("t", 0)]))
    assert raised.value.error is Error.GROUP_ID_NOT_FOUND


def test_fetching_asks_only_the_coordinator() -> None:
    broker = FakeBroker(lead=(0,))
    broker.committed(A, ("t", 0, 4))
    assert [
        (key, each.offset) for key, each in broker.wait(broker.group_coordinator.fetch(A, [("t", 0), ("t", 1)]))
    ] == [
        (("t", 0), 4),
        (("t", 1), -1),
    ]
    assert [key for key, _ in broker.wait(broker.group_coordinator.fetch(A, None))] == [("t", 0)]
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.fetch(B, None))
    assert raised.value.error is Error.NOT_COORDINATOR


def test_stopping_leaves_no_timer() -> None:
    broker = FakeBroker()
    stable(broker)
    broker.group_coordinator.stop()
    broker.settle()
    assert broker.clock.getDelayedCalls() == []


def test_groups_in_the_log_are_shown_and_those_in_znodes_are_not() -> None:
    broker = beside_apaches()
    write(broker, 5)
    broker.lead(0), broker.lead(1)
    broker.zk.put("/consumers/classic/offsets/t/0", b"1")
    assert [G] == [each.group_id for each in broker.wait(broker.group_coordinator.list_groups())[1]]
    assert ["Empty", "Dead"] == [each.state for each in broker.wait(broker.group_coordinator.describe([G, "classic"]))]
