"""Offsets that go away: with time, and with their topics."""

from __future__ import annotations

import pytest

from kafkalike.coordinator.commits import TOPIC
from kafkalike.errors import Error, KafkaError
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.test_shards import stable, state_of

A, B = group_in(0), group_in(1)


def test_a_deleted_topic_takes_its_offsets_along() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1, 1, "x"), ("u", 0, 1))
    broker.committed(B, ("t", 1, 1))
    broker.zk.put("/consumers/classic/offsets/t/0", b"3")
    broker.metadata.topics(**{"u": 2, TOPIC: 2})
    # The topic is made again at once, and somebody commits: that is kept.
    broker.metadata.topics(**{"t": 2, "u": 2, TOPIC: 2})
    answers = broker.commit(A, ("t", 0, 9))
    assert [each.offset for _, each in broker.wait(broker.groups.fetch(A, [("t", 0)]))] == [-1]
    broker.settle()
    assert answers == [[Error.NONE]]
    assert broker.zk.below("/consumers") == {
        f"/consumers/{A}/offsets/t/0": b"9",
        f"/consumers/{A}/offsets/u/0": b"1",
    }


def test_a_deleted_topic_is_cleaned_up_when_zookeeper_is_back() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1), ("u", 0, 1))
    broker.zk.suspend()
    broker.metadata.topics(**{"u": 2, TOPIC: 2})
    with pytest.raises(KafkaError, match="COORDINATOR_LOAD_IN_PROGRESS"):
        broker.wait(broker.groups.fetch(A, [("t", 0)]))
    broker.settle(20)
    broker.zk.connect()
    broker.settle(2)
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/u/0": b"1"}


def test_before_there_is_a_coordinator_the_controller_cleans_up() -> None:
    broker = FakeBroker(lead=())
    broker.metadata.topics(t=2, u=2)
    broker.zk.put("/consumers/classic/offsets/t/0", b"3")
    broker.metadata.topics(u=2)
    broker.settle()
    assert broker.zk.below("/consumers") == {}


def test_offsets_of_a_simple_group_expire_and_the_group_with_the_last() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.settle(400)
    broker.committed(A, ("t", 1, 1))
    broker.settle(300)
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/t/1": b"1"}
    broker.settle(400)
    assert f"/consumers/{A}" not in broker.zk.tree.nodes


def test_nothing_expires_while_classic_consumers_live() -> None:
    broker = FakeBroker()
    broker.zk.put(f"/consumers/{A}/ids/x", b"{}")
    broker.committed(A, ("t", 0, 1))
    broker.settle(800)
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"


def test_an_empty_group_without_offsets_goes_away() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.groups.leave(A, [(member, None, None)], lambda _: None)
    broker.settle(70)
    assert state_of(broker) == "Dead"
    assert f"/consumers/{A}" not in broker.zk.tree.nodes
