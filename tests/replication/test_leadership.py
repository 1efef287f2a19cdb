"""LeaderAndIsr makes partitions, StopReplica and log directories that fail take them away."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet import reactor, task

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.files import DirectoryOffline, StorageError
from tests import reactor as shared
from tests.replication.test_replicas import (  # noqa: F401  (opened is a fixture)
    ID,
    Waiter,
    asked,
    code_of,
    errors,
    lead,
    opened,
    records,
    stop,
)


def test_another_topics_id_is_refused(opened):  # noqa: F811
    replication = opened()
    replication.around.topic_id = lambda topic: ID
    shared.run(replication.leader_and_isr, lead())
    other = lead(epoch=1, topic_id=bytes(15) + b"\1")
    assert errors(shared.run(replication.leader_and_isr, other)) == [Error.INCONSISTENT_TOPIC_ID]


def test_B14_a_log_of_an_earlier_topic_of_that_name_is_set_aside(opened):  # noqa: F811
    """It was deleted and made anew while this broker was away."""
    before = opened()
    shared.run(before.leader_and_isr, lead())
    before.append_as_leader("t", 0, records(5), 1)
    shared.run(before.stop)
    again = opened()
    told = []
    again.leadership.on_change("t", lambda index, epoch, leading: told.append((index, epoch, leading)))
    anew = lead(epoch=0, topic_id=bytes(15) + b"\1")
    assert errors(shared.run(again.leader_and_isr, anew)) == [0]
    log = again.log("t", 0)
    assert (log.topic_id, log.log_end_offset, again.partition("t", 0).high_watermark) == (
        bytes(15) + b"\1",
        0,
        0,
    )
    assert told == [(0, 0, True)]
    again.append_as_leader("t", 0, records(), 1)
    (kept,) = Path(again.partitions.directories[0].path).glob("t-0.*-stray")
    assert (kept / f"{0:020d}.log").stat().st_size > 0


def test_B14_a_topic_that_was_made_anew_unnoticed_takes_the_place_of_the_old_one(opened):  # noqa: F811
    """The session had ended when the old one was deleted; nobody could send StopReplica."""
    replication = opened()
    shared.run(replication.leader_and_isr, lead(epoch=3))
    replication.append_as_leader("t", 0, records(5), 1)
    anew = lead(epoch=0, topic_id=bytes(15) + b"\1")
    replication.around.topic_id = lambda topic: bytes(15) + b"\1"
    assert errors(shared.run(replication.leader_and_isr, anew)) == [0]
    assert (
        replication.log("t", 0).log_end_offset,
        replication.partition("t", 0).leader_epoch,
    ) == (0, 0)
    assert list(Path(replication.partitions.directories[0].path).glob("t-0.*-stray"))


def test_a_log_without_an_id_gets_it_when_it_is_told(opened):  # noqa: F811
    """Controllers before 2.8 tell none."""
    replication = opened()
    shared.run(replication.leader_and_isr, lead(topic_id=bytes(16)))
    metadata = Path(replication.log("t", 0).path, "partition.metadata")
    assert replication.log("t", 0).topic_id is None and not metadata.exists()
    replication.append_as_leader("t", 0, records(), 1)
    assert errors(shared.run(replication.leader_and_isr, lead(epoch=1, topic_id=ID))) == [0]
    assert replication.log("t", 0).topic_id == ID and metadata.exists()
    assert replication.log("t", 0).log_end_offset == 1


def test_a_deleted_partition_is_gone_and_can_be_made_anew(opened):  # noqa: F811
    replication = opened()
    told = []
    replication.leadership.on_change("t", lambda *change: told.append(change))
    shared.run(replication.leader_and_isr, lead())
    replication.append_as_leader("t", 0, records(), 1)
    response = shared.run(replication.stop_replica, stop())
    assert [p.error_code for p in response.partition_errors] == [0]
    with pytest.raises(KafkaError):
        replication.log("t", 0)
    assert errors(shared.run(replication.leader_and_isr, lead(topic_id=bytes(15) + b"\2"))) == [0]
    assert replication.log("t", 0).log_end_offset == 0
    assert told == [(0, 0, True), (0, 0, False), (0, 0, True)]


def two_directories(opened, tmp_path):  # noqa: F811
    """Partitions 0 and 1, led, each in a directory of its own; those lost are noted."""
    replication = opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})
    for index in (0, 1):
        shared.run(replication.leader_and_isr, lead(index=index))
    assert [1, 1] == [len(directory.logs) for directory in replication.partitions.directories]
    lost = []
    replication.around.directory_lost = lost.append
    return replication, lost


def test_E14_a_failed_directory_takes_its_partitions_with_it_and_no_others(opened, tmp_path):  # noqa: F811
    """Who waits is told; neither an order to lead nor one to delete finds the replica, and it is not made anew."""
    replication, lost = two_directories(opened, tmp_path)
    told = []
    replication.leadership.on_change("t", lambda *change: told.append(change))
    failed = replication.partitions.directories[0]
    (index,) = (index for _, index in failed.logs)
    waiter = Waiter()
    shared.run(replication.purgatory.wait, waiter, [("t", index)], 60_000)

    async def fail():
        failed.fail(DirectoryOffline(failed.path, OSError(errno.EIO, "no more")))
        # At once, whatever the reactor has still to do.
        assert Error.KAFKA_STORAGE_ERROR == code_of(replication.append_as_leader, "t", index, records(), 1)
        assert errors(await replication.leader_and_isr(lead(index=index, epoch=1))) == [Error.KAFKA_STORAGE_ERROR]
        await task.deferLater(reactor, 0.01, lambda: None)

    shared.run(fail)
    assert (lost, told, waiter.woken) == ([failed], [(index, 0, False)], 1)
    assert [("t", 1 - index)] == list(replication.partitions.hosted)
    assert Error.KAFKA_STORAGE_ERROR == replication.replicas.replicated("t", index, 0)
    assert Error.KAFKA_STORAGE_ERROR == code_of(replication.replicas.read, "t", index, asked(0), 1000, 0, True)
    assert errors(shared.run(replication.leader_and_isr, lead(index=index, epoch=2))) == [56]
    assert [56] == [p.error_code for p in shared.run(replication.stop_replica, stop(index=index)).partition_errors]
    replication.append_as_leader("t", 1 - index, records(), 1)
    # What is new goes where there still is something.
    assert errors(shared.run(replication.leader_and_isr, lead(index=2))) == [0]
    assert ("t", 2) in replication.partitions.directories[1].logs


def test_E14_a_directory_that_fails_at_the_start_is_gone_without(opened, tmp_path):  # noqa: F811
    replication, _ = two_directories(opened, tmp_path)
    gone = replication.partitions.directories[0]
    (index,) = (index for _, index in gone.logs)
    shared.run(replication.stop)
    Path(gone.path).rename(tmp_path / "elsewhere")
    Path(gone.path).write_text("no directory")
    again = opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})
    state = lead(index=index, epoch=1)
    state.topic_states[0].partition_states[0].is_new = False
    assert errors(shared.run(again.leader_and_isr, state)) == [Error.KAFKA_STORAGE_ERROR]
    assert errors(shared.run(again.leader_and_isr, lead(index=1 - index, epoch=1))) == [0]
    (tmp_path / "b").rename(tmp_path / "elsewhere too")
    (tmp_path / "b").write_text("no directory")
    shared.run(again.stop)
    with pytest.raises(StorageError, match="Failed to create data directory"):
        opened(**{"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"})


def test_a_partition_that_has_moved_away_is_not_served_any_more(opened):  # noqa: F811
    """When StopReplica got lost with its controller; an older state, or one with us, changes nothing (simulation)."""
    replication = opened()
    shared.run(replication.leader_and_isr, lead(epoch=4))
    for leader_epoch, others in ((4, [1, 2]), (5, [0, 1]), (5, [])):
        replication.leadership.left_out(
            "t", SimpleNamespace(partition_index=0, leader_epoch=leader_epoch, replicas=others)
        )
    assert replication.partition("t", 0).leading
    replication.leadership.left_out("t", SimpleNamespace(partition_index=0, leader_epoch=5, replicas=[1, 2]))
    assert ("t", 0) not in replication.partitions.hosted
    assert ("t", 0) in replication.partitions.directories[0].logs, "the log stays"
    assert errors(shared.run(replication.leader_and_isr, lead(epoch=6))) == [0]
