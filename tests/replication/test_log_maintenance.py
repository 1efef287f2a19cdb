"""Periodic work: what is written, flushed and thrown away, and which followers leave the ISR."""

import errno
import os
from pathlib import Path

import pytest
from twisted.internet import reactor, task

from kafkalike.errors import Error, KafkaError
from kafkalike.replication.log_maintenance import FLUSH_TIME, LogMaintenance
from kafkalike.storage.files import Files
from kafkalike.storage.log import Log
from kafkalike.storage.open_files import OPEN_FILES
from tests import reactor as shared
from tests.replication.test_replicas import ID, lead, opened, records  # noqa: F401  (opened is a fixture)


def led(opened, **settings):  # noqa: F811
    replication = opened(**settings)
    shared.run(replication.leader_and_isr, lead())
    return replication


def test_a_checkpoint_holds_every_high_watermark(opened):  # noqa: F811
    replication = led(opened)
    replication.append_as_leader("t", 0, records(4), 1)
    shared.run(replication.log_maintenance.checkpoint)
    directory = replication.partitions.directories[0]
    assert directory.high_watermarks == {("t", 0): 4}
    assert "t 0 4" in Path(directory.path, "replication-offset-checkpoint").read_text()


@pytest.mark.parametrize(
    ("key", "file", "line"),
    [
        ("log.flush.offset.checkpoint.interval.ms", "recovery-point-offset-checkpoint", "t 0 4"),
        ("log.flush.start.offset.checkpoint.interval.ms", "log-start-offset-checkpoint", "t 0 2"),
    ],
)
def test_each_checkpoint_has_an_interval_of_its_own(opened, key, file, line):  # noqa: F811
    replication = led(opened, **{key: "10"})
    replication.append_as_leader("t", 0, records(4), 1)
    replication.log("t", 0).flush()
    replication.replicas.delete_records("t", 0, 2)
    path = Path(replication.partitions.directories[0].path, file)
    replication.log_maintenance.start()

    async def written():
        for _ in range(1000):
            if path.exists() and line in path.read_text():
                return True
            await task.deferLater(reactor, 0.005, lambda: None)
        return False

    assert shared.run(written)


def test_A14_the_high_watermark_of_a_replica_that_has_no_leader_is_kept(opened):  # noqa: F811
    replication = led(opened)
    replication.append_as_leader("t", 0, records(4), 1)
    shared.run(replication.stop)
    again = opened()
    shared.run(again.log_maintenance.checkpoint)
    assert again.partitions.directories[0].high_watermarks == {("t", 0): 4}, "nobody has said anything of it yet"
    shared.run(again.leader_and_isr, lead(leader=-1, isr=(0, 1), epoch=1))
    shared.run(again.log_maintenance.checkpoint)
    assert again.partitions.directories[0].high_watermarks == {("t", 0): 4}
    shared.run(again.leader_and_isr, lead(epoch=2))
    assert again.partition("t", 0).high_watermark == 4


def test_what_flush_ms_makes_due_is_flushed_in_a_thread(opened):  # noqa: F811
    replication = led(opened, **{"log.flush.interval.ms": "0"})
    replication.append_as_leader("t", 0, records(4), 1)
    log = replication.log("t", 0)

    async def flushed():
        replication.log_maintenance._flush_old()
        for _ in range(1000):
            if log.recovery_point == 4:
                return True
            await task.deferLater(reactor, 0.005, lambda: None)
        return False

    timed = FLUSH_TIME.of().count
    assert shared.run(flushed)
    assert timed < FLUSH_TIME.of().count


def test_files_are_closed_first_where_nothing_was_appended(opened):  # noqa: F811
    replication = opened()
    before = OPEN_FILES.count
    for index in range(6):
        shared.run(replication.leader_and_isr, lead(index=index))
    assert OPEN_FILES.count == before + 6
    replication.log_maintenance.close_files(before + 6)
    for index in (0, 3):
        replication.append_as_leader("t", index, records(1), 1)
    replication.log_maintenance.close_files(before + 2)
    assert OPEN_FILES.count == before + 2
    assert [0, 3] == [index for index in range(6) if replication.log("t", index)._active.fd >= 0]
    replication.log_maintenance.close_files(0)
    assert OPEN_FILES.count == before
    assert 1 == replication.append_as_leader("t", 0, records(1), 1).base_offset


def test_flushes_hold_no_more_files_than_may_be_open(opened, monkeypatch):  # noqa: F811
    replication = opened(**{"log.flush.interval.ms": "0"})
    begun = []
    monkeypatch.setattr(replication.log_maintenance, "_flush", begun.extend)
    for index in range(6):
        shared.run(replication.leader_and_isr, lead(index=index))
        replication.append_as_leader("t", index, records(1), 1)
    replication.log_maintenance.close_files(0)
    before = OPEN_FILES.count
    monkeypatch.setattr(OPEN_FILES, "most", before + 4)
    rounds = []
    while any(replication.log("t", index).recovery_point == 0 for index in range(6)):
        replication.log_maintenance._flush_old()
        rounds.append(len(begun))
        for flush in begun:
            flush.run()
            flush.finish()
        begun.clear()
        assert len(rounds) < 9
    assert rounds[0] == 4 and sum(rounds) == 6


def test_what_fails_again_for_the_same_reason_is_told_once(opened, monkeypatch, caplog):  # noqa: F811
    replication = led(opened, **{"log.flush.interval.ms": "0"})
    replication.append_as_leader("t", 0, records(1), 1)

    def refused(path, data=b"", sync=True):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def flush():
        replication.log_maintenance._flush_old()
        while replication.log("t", 0)._flushing:
            await task.deferLater(reactor, 0.005, lambda: None)

    with monkeypatch.context() as patched:
        patched.setattr(Files, "write_atomically", staticmethod(refused))
        patched.setattr(Files, "sync_path", staticmethod(refused))
        for _ in range(3):
            shared.run(replication.log_maintenance.checkpoint)
            shared.run(flush)
    assert [1, 1] == [sum(text in message for message in caplog.messages) for text in ("directories failed", "Flush")]
    shared.run(replication.log_maintenance.checkpoint)
    shared.run(flush)
    assert replication.log("t", 0).recovery_point == 1 and replication.partitions.directories[0].offline is None
    with monkeypatch.context() as patched:
        patched.setattr(Files, "write_atomically", staticmethod(refused))
        shared.run(replication.log_maintenance.checkpoint)
    assert 2 == sum("directories failed" in message for message in caplog.messages)


def test_a_replica_that_finds_no_descriptor_is_had_when_it_is_asked_for_again(opened, monkeypatch):  # noqa: F811
    replication = opened()
    refusals = []
    replication.around.replica_refused = lambda: refusals.append(1)

    def refused(self, path, create=False, write=True):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def codes(answer):
        return [e.error_code for each in answer.topics for e in each.partition_errors]

    with monkeypatch.context() as patched:
        patched.setattr(Files, "open", refused)
        assert [Error.KAFKA_STORAGE_ERROR] == codes(shared.run(replication.leader_and_isr, lead()))
    assert (
        1 == len(refusals)
        and {} == replication.partitions.hosted
        and replication.partitions.directories[0].offline is None
    )
    # A log that is made, and whose epoch cannot be written.
    with monkeypatch.context() as patched:
        patched.setattr(Log, "assign_epoch", lambda *args: _raise(KafkaError(Error.KAFKA_STORAGE_ERROR, "full")))
        assert [Error.KAFKA_STORAGE_ERROR] == codes(shared.run(replication.leader_and_isr, lead()))
    assert 2 == len(refusals) and {} == replication.partitions.hosted
    assert [Error.NONE] == codes(shared.run(replication.leader_and_isr, lead()))
    assert 0 == replication.append_as_leader("t", 0, records(1), 1).base_offset


def _raise(error):
    raise error


def test_a_round_passes_over_what_was_given_up_in_the_middle_of_it(opened):  # noqa: F811
    """Its files are not where they were, which is no failure of the disk."""
    replication = led(opened, **{"log.retention.bytes": "1", "log.segment.bytes": "100"})
    shared.run(replication.leader_and_isr, lead(index=1))
    for _ in range(5):
        replication.append_as_leader("t", 1, records(), 1)

    def round_with_a_deletion():
        steps = replication.log_maintenance._each(lambda hosted: hosted.log.retain(10**13, hosted.log.log_end_offset))
        next(steps)
        gone = replication.log("t", 1)
        assert replication.leadership.give_up("t", 1, -2, True) == 0
        list(steps)
        # Nor is it when somebody held on to the log.
        with pytest.raises(KafkaError):
            gone.retain(10**13, 5)

    shared.run(round_with_a_deletion)
    assert replication.partitions.directories[0].offline is None


class Flushing:
    def __init__(self, outcomes, error=None):
        self.outcomes = outcomes
        self.error = error

    def run(self, done):
        done.add("directory")
        self.outcomes.append(("ran", len(done)))
        if self.error:
            raise self.error

    def finish(self, error):
        self.outcomes.append(error)


def test_after_a_flush_that_failed_nothing_in_that_directory_is_tried(opened):  # noqa: F811
    replication = opened()
    outcomes, error = [], OSError(5, "Input/output error")
    flushes = [Flushing(outcomes), Flushing(outcomes, error), Flushing(outcomes)]

    async def flushed():
        replication.log_maintenance._flush(flushes)
        while len(outcomes) < 5:
            await task.deferLater(reactor, 0.005, lambda: None)

    shared.run(flushed)
    assert outcomes == [("ran", 1), ("ran", 1), None, error, error]


def test_A16_retention_takes_old_segments_but_nothing_above_the_high_watermark(opened):  # noqa: F811
    replication = led(opened, **{"log.retention.bytes": "1", "log.segment.bytes": "100"})
    for _ in range(5):
        replication.append_as_leader("t", 0, records(), 1)
    replication.partition("t", 0).high_watermark = 3
    shared.run(replication.log_maintenance._retain)
    assert replication.log("t", 0).log_start_offset == 3


def test_the_loops_end_with_the_broker(opened):  # noqa: F811
    replication = led(opened)
    maintenance = LogMaintenance(
        replication.partitions,
        replication.purgatory,
        replication.fetchers,
        replication.around.clock,
        replication.config,
        task.Clock(),
    )
    maintenance.start()
    assert maintenance._loops
    maintenance.stop()
    assert not any(loop.running for loop in maintenance._loops)
