"""The coordinator's shell: leadership, records, timers, offsets that go away."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from twisted.internet import defer

from kafkalike.cluster.metadata import Image, PartitionState, Topic
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.coordinator.group import State
from kafkalike.coordinator.group_effects import Joining
from kafkalike.coordinator.group_partition import Listed, Serving, partition_of
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.test_group import subscription
from zk.client import ConnectionLoss, SessionExpired

A, B = group_in(0), group_in(1)
numbers = itertools.count()


def joining(member: str = "", instance: str | None = None, topics: tuple[str, ...] = ("t",)) -> Joining:
    protocols = (("range", subscription(*topics)),)
    return Joining(member, instance, "c", "/h", 10_000, 60_000, "consumer", protocols, str(next(numbers)))


def stable(broker: FakeBroker, group: str = A, topics: tuple[str, ...] = ("t",)) -> str:
    """Brings a group of one member to Stable; its member id."""
    joined: list[Any] = []
    synced: list[Any] = []
    broker.group_coordinator.join(group, joining(topics=topics), joined.append)
    broker.settle()
    member = joined[0].member_id
    broker.group_coordinator.sync(
        group, joined[0].generation_id, member, None, None, None, {member: b"all"}, synced.append
    )
    broker.settle()
    assert (synced[0].error, synced[0].assignment) == (Error.NONE, b"all")
    return member


def state_of(broker: FakeBroker, group: str = A) -> str:
    return broker.wait(broker.group_coordinator.describe([group]))[0].state


def test_a_broker_that_does_not_lead_is_not_the_coordinator() -> None:
    broker = FakeBroker(lead=(0,))
    assert broker.group_coordinator.status(A) is Error.NONE
    assert broker.group_coordinator.status(B) is Error.NOT_COORDINATOR
    assert broker.group_coordinator.heartbeat(B, 1, "m", None) is Error.NOT_COORDINATOR
    assert broker.commit(B, ("t", 0, 1)) == [[Error.NOT_COORDINATOR]]


def test_a_partition_that_never_had_a_leader_counts_where_groups_belong() -> None:
    """Simulation, seed 730092: of two partitions one was in the metadata, so all groups seemed to belong to it."""
    broker = FakeBroker(lead=())
    state = PartitionState(1, 0, (1,), (1,))
    broker.metadata.image = Image(topics={GROUP_METADATA: Topic(GROUP_METADATA, bytes(16), {0: state})})
    node = TopicNode({0: Assignment((1,)), 1: Assignment((2,))})
    broker.zk.put(TopicNode.path(GROUP_METADATA), node.encode())
    broker.lead(0)
    assert broker.group_coordinator.status(A) is Error.NONE
    assert broker.group_coordinator.status(B) is Error.NOT_COORDINATOR


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
    assert broker.group_coordinator.status(A) is Error.NONE


def test_the_empty_group_id_is_no_group() -> None:
    broker = FakeBroker()
    answers: list[Any] = []
    broker.group_coordinator.join("", joining(), answers.append)
    broker.group_coordinator.leave("", [("m", None, None)], answers.append)
    assert [each.error for each in answers] == [Error.INVALID_GROUP_ID] * 2


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
        patched.setattr(broker.group_coordinator.offsets, "remove_group", _session_ends)
        patched.setattr(broker.group_coordinator.offsets, "remove", _session_ends)
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
        patched.setattr(broker.group_coordinator.offsets, "remove_group", _session_ends)
        assert broker.wait(broker.group_coordinator.delete(A)) is Error.COORDINATOR_NOT_AVAILABLE
    record()
    stable(broker)


def test_a_session_that_ends_while_parents_are_made_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = FakeBroker()
    monkeypatch.setattr(broker.group_coordinator.offsets, "keep_parents", _session_ends)
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
    assert not [each for each in broker.clock.getDelayedCalls() if each.func == broker.group_coordinator._ring]


def test_a_neighbouring_epoch_of_our_own_changes_nothing() -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.lead(0, epoch=1)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE
    broker.committed(B, ("t", 0, 1))
    answers = broker.commit(A, ("t", 0, 1), generation=1, member=member)
    broker.settle()
    assert answers == [[Error.NONE]]


def test_leadership_that_was_lost_before_it_was_taken_up_is_not_taken_up() -> None:
    broker = FakeBroker(lead=())
    broker.state(0, leader=2, epoch=1)
    broker.replicas.callback(0, 0, True)
    broker.settle()
    assert broker.group_coordinator.status(A) is Error.NOT_COORDINATOR


@pytest.mark.parametrize("after_ms", range(8))
def test_a_partition_that_goes_while_it_loads_is_no_damage(after_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """Simulation, seed 1795458730897: it had moved to another broker before its log was read."""
    broker = FakeBroker(lead=())
    stored = batch.build([(b"\0\3\0\1g", b"", 0, ())])
    broker.replicas.log(GROUP_METADATA, 0).batches += [stored] * 3
    broker.metadata.image = Image()
    broker.zk.put(TopicNode.path(GROUP_METADATA), TopicNode({0: Assignment((1,)), 1: Assignment((1,))}).encode())
    broker.replicas.callback(0, 0, True)
    for _ in range(after_ms):
        broker.clock.advance(0.001)
    broker.replicas.give_up(0)
    broker.settle()
    assert broker.group_coordinator.status(A) is Error.NOT_COORDINATOR
    assert not caplog.records


def test_a_damaged_log_is_not_served_as_if_it_were_empty() -> None:
    broker = FakeBroker()
    stable(broker)
    broker.replicas.callback(0, 0, False)
    data = bytearray(broker.replicas.logs[0].batches[-1])
    data[-3] ^= 1
    broker.replicas.logs[0].batches[-1] = bytes(data)
    broker.lead(0, epoch=2)
    assert broker.group_coordinator.shards[0].serving is Serving.BROKEN
    assert broker.group_coordinator.status(A) is Error.COORDINATOR_NOT_AVAILABLE


def test_a_log_that_could_not_be_read_is_served_when_it_can(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    member = stable(broker)
    broker.replicas.callback(0, 0, False)
    batches = broker.replicas.logs[0].batches
    good = batches[-1]
    batches[-1] = good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]
    broker.lead(0, epoch=2)
    broker.settle(20)
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.COORDINATOR_NOT_AVAILABLE
    assert ["ERROR"] == [each.levelname for each in caplog.records]
    batches[-1] = good
    waited = 0
    while broker.group_coordinator.status(A) is not Error.NONE:
        broker.settle(1)
        assert (waited := waited + 1) < 20
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE


def test_a_partition_whose_state_cannot_be_read_is_loaded_when_it_can() -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(PartitionNode.path(GROUP_METADATA, 0), b"{")
    broker.replicas.callback(0, 0, True)
    broker.settle(3)
    assert broker.group_coordinator.status(A) is Error.COORDINATOR_LOAD_IN_PROGRESS
    broker.state(0, 1, 0)
    broker.settle(1.5)
    assert broker.group_coordinator.status(A) is Error.NONE


def test_the_partitions_are_counted_though_the_session_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker(lead=())
    state = PartitionState(1, 0, (1,), (1,))
    broker.metadata.image = Image(topics={GROUP_METADATA: Topic(GROUP_METADATA, bytes(16), {0: state})})
    broker.zk.put(TopicNode.path(GROUP_METADATA), TopicNode({0: Assignment((1,)), 1: Assignment((2,))}).encode())
    get = broker.zk.get
    ends = [SessionExpired, ConnectionLoss]

    def get_later(path: str, watch: Any = None) -> Any:
        if path == TopicNode.path(GROUP_METADATA) and ends:
            return defer.fail(ends.pop()())
        return get(path, watch)

    monkeypatch.setattr(broker.zk, "get", get_later)
    broker.lead(0)
    broker.settle(3)
    assert broker.group_coordinator.status(A) is Error.NONE
    assert broker.group_coordinator.status(B) is Error.NOT_COORDINATOR


def test_what_is_given_up_writes_nothing_behind_its_successor() -> None:
    broker = FakeBroker()
    broker.register(2, None)
    broker.settle()
    broker.committed(A, ("t", 0, 1))
    given_up = broker.group_coordinator.shards[0]
    broker.replicas.callback(0, 0, False)
    broker.lead(0, epoch=2)
    with pytest.raises(KafkaError, match="NOT_COORDINATOR"):
        broker.wait(given_up.logged.remove(A, given_up.logged.of(A)))
    assert [1] == [each.offset for _, each in broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))]
    assert 1 == len(broker.replicas.log(GROUP_METADATA, 0).batches)


def test_nothing_is_written_between_a_new_order_and_its_announcement() -> None:
    broker = FakeBroker()
    broker.register(2, None)
    broker.settle()
    broker.replicas.epochs[0] = 2
    assert [[Error.NOT_COORDINATOR]] == broker.commit(A, ("t", 0, 1))
    broker.replicas.epochs[0] = 1
    assert [[Error.NONE]] == broker.commit(A, ("t", 0, 1))


def test_records_of_other_kinds_are_passed_over() -> None:
    broker = FakeBroker(lead=())
    broker.replicas.log(GROUP_METADATA, 0).batches.append(batch.build([(b"\0\3\0\1g", b"", 0, ())]))
    broker.lead(0)
    assert broker.group_coordinator.status(A) is Error.NONE


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
    assert list(broker.group_coordinator.shards[0].groups) == []
    assert list(broker.group_coordinator.shards[1].groups) == [B]
    broker.settle(11)
    assert list(broker.group_coordinator.shards[1].groups) == []


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


def test_a_stable_group_keeps_parents_for_old_tools() -> None:
    broker = FakeBroker()
    stable(broker, topics=("t", "u"))
    assert {f"/consumers/{A}/ids", f"/consumers/{A}/owners/t", f"/consumers/{A}/owners/u"} <= set(broker.zk.tree.nodes)


def test_groups_that_exist_as_znodes_are_shown_as_empty() -> None:
    broker = FakeBroker(lead=(0,))
    member = stable(broker, topics=("t",))
    assert member
    classic = next(name for name in ("old1", "old2", "old3", "old4") if partition_of(name, 2) == 0)
    elsewhere = next(name for name in ("old1", "old2", "old3", "old4") if partition_of(name, 2) == 1)
    for name in (classic, elsewhere):
        broker.zk.put(f"/consumers/{name}/offsets/t/0", b"5")
    broker.zk.put("/consumers/no-offsets/ids", None)
    error, listed = broker.wait(broker.group_coordinator.overview())
    assert (error, sorted(listed)) == (
        Error.NONE,
        sorted([Listed(A, "consumer", "Stable"), Listed(classic, "", "Empty")]),
    )
    assert state_of(broker, classic) == "Empty"
    assert broker.wait(broker.group_coordinator.describe([elsewhere]))[0].error is Error.NOT_COORDINATOR


def test_unknown_groups_are_dead() -> None:
    assert state_of(FakeBroker(), "nobody") == "Dead"


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
    assert broker.group_coordinator.shards[0].groups[A].group.state is State.EMPTY
    joined: list[Any] = []
    broker.group_coordinator.join(A, joining(), joined.append)
    broker.settle()
    assert joined[0].generation_id == 3


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
