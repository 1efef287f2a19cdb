"""Partitions of one broker: LeaderAndIsr makes them, appends move the high watermark, StopReplica takes them away."""

from functools import partial
from types import SimpleNamespace

import pytest
from twisted.internet import reactor

from kafkalike.config import broker_config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.messages import leader_and_isr, stop_replica
from kafkalike.storage.append_path import COORDINATOR
from kafkalike.storage.directory import LogDirectory
from tests import reactor as shared
from tests.replication.views import Opened

ID = bytes(range(16))


def records(count=1):
    return memoryview(batch.build([(None, b"value", 1000, ()) for _ in range(count)]))


def lead(topic="t", index=0, leader=0, epoch=0, isr=(0,), controller_epoch=1, broker_epoch=-1, topic_id=ID):
    state = leader_and_isr.LeaderAndIsrPartitionState(
        partition_index=index,
        controller_epoch=controller_epoch,
        leader=leader,
        leader_epoch=epoch,
        isr=list(isr),
        partition_epoch=0,
        replicas=list(isr),
        is_new=True,
    )
    return leader_and_isr.Request(
        controller_id=0,
        controller_epoch=controller_epoch,
        broker_epoch=broker_epoch,
        topic_states=[
            leader_and_isr.LeaderAndIsrTopicState(topic_name=topic, topic_id=topic_id, partition_states=[state])
        ],
    )


def stop(topic="t", index=0, epoch=-2, delete=True, controller_epoch=1):
    state = stop_replica.StopReplicaPartitionState(partition_index=index, leader_epoch=epoch, delete_partition=delete)
    return stop_replica.Request(
        controller_epoch=controller_epoch,
        topic_states=[stop_replica.StopReplicaTopicState(topic_name=topic, partition_states=[state])],
    )


def asked(offset):
    return SimpleNamespace(offset=offset, current_leader_epoch=-1, last_fetched_epoch=-1, follower_start_offset=0)


def errors(response):
    return [p.error_code for topic in response.topics for p in topic.partition_errors]


class Waiter:
    def __init__(self):
        self.woken = 0

    def try_finish(self):
        self.woken += 1
        return True

    def expire(self):
        raise AssertionError("nothing may expire here")


@pytest.fixture
def opened(tmp_path):
    made = []

    def open_replicas(**settings):
        settings = {"zookeeper.connect": "x:1", "log.dirs": str(tmp_path / "logs"), **settings}
        config, _ = broker_config(settings)
        (tmp_path / "logs").mkdir(exist_ok=True)
        replication = Opened(config, reactor)
        shared.run(replication.load, "cluster", {}, [LogDirectory(path) for path in config.log_dirs])
        made.append(replication)
        return replication

    yield open_replicas
    for replication in made:
        shared.run(replication.stop)


def test_a_led_partition_takes_records_and_gives_them_back(opened):
    replication = opened()
    assert errors(shared.run(replication.leader_and_isr, lead())) == [0]
    sent = records(3)
    appended = replication.append_as_leader("t", 0, sent, -1)
    assert (appended.base_offset, appended.last_offset) == (0, 2)
    assert replication.replicas.replicated("t", 0, 2) == Error.NONE
    read = replication.replicas.read("t", 0, asked(0), 1 << 20, 0, True)
    assert (read.high_watermark, read.log_start_offset) == (3, 0)
    assert read.records.read()[61:] == bytes(sent[61:])


def test_a_coordinator_may_append_what_no_client_may(opened):
    """The commits of a transaction, say: they bear its producer's id, but no sequence."""
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    sent = memoryview(batch.build([(b"k", b"v", 0, ())], producer_id=7, producer_epoch=0, transactional=True))
    with pytest.raises(KafkaError, match="INVALID_RECORD"):
        replication.append_as_leader("t", 0, sent, -1)
    done: list[object] = []
    shared.run(partial(replication.replicas.append, "t", 0, sent, -1, 1000, done.append, origin=COORDINATOR))
    assert [0] == [each.base_offset for each in done]


def test_an_append_wakes_who_waits_for_the_partition(opened):
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    waiter = Waiter()
    shared.run(replication.purgatory.wait, waiter, [("t", 0)], 60_000)
    shared.run(replication.append_as_leader, "t", 0, records(), 1)
    assert waiter.woken == 1


def test_unknown_followed_and_stale_partitions_are_refused(opened):
    replication = opened()
    with pytest.raises(KafkaError) as refusal:
        replication.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.UNKNOWN_TOPIC_OR_PARTITION
    replication.around.has_partition = lambda topic, index: True
    with pytest.raises(KafkaError) as refusal:
        replication.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    shared.run(replication.leader_and_isr, lead(leader=1, isr=(0, 1), epoch=4))
    with pytest.raises(KafkaError) as refusal:
        replication.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    assert errors(shared.run(replication.leader_and_isr, lead(epoch=4))) == [Error.STALE_CONTROLLER_EPOCH]


def test_delete_records_moves_the_start_but_not_past_the_high_watermark(opened):
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    replication.append_as_leader("t", 0, records(10), 1)
    assert replication.replicas.delete_records("t", 0, 4) == 4
    with pytest.raises(KafkaError) as refusal:
        replication.replicas.delete_records("t", 0, 11)
    assert refusal.value.error == Error.OFFSET_OUT_OF_RANGE
    assert replication.replicas.delete_records("t", 0, -1) == 10
    with pytest.raises(KafkaError) as refusal:
        replication.replicas.read("t", 0, asked(9), 1000, 0, True)
    assert refusal.value.error == Error.OFFSET_OUT_OF_RANGE


def test_min_insync_replicas_of_the_topic_count(opened):
    replication = opened(**{"min.insync.replicas": "2"})
    shared.run(replication.leader_and_isr, lead(isr=(0, 1)))
    replication.partition("t", 0).isr = (0,)
    replication.append_as_leader("t", 0, records(), 1)
    with pytest.raises(KafkaError) as refusal:
        replication.append_as_leader("t", 0, records(), -1)
    assert refusal.value.error == Error.NOT_ENOUGH_REPLICAS


def code_of(call, *arguments):
    with pytest.raises(KafkaError) as refusal:
        call(*arguments)
    return refusal.value.error


def test_F3_what_was_sent_behind_a_refused_batch_is_never_out_of_order(opened):
    """A broker that begins to lead between two batches of a producer, or gets space again, or replicas."""
    replication = opened(**{"min.insync.replicas": "2"})
    replication.around.has_partition = lambda topic, index: True

    def sent(sequence):
        values = [(None, b"value", 1000, ())]
        return memoryview(batch.build(values, producer_id=7, producer_epoch=0, base_sequence=sequence))

    assert Error.NOT_LEADER_OR_FOLLOWER == code_of(replication.append_as_leader, "t", 0, sent(0), -1)
    shared.run(replication.leader_and_isr, lead(isr=(0, 1)))
    assert Error.NOT_LEADER_OR_FOLLOWER == code_of(replication.append_as_leader, "t", 0, sent(1), -1)
    assert [0, 1] == [replication.append_as_leader("t", 0, sent(sequence), -1).base_offset for sequence in (0, 1)]
    replication.partition("t", 0).isr = (0,)
    assert Error.NOT_ENOUGH_REPLICAS == code_of(replication.append_as_leader, "t", 0, sent(2), -1)
    replication.partition("t", 0).isr = (0, 1)
    assert Error.NOT_ENOUGH_REPLICAS == code_of(replication.append_as_leader, "t", 0, sent(3), -1)
    replication.log("t", 0).full = True
    assert Error.KAFKA_STORAGE_ERROR == code_of(replication.append_as_leader, "t", 0, sent(2), -1)
    replication.log("t", 0).full = False
    assert [2, 3] == [replication.append_as_leader("t", 0, sent(sequence), -1).base_offset for sequence in (2, 3)]
    # A gap that is nobody's fault here is one.
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == code_of(replication.append_as_leader, "t", 0, sent(9), -1)
