"""The check that each write of offsets begins with."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from zk.client import Check
from zk.wire import Code, ZkError

A, B = group_in(0), group_in(1)
OK, AGAIN = [Error.NONE], [Error.COORDINATOR_LOAD_IN_PROGRESS]


def test_every_write_checks_that_this_broker_still_coordinates() -> None:
    broker = FakeBroker()
    broker.commit(A, ("t", 0, 1))
    broker.commit(B, ("t", 0, 1))
    broker.settle()
    checks = [each.path for multi in broker.zk.multis() for each in multi if isinstance(each, Check)]
    state = "/brokers/topics/__consumer_offsets/partitions/{}/state"
    assert set(checks) == {state.format(0), state.format(1)}


def test_a_changed_isr_is_read_again_and_the_commit_goes_on() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.state(0, leader=1, epoch=0, isr=(1, 2))
    broker.committed(A, ("t", 0, 2))
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"2"


def test_a_deposed_coordinator_writes_nothing() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.committed(B, ("t", 0, 1))
    broker.state(0, leader=2, epoch=1)
    deposed, other = broker.commit(A, ("t", 0, 2)), broker.commit(B, ("t", 0, 2))
    broker.settle()
    assert (deposed, other) == ([[Error.NOT_COORDINATOR]], [OK])
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"
    assert broker.zk.data(f"/consumers/{B}/offsets/t/0") == b"2"


def test_the_same_leader_in_a_later_epoch_is_another_coordinator_until_it_is_told() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.state(0, leader=1, epoch=1)
    deposed = broker.commit(A, ("t", 0, 2))
    broker.settle()
    assert deposed == [[Error.NOT_COORDINATOR]]
    broker.replicas.callback(0, 1, True)
    broker.settle()
    broker.committed(A, ("t", 0, 3))


def test_what_was_read_before_the_epoch_grew_ends_nothing() -> None:
    """The same leader is told of a later epoch while it reads the state for the one before (simulation, 400236)."""
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    answers: list[bool] = []
    broker.group_coordinator.commits.fences.confirm(broker.fence(0)).addCallback(answers.append)
    broker.state(0, leader=1, epoch=1)
    broker.replicas.callback(0, 1, True)
    broker.settle()
    assert answers == [True]
    broker.committed(A, ("t", 0, 2))


@pytest.mark.parametrize("state", [None, b"{", "NoAuth"])
def test_a_state_that_cannot_be_read_makes_nobody_else_the_coordinator(
    state: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has written into the node by hand, and mends it."""
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    path = PartitionNode.path(GROUP_METADATA, 0)
    good = broker.zk.data(path)
    with monkeypatch.context() as patched:
        if state == "NoAuth":
            broker.zk.put(path, good)
            patched.setattr(broker.zk, "do_get", _refuse)
        elif state is None:
            broker.zk.do_delete(path)
        else:
            broker.zk.put(path, state)
        answers = broker.commit(A, ("t", 0, 2))
        broker.settle(2.5)
    broker.zk.put(path, good)
    broker.settle(1.5)
    assert answers == [OK]
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"2"
    assert 1 == len(caplog.records)


def _refuse(path: str) -> Any:
    raise ZkError(Code.NO_AUTH)
