"""What a coordinator does for the groups of one partition: records, answers, timers."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator.group import State
from kafkalike.coordinator.group_effects import Joining
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from tests.coordinator.fakes import FakeBroker
from tests.coordinator.groups import A, B, joining, stable, state_of
from zk.client import SessionExpired


def test_a_group_survives_its_coordinator() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.replicas.callback(0, 0, False)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NOT_COORDINATOR
    broker.lead(0, epoch=5)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE
    synced: list[Any] = []
    broker.group_coordinator.sync(A, 1, member, None, None, None, {}, synced.append)
    assert synced[0].assignment == b"all"


def test_a_group_outlives_a_session_that_ends_while_it_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.group_coordinator.leave(A, [(member, None, None)], lambda left: None)
    broker.settle()
    with monkeypatch.context() as patched:
        patched.setattr(broker.group_coordinator.znodes, "remove_group", _session_ends)
        patched.setattr(broker.group_coordinator.znodes, "remove", _session_ends)
        assert broker.wait(broker.group_coordinator.delete(A)) is Error.COORDINATOR_NOT_AVAILABLE
        with pytest.raises(KafkaError) as raised:
            broker.wait(broker.group_coordinator.delete_offsets(A, [("t", 0)]))
        assert raised.value.error is Error.COORDINATOR_NOT_AVAILABLE
    assert state_of(broker) == State.EMPTY.value
    assert broker.wait(broker.group_coordinator.delete(A)) is Error.NONE


def test_a_record_that_is_answered_after_a_deletion_that_failed_belongs_to_the_group_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.replicas.later = []
    broker.group_coordinator.leave(A, [(member, None, None)], lambda left: None)
    (record,) = broker.replicas.later
    broker.replicas.later = None
    with monkeypatch.context() as patched:
        patched.setattr(broker.group_coordinator.znodes, "remove_group", _session_ends)
        assert broker.wait(broker.group_coordinator.delete(A)) is Error.COORDINATOR_NOT_AVAILABLE
    record()
    stable(broker)


def test_a_session_that_ends_while_parents_are_made_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = FakeBroker()
    monkeypatch.setattr(broker.group_coordinator.znodes, "keep_parents", _session_ends)
    stable(broker)
    broker.settle()
    assert [each.levelname for each in caplog.records] == ["WARNING"]


async def _session_ends(*_: Any) -> None:
    raise SessionExpired


def test_whoever_waits_is_told_when_the_coordinator_moves() -> None:
    broker = FakeBroker()
    stable(broker)
    joined: list[Any] = []
    broker.group_coordinator.join(A, joining(), joined.append)
    broker.replicas.callback(0, 1, False)
    assert [each.error for each in joined] == [Error.NOT_COORDINATOR]
    assert not [each for each in broker.clock.getDelayedCalls() if "GroupPartition" in repr(each.func)]


def test_records_of_other_kinds_are_passed_over() -> None:
    broker = FakeBroker(lead=())
    broker.replicas.log(GROUP_METADATA, 0).batches.append(batch.build([(b"\0\3\0\1g", b"", 0, ())]))
    broker.lead(0)
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE


def test_a_failed_write_is_told_as_what_the_member_can_do_about_it() -> None:
    broker = FakeBroker()
    broker.replicas.answers = [Error.NOT_ENOUGH_REPLICAS]
    joined: list[Any] = []
    synced: list[Any] = []
    broker.group_coordinator.join(A, joining(), joined.append)
    broker.settle()
    broker.group_coordinator.sync(A, 1, joined[0].member_id, None, None, None, {}, synced.append)
    assert synced[0].error is Error.COORDINATOR_NOT_AVAILABLE


def test_an_answer_waits_for_the_record() -> None:
    broker = FakeBroker()
    broker.replicas.later = []
    joined: list[Any] = []
    synced: list[Any] = []
    broker.group_coordinator.join(A, joining(), joined.append)
    broker.settle()
    broker.group_coordinator.sync(A, 1, joined[0].member_id, None, None, None, {}, synced.append)
    broker.settle()
    assert synced == []
    broker.replicas.later.pop()()
    assert synced[0].error is Error.NONE


def test_a_silent_member_is_removed_on_time() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.settle(9)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE
    broker.settle(9.8)
    assert state_of(broker) == "Stable"
    broker.settle(0.4)
    assert state_of(broker) == "Empty"


def test_a_heartbeat_arms_no_timer() -> None:
    broker = FakeBroker()
    member = stable(broker)
    before = [id(each) for each in broker.clock.getDelayedCalls()]
    for _ in range(100):
        broker.group_coordinator.heartbeat(A, 1, member, None)
    assert [id(each) for each in broker.clock.getDelayedCalls()] == before


def test_a_group_that_came_to_nothing_is_forgotten() -> None:
    broker = FakeBroker()
    joined: list[Any] = []
    request = Joining("", None, "c", "/h", 10_000, 60_000, "", (), "1")
    broker.group_coordinator.join(A, request, joined.append)
    pending = Joining("", None, "c", "/h", 10_000, 60_000, "consumer", (("range", b""),), "2", needs_member_id=True)
    broker.group_coordinator.join(B, pending, joined.append)
    assert [each.error for each in joined] == [Error.INCONSISTENT_GROUP_PROTOCOL, Error.MEMBER_ID_REQUIRED]
    assert list(broker.group_coordinator.topic.partitions[0].contents.groups) == []
    assert list(broker.group_coordinator.topic.partitions[1].contents.groups) == [B]
    broker.settle(11)
    assert list(broker.group_coordinator.topic.partitions[1].contents.groups) == []


def test_a_stable_group_keeps_parents_for_old_tools() -> None:
    broker = FakeBroker()
    stable(broker, topics=("t", "u"))
    assert {f"/consumers/{A}/ids", f"/consumers/{A}/owners/t", f"/consumers/{A}/owners/u"} <= set(broker.zk.tree.nodes)


def test_deleting_a_group_removes_record_and_znodes() -> None:
    broker = FakeBroker()
    member = stable(broker)
    assert broker.wait(broker.group_coordinator.delete(A)) is Error.NON_EMPTY_GROUP
    broker.group_coordinator.leave(A, [(member, None, None)], lambda _: None)
    broker.committed(A, ("t", 0, 1))
    assert broker.wait(broker.group_coordinator.delete(A)) is Error.NONE
    assert broker.wait(broker.group_coordinator.delete(A)) is Error.GROUP_ID_NOT_FOUND
    assert state_of(broker) == "Dead"
    (record,) = batch.records(broker.replicas.logs[0].batches[-1])
    assert record.value is None
    broker.replicas.callback(0, 0, False)
    broker.lead(0, epoch=3)
    assert state_of(broker) == "Dead"


def test_an_empty_group_of_living_classic_consumers_is_not_deleted() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.group_coordinator.leave(A, [(member, None, None)], lambda _: None)
    broker.zk.put(f"/consumers/{A}/ids/x", b"{}")
    assert broker.wait(broker.group_coordinator.delete(A)) is Error.NON_EMPTY_GROUP
    assert broker.group_coordinator.topic.partitions[0].contents.groups[A].group.state is State.EMPTY
    joined: list[Any] = []
    broker.group_coordinator.join(A, joining(), joined.append)
    broker.settle()
    assert joined[0].generation_id == 3
