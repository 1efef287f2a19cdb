"""The partitions of an internal topic: where a key belongs, leadership, loading, appending."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from kafkalike.cluster.metadata import Image, PartitionState, Topic
from kafkalike.cluster.topic_names import GROUP_METADATA, TRANSACTION_STATE
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.coordinator.background import Background
from kafkalike.coordinator.internal_topic import (
    Contents,
    InternalPartition,
    InternalTopic,
    Status,
    java_hash,
    partition_of,
)
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.record import Record
from tests.coordinator.fakes import FakeBroker, FakeMetadata, FakeReplicas, FakeZk, WallClock
from tests.coordinator.groups import A, B, stable
from zk.client import ConnectionLoss, SessionExpired


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("a", 97),
        ("grp", 102629),
        ("console-consumer-12345", 158455506),
        ("é😀", 1996812),
        ("polygenelubricants", -(2**31)),
    ],
)
def test_java_hash(text: str, value: int) -> None:
    assert java_hash(text) == value


def test_the_smallest_hash_belongs_to_partition_0() -> None:
    assert partition_of("polygenelubricants", 50) == 0


class Seen(Contents):
    """A coordinator that wants no more than it has to: what its log has, and whether that is over."""

    def __init__(self, partition: InternalPartition[Seen]) -> None:
        self.partition = partition
        self.keys: list[bytes | None] = []
        self.unloaded = False

    def clear(self) -> None:
        self.keys.clear()

    def load(self, header: batch.BatchHeader, records: list[Record]) -> None:
        self.keys += [each.key for each in records]

    def unload(self) -> None:
        self.unloaded = True


class Transactions:
    """A broker with a topic that is not about groups."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.zk = FakeZk(self.clock)
        self.replicas = FakeReplicas(TRANSACTION_STATE)
        metadata = FakeMetadata(self.zk)
        metadata.topics(**{TRANSACTION_STATE: 2})
        self.topic: InternalTopic[Seen] = InternalTopic(
            TRANSACTION_STATE,
            2,
            5000,
            Seen,
            self.replicas.replication,
            metadata,
            self.zk,
            self.clock,
            WallClock(self.clock),
            Background("transaction coordinator", logging.getLogger("test")),
        )

    def lead(self, index: int, epoch: int = 0) -> Seen:
        self.replicas.callback(index, epoch, True)
        for _ in range(50):
            self.clock.advance(0.01)
        return self.topic.partitions[index].contents


def test_a_coordinator_only_has_to_load_to_unload_and_to_append() -> None:
    world = Transactions()
    assert Error.NOT_COORDINATOR is world.topic.error_of(A)
    seen = world.lead(0)
    answers: list[Any] = []
    seen.partition.append([(b"a", b"1"), (b"b", None)], answers.append)
    assert [Error.NONE] == answers
    assert ([], seen) == (seen.keys, world.topic.serving(A))
    world.replicas.callback(0, 1, False)
    assert seen.unloaded
    seen.partition.append([(b"c", b"1")], answers.append)
    assert [Error.NOT_COORDINATOR] == answers[1:]
    assert [b"a", b"b"] == world.lead(0, 2).keys


def test_who_leads_on_in_the_next_epoch_keeps_what_was_loaded() -> None:
    world = Transactions()
    seen = world.lead(0)
    assert seen is world.lead(0, 1)
    assert seen is not world.lead(0, 3)
    assert seen.unloaded


def test_after_a_stop_nothing_is_led_any_more() -> None:
    world = Transactions()
    seen = world.lead(0)
    world.topic.stop()
    assert (True, {}) == (seen.unloaded, world.topic.partitions)
    world.replicas.callback(1, 0, True)
    assert {} == world.topic.partitions


def test_a_partition_that_never_had_a_leader_counts_where_groups_belong() -> None:
    """Simulation, seed 730092: of two partitions one was in the metadata, so all groups seemed to belong to it."""
    broker = FakeBroker(lead=())
    state = PartitionState(1, 0, (1,), (1,))
    broker.metadata.image = Image(topics={GROUP_METADATA: Topic(GROUP_METADATA, bytes(16), {0: state})})
    node = TopicNode({0: Assignment((1,)), 1: Assignment((2,))})
    broker.zk.put(TopicNode.path(GROUP_METADATA), node.encode())
    broker.lead(0)
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE
    assert broker.group_coordinator.topic.error_of(B) is Error.NOT_COORDINATOR


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
    assert broker.group_coordinator.topic.error_of(A) is Error.NOT_COORDINATOR


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
    assert broker.group_coordinator.topic.error_of(A) is Error.NOT_COORDINATOR
    assert not caplog.records


def test_a_damaged_log_is_not_served_as_if_it_were_empty() -> None:
    broker = FakeBroker()
    stable(broker)
    broker.replicas.callback(0, 0, False)
    data = bytearray(broker.replicas.logs[0].batches[-1])
    data[-3] ^= 1
    broker.replicas.logs[0].batches[-1] = bytes(data)
    broker.lead(0, epoch=2)
    assert broker.group_coordinator.topic.partitions[0].status is Status.BROKEN
    assert broker.group_coordinator.topic.error_of(A) is Error.COORDINATOR_NOT_AVAILABLE


def test_contents_that_cannot_be_taken_up_are_not_served_in_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = Transactions()
    monkeypatch.setattr(Seen, "activate", lambda seen, took_ms: 1 // 0)
    world.lead(0)
    assert Error.COORDINATOR_LOAD_IN_PROGRESS is world.topic.error_of(A)
    assert ["ERROR"] == [each.levelname for each in caplog.records]


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
    while broker.group_coordinator.topic.error_of(A) is not Error.NONE:
        broker.settle(1)
        assert (waited := waited + 1) < 20
    assert broker.group_coordinator.heartbeat(A, 1, member, None) is Error.NONE


def test_a_partition_whose_state_cannot_be_read_is_loaded_when_it_can() -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(PartitionNode.path(GROUP_METADATA, 0), b"{")
    broker.replicas.callback(0, 0, True)
    broker.settle(3)
    assert broker.group_coordinator.topic.error_of(A) is Error.COORDINATOR_LOAD_IN_PROGRESS
    broker.state(0, 1, 0)
    broker.settle(1.5)
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE


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
    assert broker.group_coordinator.topic.error_of(A) is Error.NONE
    assert broker.group_coordinator.topic.error_of(B) is Error.NOT_COORDINATOR


def test_what_is_given_up_writes_nothing_behind_its_successor() -> None:
    broker = FakeBroker()
    broker.register(2, None)
    broker.settle()
    broker.committed(A, ("t", 0, 1))
    given_up = broker.group_coordinator.topic.partitions[0].contents
    broker.replicas.callback(0, 0, False)
    broker.lead(0, epoch=2)
    with pytest.raises(KafkaError, match="NOT_COORDINATOR"):
        broker.wait(given_up.offsets.log.remove(A, given_up.offsets.log.of(A)))
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
