"""Appending: what a batch becomes in the log, and what a failing disk leaves of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage.append_path import Appended
from kafkalike.storage.config import LogConfig
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, error_of, new_log, reopened


def test_offsets_and_the_leader_epoch_are_stamped_and_nothing_else_changes(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    first, second = a_batch(3), a_batch(2, codec=3)
    assert (0, 2, -1, 0, False) == log.append(first, 4, NOW)
    assert (3, 4, -1, 0, False) == log.append(second, 4, NOW)
    given = log.read(0, 10_000, 5)
    assert given is not None
    (h1, b1), (h2, b2) = batch.split(given.read())
    assert (0, 4, 3, 4) == (h1.base_offset, h1.partition_leader_epoch, h2.base_offset, h2.partition_leader_epoch)
    assert bytes(first[16:]) == bytes(b1[16:])
    assert bytes(second[16:]) == bytes(b2[16:])
    assert [(4, 0)] == log.epochs.entries
    assert 5 == log.log_end_offset
    assert len(first) + len(second) == log.size_bytes


def test_a_refused_batch_leaves_nothing_behind(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(max_message_bytes=200))
    log.append(a_batch(1), 0, NOW)
    size = log.size_bytes
    for data, error in (
        (a_batch(1, size=300), Error.MESSAGE_TOO_LARGE),
        (a_batch(1)[:-1], Error.INVALID_RECORD),
        (memoryview(bytes(a_batch(1))[:-1] + b"\xff"), Error.CORRUPT_MESSAGE),
        (memoryview(b"short"), Error.CORRUPT_MESSAGE),
    ):
        assert error == error_of(log.append, data, 0, NOW)
    assert (1, size, size) == (log.log_end_offset, log.size_bytes, os.path.getsize(log.path + f"/{0:020d}.log"))


def test_the_append_time_is_answered_and_stored(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(message_timestamp_type="LogAppendTime"))
    assert (0, 1, NOW + 5, 0, False) == log.append(a_batch(2), 0, NOW + 5)
    assert (NOW + 5, 0, 0) == log.offset_for_timestamp(NOW + 5)
    assert None is log.offset_for_timestamp(NOW + 6)


def test_a_repeated_batch_is_answered_with_its_place_and_not_appended(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    fields = {"producer_id": 7, "producer_epoch": 0}
    log.append(a_batch(2, NOW + 1, base_sequence=0, **fields), 0, NOW)
    log.append(a_batch(2, NOW + 9, base_sequence=2, **fields), 0, NOW)
    size = log.size_bytes
    assert (0, 1, NOW + 2, 0, True) == log.append(a_batch(2, NOW + 1, base_sequence=0, **fields), 0, NOW)
    assert size == log.size_bytes
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == error_of(log.append, a_batch(1, base_sequence=9, **fields), 0, NOW)
    assert 4 == log.log_end_offset


def test_a_follower_keeps_offsets_and_epochs(tmp_path: Path) -> None:
    leader = Log.create(str(tmp_path / "a"), "t", 0, None, SMALL)
    for n in range(20):
        leader.append(a_batch(1 + n % 3, NOW + n, producer_id=4, producer_epoch=0, base_sequence=0)
                      if n == 0 else a_batch(1 + n % 3, NOW + n), n // 7, NOW)  # fmt: skip
    follower = Log.create(str(tmp_path / "b"), "t", 0, None, SMALL)
    while follower.log_end_offset < leader.log_end_offset:
        given = leader.read(follower.log_end_offset, 350, leader.log_end_offset)
        assert given is not None
        data = given.read()
        # The leader's answer may end in the middle of a batch.
        assert follower.append_as_follower(memoryview(data + data[:70]), NOW) is not None
    assert contents(leader) == contents(follower)
    assert leader.epochs.entries == follower.epochs.entries
    assert leader.producers.entries == follower.producers.entries
    assert None is follower.append_as_follower(memoryview(b"\0" * 20), NOW)
    before = leader.read(0, 200, 10)
    assert before is not None
    assert Error.UNKNOWN_SERVER_ERROR == error_of(follower.append_as_follower, memoryview(before.read()), NOW)
    assert contents(reopened(follower, False)) == contents(leader)


def test_a_follower_takes_nothing_that_came_damaged(tmp_path: Path) -> None:
    follower = new_log(tmp_path)
    for at in range(8, len(a_batch(1))):
        data = bytearray(a_batch(1))
        data[at] ^= 0x40
        try:
            appended = follower.append_as_follower(memoryview(data), NOW)
        except KafkaError as error:
            assert Error.CORRUPT_MESSAGE == error.error, at
        else:
            assert appended is None or 12 <= at < 16, "the leader epoch is not under the checksum"
            follower.truncate_fully(0)


@pytest.mark.parametrize("room", [0, 1, 15, 16, 17, 60])
def test_a_full_disk_refuses_the_batch_and_nothing_else(tmp_path: Path, room: int) -> None:
    """E15, C6: no half batch, no changed state; the same batch goes through when there is space again."""
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=0), 0, NOW)
    size = log.size_bytes
    disk.room = room
    data = a_batch(1, producer_id=7, producer_epoch=0, base_sequence=1)
    for _ in range(2):
        assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, data, 0, NOW)
        assert size == os.path.getsize(log.path + f"/{0:020d}.log") == log.size_bytes
    assert None is log.offline
    assert 1 == len(contents(log))
    disk.heal()
    assert (1, 1, -1, 0, False) == log.append(data, 0, NOW)
    assert [0, 1] == [o for o, _ in contents(reopened(log, False))]


def test_a_short_write_is_completed(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    data = a_batch(3)
    once = os.pwritev
    cuts = [5, 40]
    log._pwritev = lambda fd, buffers, at: once(fd, [b"".join(buffers)[: cuts.pop()]], at)
    log.append(data, 0, NOW)
    assert 3 == len(contents(log))


def test_a_batch_costs_some_microseconds(tmp_path: Path) -> None:
    """Ten times what it takes on an idle machine: to notice work per record or a copy, not noise."""
    log = new_log(tmp_path)
    data, count = a_batch(1, size=120), 3000
    start = time.perf_counter()
    for _ in range(count):
        log.append(data, 0, NOW)
    assert (time.perf_counter() - start) / count < 60e-6


@pytest.mark.parametrize("clean", [True, False])
def test_F3_repeats_of_batches_before_the_last_are_known_after_a_restart_too(tmp_path: Path, clean: bool) -> None:
    """A snapshot holds each producer's last batch only; the log has the others."""
    log = new_log(tmp_path, SMALL)

    def append(sequence: int, count: int = 1, epoch: int = 0) -> Appended:
        records = a_batch(count, producer_id=7, producer_epoch=epoch, base_sequence=sequence)
        return log.append(records, 0, NOW)

    append(0)
    offsets = {}
    for sequence in range(1, 15, 2):
        offsets[sequence] = append(sequence, 2).base_offset
        log.append(a_batch(1, producer_id=8, producer_epoch=0, base_sequence=sequence // 2), 0, NOW)
        log.append(a_batch(), 0, NOW)
    for _ in range(2):
        log = reopened(log, clean)
        for sequence in (11, 5, 13, 7, 9):
            repeat = append(sequence, 2)
            assert (offsets[sequence], True) == (repeat.base_offset, repeat.duplicate)
        # Older than what a client may have under way; half of a batch; a gap.
        for sequence, count in ((3, 2), (11, 1), (16, 1)):
            with pytest.raises(KafkaError) as refused:
                append(sequence, count)
            assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refused.value.error
    assert log.log_end_offset == append(15).base_offset
    assert not append(0, epoch=1).duplicate
    assert 0 == len([b for b in log.producers.entries[7].batches if b.base_sequence == 11])
    log.abandon()
