"""Partitions of one broker: LeaderAndIsr makes them, appends move the high watermark, StopReplica takes them away."""

import errno
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet import defer, reactor, task

from kafkalike.config import broker_config, reconfigure
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.messages import leader_and_isr, stop_replica
from kafkalike.replication.replicas import Replicas
from kafkalike.storage.append_path import COORDINATOR
from kafkalike.storage.directory import LogDirectory, StorageError
from kafkalike.storage.files import DirectoryOffline
from tests import reactor as shared

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
    return SimpleNamespace(offset=offset, current_leader_epoch=-1, last_fetched_epoch=-1)


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
        replicas = Replicas(0, config, reactor, lambda topic: defer.succeed({}))
        shared.run(replicas.load, "cluster", {}, [LogDirectory(path) for path in config.log_dirs])
        made.append(replicas)
        return replicas

    yield open_replicas
    for replicas in made:
        shared.run(replicas.stop)


def test_a_led_partition_takes_records_and_gives_them_back(opened):
    replicas = opened()
    assert errors(shared.run(replicas.orders.leader_and_isr, lead())) == [0]
    sent = records(3)
    appended = replicas.append_as_leader("t", 0, sent, -1)
    assert (appended.base_offset, appended.last_offset) == (0, 2)
    assert replicas.replicated("t", 0, 2) == Error.NONE
    read = replicas.read("t", 0, asked(0), 1 << 20, 0, True)
    assert (read.high_watermark, read.log_start_offset) == (3, 0)
    assert read.records.read()[61:] == bytes(sent[61:])


def test_a_coordinator_may_append_what_no_client_may(opened):
    """The commits of a transaction, say: they bear its producer's id, but no sequence."""
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    sent = memoryview(batch.build([(b"k", b"v", 0, ())], producer_id=7, producer_epoch=0, transactional=True))
    with pytest.raises(KafkaError, match="INVALID_RECORD"):
        replicas.append_as_leader("t", 0, sent, -1)
    done: list[object] = []
    shared.run(partial(replicas.append, "t", 0, sent, -1, 1000, done.append, origin=COORDINATOR))
    assert [0] == [each.base_offset for each in done]


def test_an_append_wakes_who_waits_for_the_partition(opened):
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    waiter = Waiter()
    shared.run(replicas.wait, waiter, [("t", 0)], 60_000)
    shared.run(replicas.append_as_leader, "t", 0, records(), 1)
    assert waiter.woken == 1


def test_a_restart_finds_records_and_high_watermark(opened):
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    replicas.append_as_leader("t", 0, records(5), 1)
    shared.run(replicas.stop)
    again = opened()
    assert errors(shared.run(again.orders.leader_and_isr, lead(epoch=1))) == [0]
    assert again.partition("t", 0).high_watermark == 5
    assert again.log("t", 0).end_offset_for_epoch(0) == (0, 5)


def test_unknown_followed_and_stale_partitions_are_refused(opened):
    replicas = opened()
    with pytest.raises(KafkaError) as refusal:
        replicas.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.UNKNOWN_TOPIC_OR_PARTITION
    replicas.known = lambda topic, index: True
    with pytest.raises(KafkaError) as refusal:
        replicas.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    shared.run(replicas.orders.leader_and_isr, lead(leader=1, isr=(0, 1), epoch=4))
    with pytest.raises(KafkaError) as refusal:
        replicas.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(epoch=4))) == [Error.STALE_CONTROLLER_EPOCH]


def test_another_topics_id_is_refused(opened):
    replicas = opened()
    replicas.topic_id = lambda topic: ID
    shared.run(replicas.orders.leader_and_isr, lead())
    other = lead(epoch=1, topic_id=bytes(15) + b"\1")
    assert errors(shared.run(replicas.orders.leader_and_isr, other)) == [Error.INCONSISTENT_TOPIC_ID]


def test_B14_a_log_of_an_earlier_topic_of_that_name_is_set_aside(opened):
    """It was deleted and made anew while this broker was away."""
    before = opened()
    shared.run(before.orders.leader_and_isr, lead())
    before.append_as_leader("t", 0, records(5), 1)
    shared.run(before.stop)
    again = opened()
    told = []
    again.on_leadership("t", lambda index, epoch, leading: told.append((index, epoch, leading)))
    anew = lead(epoch=0, topic_id=bytes(15) + b"\1")
    assert errors(shared.run(again.orders.leader_and_isr, anew)) == [0]
    log = again.log("t", 0)
    assert (log.topic_id, log.log_end_offset, again.partition("t", 0).high_watermark) == (bytes(15) + b"\1", 0, 0)
    assert told == [(0, 0, True)]
    again.append_as_leader("t", 0, records(), 1)
    (kept,) = Path(again.directories[0].path).glob("t-0.*-stray")
    assert (kept / f"{0:020d}.log").stat().st_size > 0


def test_B14_a_topic_that_was_made_anew_unnoticed_takes_the_place_of_the_old_one(opened):
    """The session had ended when the old one was deleted; nobody could send StopReplica."""
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead(epoch=3))
    replicas.append_as_leader("t", 0, records(5), 1)
    anew = lead(epoch=0, topic_id=bytes(15) + b"\1")
    replicas.topic_id = lambda topic: bytes(15) + b"\1"
    assert errors(shared.run(replicas.orders.leader_and_isr, anew)) == [0]
    assert (replicas.log("t", 0).log_end_offset, replicas.partition("t", 0).leader_epoch) == (0, 0)
    assert list(Path(replicas.directories[0].path).glob("t-0.*-stray"))


def test_nothing_is_appended_once_the_logs_are_closed(opened):
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    shared.run(replicas.stop)
    with pytest.raises(KafkaError) as refusal:
        replicas.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    assert replicas.directories[0].offline is None


def test_a_log_without_an_id_gets_it_when_it_is_told(opened):
    """Controllers before 2.8 tell none."""
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead(topic_id=bytes(16)))
    metadata = Path(replicas.log("t", 0).path, "partition.metadata")
    assert replicas.log("t", 0).topic_id is None and not metadata.exists()
    replicas.append_as_leader("t", 0, records(), 1)
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(epoch=1, topic_id=ID))) == [0]
    assert replicas.log("t", 0).topic_id == ID and metadata.exists()
    assert replicas.log("t", 0).log_end_offset == 1


def test_a_deleted_partition_is_gone_and_can_be_made_anew(opened):
    replicas = opened()
    told = []
    replicas.on_leadership("t", lambda *change: told.append(change))
    shared.run(replicas.orders.leader_and_isr, lead())
    replicas.append_as_leader("t", 0, records(), 1)
    response = shared.run(replicas.orders.stop_replica, stop())
    assert [p.error_code for p in response.partition_errors] == [0]
    with pytest.raises(KafkaError):
        replicas.log("t", 0)
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(topic_id=bytes(15) + b"\2"))) == [0]
    assert replicas.log("t", 0).log_end_offset == 0
    assert told == [(0, 0, True), (0, 0, False), (0, 0, True)]


def test_delete_records_moves_the_start_but_not_past_the_high_watermark(opened):
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    replicas.append_as_leader("t", 0, records(10), 1)
    assert replicas.delete_records("t", 0, 4) == 4
    with pytest.raises(KafkaError) as refusal:
        replicas.delete_records("t", 0, 11)
    assert refusal.value.error == Error.OFFSET_OUT_OF_RANGE
    assert replicas.delete_records("t", 0, -1) == 10
    with pytest.raises(KafkaError) as refusal:
        replicas.read("t", 0, asked(9), 1000, 0, True)
    assert refusal.value.error == Error.OFFSET_OUT_OF_RANGE


def test_min_insync_replicas_of_the_topic_count(opened):
    replicas = opened(**{"min.insync.replicas": "2"})
    shared.run(replicas.orders.leader_and_isr, lead(isr=(0, 1)))
    replicas.partition("t", 0).isr = (0,)
    replicas.append_as_leader("t", 0, records(), 1)
    with pytest.raises(KafkaError) as refusal:
        replicas.append_as_leader("t", 0, records(), -1)
    assert refusal.value.error == Error.NOT_ENOUGH_REPLICAS


def two_directories(opened, tmp_path):
    """Partitions 0 and 1, led, each in a directory of its own; those lost are noted."""
    replicas = opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})
    for index in (0, 1):
        shared.run(replicas.orders.leader_and_isr, lead(index=index))
    assert [1, 1] == [len(directory.logs) for directory in replicas.directories]
    lost = []
    replicas.directory_lost = lost.append
    return replicas, lost


def code_of(call, *arguments):
    with pytest.raises(KafkaError) as refusal:
        call(*arguments)
    return refusal.value.error


def test_E14_a_failed_directory_takes_its_partitions_with_it_and_no_others(opened, tmp_path):
    """Who waits is told; neither an order to lead nor one to delete finds the replica, and it is not made anew."""
    replicas, lost = two_directories(opened, tmp_path)
    told = []
    replicas.on_leadership("t", lambda *change: told.append(change))
    failed = replicas.directories[0]
    (index,) = (index for _, index in failed.logs)
    waiter = Waiter()
    shared.run(replicas.wait, waiter, [("t", index)], 60_000)

    async def fail():
        failed.fail(DirectoryOffline(failed.path, OSError(errno.EIO, "no more")))
        # At once, whatever the reactor has still to do.
        assert Error.KAFKA_STORAGE_ERROR == code_of(replicas.append_as_leader, "t", index, records(), 1)
        assert errors(await replicas.orders.leader_and_isr(lead(index=index, epoch=1))) == [Error.KAFKA_STORAGE_ERROR]
        await task.deferLater(reactor, 0.01, lambda: None)

    shared.run(fail)
    assert (lost, told, waiter.woken) == ([failed], [(index, 0, False)], 1)
    assert [("t", 1 - index)] == list(replicas.hosted)
    assert Error.KAFKA_STORAGE_ERROR == replicas.replicated("t", index, 0)
    assert Error.KAFKA_STORAGE_ERROR == code_of(replicas.read, "t", index, asked(0), 1000, 0, True)
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(index=index, epoch=2))) == [56]
    assert [56] == [p.error_code for p in shared.run(replicas.orders.stop_replica, stop(index=index)).partition_errors]
    replicas.append_as_leader("t", 1 - index, records(), 1)
    # What is new goes where there still is something.
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(index=2))) == [0]
    assert ("t", 2) in replicas.directories[1].logs


def test_E14_a_directory_that_fails_at_the_start_is_gone_without(opened, tmp_path):
    replicas, _ = two_directories(opened, tmp_path)
    gone = replicas.directories[0]
    (index,) = (index for _, index in gone.logs)
    shared.run(replicas.stop)
    Path(gone.path).rename(tmp_path / "elsewhere")
    Path(gone.path).write_text("no directory")
    again = opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})
    state = lead(index=index, epoch=1)
    state.topic_states[0].partition_states[0].is_new = False
    assert errors(shared.run(again.orders.leader_and_isr, state)) == [Error.KAFKA_STORAGE_ERROR]
    assert errors(shared.run(again.orders.leader_and_isr, lead(index=1 - index, epoch=1))) == [0]
    (tmp_path / "b").rename(tmp_path / "elsewhere too")
    (tmp_path / "b").write_text("no directory")
    shared.run(again.stop)
    with pytest.raises(StorageError, match="Failed to create data directory"):
        opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})


def test_F3_what_was_sent_behind_a_refused_batch_is_never_out_of_order(opened):
    """A broker that begins to lead between two batches of a producer, or gets space again, or replicas."""
    replicas = opened(**{"min.insync.replicas": "2"})
    replicas.known = lambda topic, index: True

    def sent(sequence):
        values = [(None, b"value", 1000, ())]
        return memoryview(batch.build(values, producer_id=7, producer_epoch=0, base_sequence=sequence))

    assert Error.NOT_LEADER_OR_FOLLOWER == code_of(replicas.append_as_leader, "t", 0, sent(0), -1)
    shared.run(replicas.orders.leader_and_isr, lead(isr=(0, 1)))
    assert Error.NOT_LEADER_OR_FOLLOWER == code_of(replicas.append_as_leader, "t", 0, sent(1), -1)
    assert [0, 1] == [replicas.append_as_leader("t", 0, sent(sequence), -1).base_offset for sequence in (0, 1)]
    replicas.partition("t", 0).isr = (0,)
    assert Error.NOT_ENOUGH_REPLICAS == code_of(replicas.append_as_leader, "t", 0, sent(2), -1)
    replicas.partition("t", 0).isr = (0, 1)
    assert Error.NOT_ENOUGH_REPLICAS == code_of(replicas.append_as_leader, "t", 0, sent(3), -1)
    replicas.log("t", 0).full = True
    assert Error.KAFKA_STORAGE_ERROR == code_of(replicas.append_as_leader, "t", 0, sent(2), -1)
    replicas.log("t", 0).full = False
    assert [2, 3] == [replicas.append_as_leader("t", 0, sent(sequence), -1).base_offset for sequence in (2, 3)]
    # A gap that is nobody's fault here is one.
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == code_of(replicas.append_as_leader, "t", 0, sent(9), -1)


def test_a_partition_that_has_moved_away_is_not_served_any_more(opened):
    """When StopReplica got lost with its controller; an older state, or one with us, changes nothing (simulation)."""
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead(epoch=4))
    for leader_epoch, others in ((4, [1, 2]), (5, [0, 1]), (5, [])):
        replicas.left_out("t", SimpleNamespace(partition_index=0, leader_epoch=leader_epoch, replicas=others))
    assert replicas.partition("t", 0).leading
    replicas.left_out("t", SimpleNamespace(partition_index=0, leader_epoch=5, replicas=[1, 2]))
    assert ("t", 0) not in replicas.hosted
    assert ("t", 0) in replicas.directories[0].logs, "the log stays"
    assert errors(shared.run(replicas.orders.leader_and_isr, lead(epoch=6))) == [0]


def test_a_value_of_a_topic_that_cannot_be_used_stops_neither_the_others_nor_later_ones(opened, caplog):
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead())
    log = replicas.hosted["t", 0].log
    for limit in ("5000", "6000"):
        shared.run(replicas.configure, "t", {"max.message.bytes": limit, "cleanup.policy": "x", "retention.days": "1"})
        assert (int(limit), ("delete",)) == (log.config.max_message_bytes, log.config.cleanup_policy)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "cleanup.policy: Invalid value x" in line
    assert "retention.days: Unknown topic config name" in line


def test_a_broker_key_that_is_a_logs_too_reaches_it(opened):
    replicas = opened(**{"producer.id.expiration.ms": "7000"})
    shared.run(replicas.orders.leader_and_isr, lead())
    log = replicas.hosted["t", 0].log
    assert 7000 == log.config.producer_id_expiration_ms
    reconfigure(replicas._config, {"producer.id.expiration.ms": "8000"}, {})
    shared.run(replicas.configure, "t", {})
    assert 8000 == log.config.producer_id_expiration_ms
