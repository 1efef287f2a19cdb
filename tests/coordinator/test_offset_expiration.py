"""Offsets that go away with time, and empty groups with the last of them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import task

from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error
from tests.coordinator.apache import T0, beside_apaches, fetched, logged
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable, state_of

A, B = group_in(0), group_in(1)


def test_offsets_of_a_simple_group_expire_and_the_group_with_the_last() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.settle(400)
    broker.committed(A, ("t", 1, 1))
    broker.settle(300)
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/t/1": b"1"}
    broker.settle(400)
    assert f"/consumers/{A}" not in broker.zk.tree.nodes


@pytest.mark.parametrize("partition", [0, 1])
def test_a_group_that_expires_keeps_a_commit_that_has_just_come(
    partition: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    remove_group = broker.group_coordinator.znodes.remove_group
    answers: list[list[list[Error]]] = []

    async def remove_later(*args: Any, **options: Any) -> None:
        answers.append(broker.commit(A, ("t", partition, 2)))
        await task.deferLater(broker.clock, 0.1, lambda: None)
        await remove_group(*args, **options)

    monkeypatch.setattr(broker.group_coordinator.znodes, "remove_group", remove_later)
    while not answers:
        broker.settle(60)
    broker.settle()
    assert answers == [[[Error.NONE]]]
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/t/{partition}": b"2"}


def test_a_group_with_a_history_that_expires_keeps_a_commit_that_has_just_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.group_coordinator.leave(A, [(member, None, None)], lambda _: None)
    remove_group = broker.group_coordinator.znodes.remove_group
    tries: list[Any] = []

    async def remove_later(*args: Any, **options: Any) -> None:
        # On its way already when the group was found to be without offsets.
        tries.append(broker.zk.put(f"/consumers/{A}/offsets/t/0", b"2"))
        await remove_group(*args, **options)

    monkeypatch.setattr(broker.group_coordinator.znodes, "remove_group", remove_later)
    broker.settle(70)
    assert len(tries) == 1
    assert state_of(broker) == "Empty"
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"2"


def test_a_commit_that_is_being_logged_does_not_expire_with_the_one_before_it() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.committed(A, ("t", 0, 5))
    broker.settle(590)
    broker.replicas.later = []
    answers = broker.commit(A, ("t", 0, 6))
    broker.settle(120)
    (record,) = broker.replicas.later
    record()
    assert answers == [[Error.NONE]]
    assert logged(broker) == {OffsetKey(A, "t", 0): (6, "")}


def test_a_logged_group_that_expires_keeps_a_commit_that_has_just_come(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = beside_apaches()
    broker.lead(0)
    member = stable(broker)
    broker.group_coordinator.leave(A, [(member, None, None)], lambda _: None)
    broker.committed(A, ("t", 0, 5))
    offsets = broker.group_coordinator.topic.partitions[0].contents.offsets
    remove = offsets.remove

    async def remove_slowly(*args: Any) -> int:
        removed = await remove(*args)
        broker.committed(A, ("t", 1, 6))
        return removed

    monkeypatch.setattr(offsets, "remove", remove_slowly)
    broker.settle(720)
    assert state_of(broker) == "Empty"
    assert logged(broker) == {OffsetKey(A, "t", 1): (6, "")}


def test_nothing_expires_while_classic_consumers_live() -> None:
    broker = FakeBroker()
    broker.zk.put(f"/consumers/{A}/ids/x", b"{}")
    broker.committed(A, ("t", 0, 1))
    broker.settle(800)
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"


def test_an_empty_group_without_offsets_goes_away() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.group_coordinator.leave(A, [(member, None, None)], lambda _: None)
    broker.settle(70)
    assert state_of(broker) == "Dead"
    assert f"/consumers/{A}" not in broker.zk.tree.nodes


def test_offsets_in_the_log_expire() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.committed(A, ("t", 0, 5))
    for _ in range(13):
        broker.clock.advance(60)
        broker.settle(0.1)
    assert {} == logged(broker)
    assert [Committed()] == fetched(broker, T0)
