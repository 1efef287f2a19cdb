"""A partition's log: what is appended is read back, through rolls, cuts, retention, restarts and failing disks."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.log import Appended, Log
from tests.hypothesis_examples import examples
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, error_of, names, new_log, reopened

# Appending


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


# Rolling


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1, NOW + n), 0, NOW)
    assert names(log, ".log") == names(log, ".index") == names(log, ".timeindex")
    assert len(names(log, ".log")) > 3
    assert all(os.path.getsize(f"{log.path}/{base:020d}.log") <= 400 for base in names(log, ".log"))
    assert set(names(log, ".snapshot")) == set(names(log, ".log")) - {0}
    assert list(range(20)) == [offset for offset, _ in contents(log)]


def test_time_rolls_by_the_records_timestamps(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_ms=1000))
    for timestamp in (NOW, NOW + 1000, NOW + 1001, NOW + 1500):
        log.append(a_batch(1, timestamp), 0, NOW)
    assert [0, 2] == names(log, ".log")
    log = reopened(log)
    log.append(a_batch(1, NOW + 2002), 0, NOW)
    assert [0, 2, 4] == names(log, ".log")


def test_a_full_index_rolls(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(index_interval_bytes=1, segment_index_bytes=60))
    for _ in range(30):
        log.append(a_batch(1), 0, NOW)
    assert len(names(log, ".log")) > 3
    assert all(os.path.getsize(f"{log.path}/{base:020d}.index") <= 60 for base in names(log, ".log"))


def test_a_relative_offset_never_exceeds_31_bits(tmp_path: Path) -> None:
    """E4. A gap that wide comes from a compacted leader."""
    log = new_log(tmp_path)
    for base in (0, 2**31 - 2, 2**31 + 5):
        data = bytearray(a_batch(3))
        data[0:8] = base.to_bytes(8, "big")
        log.append_as_follower(memoryview(data), NOW)
    assert [0, 3] == names(log, ".log")[:2]
    assert [0, 2**31 - 2, 2**31 + 5] == [o for o, _ in contents(log)][::3]
    given = log.read(100, 10_000, log.log_end_offset)
    assert given is not None and 2**31 - 2 == batch.read_header(given.read()).base_offset


def test_a_batch_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=100))
    assert Error.RECORD_LIST_TOO_LARGE == error_of(log.append, a_batch(1, size=100), 0, NOW)


# Reading


def test_reads_stay_within_the_log_and_the_limit(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(10):
        log.append(a_batch(2), 0, NOW)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, 21, 100, 20)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, -1, 100, 20)
    assert None is log.read(20, 100, 20)
    assert None is log.read(14, 100, 14)
    for limit in range(1, 21):
        seen = []
        offset = 0
        while (given := log.read(offset, 1000, limit)) is not None:
            seen += [h.last_offset for h, _ in batch.split(given.read())]
            offset = seen[-1] + 1
        assert list(range(1, limit // 2 * 2, 2)) == seen


def test_an_offset_inside_a_batch_gives_the_batch(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for _ in range(4):
        log.append(a_batch(5), 0, NOW)
    for offset in range(20):
        given = log.read(offset, 1, 20)
        assert given is not None and offset // 5 * 5 == batch.read_header(given.read()).base_offset


def test_who_reads_on_has_the_disk_read_ahead(tmp_path: Path) -> None:
    told = []

    class Watched(FailingDisk):
        def will_need(self, fd: int, position: int, size: int) -> None:  # type: ignore[override]
            told.append((position, size))

    log = new_log(tmp_path, files=Watched())
    for _ in range(100):
        log.append(a_batch(1, size=100_000), 0, NOW)
    size = log.size_bytes // 100
    offset = 0
    while (given := log.read(offset, 3 * size, 100)) is not None:
        offset += given.size // size
    assert [(0, 8 << 20), (42 * size, 8 << 20), (84 * size, 8 << 20)] == told
    log.read(1, 3 * size, 100)
    assert size == told[3][0], "somebody else is elsewhere"
    log.read(99, 3 * size, 100)
    assert 4 == len(told), "at its end the log is in memory"


def test_at_least_one_batch_is_given_only_if_asked_for(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for _ in range(3):
        log.append(a_batch(5), 0, NOW)
    size = len(a_batch(5))
    assert None is log.read(0, size - 1, 15, False)
    for limit, expected in ((1, size), (size, size), (2 * size - 1, size), (2 * size, 2 * size)):
        given = log.read(0, limit, 15, True)
        assert given is not None and expected == given.size


# Cutting and retention


@pytest.mark.parametrize("offset", range(0, 41, 3))
def test_a_cut_leaves_the_batches_before_it(tmp_path: Path, offset: int) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(2, NOW + n, producer_id=3, producer_epoch=0, base_sequence=2 * n), n // 6, NOW)
    log.flush()
    whole = contents(log)
    end = min(offset // 2 * 2, 40)
    log.truncate(offset)
    assert end == log.log_end_offset
    assert whole[:end] == contents(log)
    assert end >= log.recovery_point
    assert all(start < end or offset >= 40 for _, start in log.epochs.entries)
    assert max((e.next_sequence for e in log.producers.entries.values()), default=0) == end
    log.append(a_batch(2, NOW, producer_id=3, producer_epoch=0, base_sequence=end), 9, NOW)
    for clean in (False, True):
        log = reopened(log, clean)
        assert whole[:end] == contents(log)[:end]
        assert end + 2 == log.log_end_offset
        assert 9 == log.latest_epoch()


def test_A10_a_cut_to_the_end_still_drops_epochs(tmp_path: Path) -> None:
    """KAFKA-10706"""
    log = new_log(tmp_path)
    log.append(a_batch(3), 1, NOW)
    log.assign_epoch(2, 3)
    log.truncate(3)
    assert [(1, 0)] == log.epochs.entries
    assert 1 == log.latest_epoch()


def test_a_log_can_begin_again_elsewhere(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1, producer_id=3, producer_epoch=0, base_sequence=n), 0, NOW)
    log.truncate_fully(1000)
    assert (1000, 1000, 0, -1) == (log.log_start_offset, log.log_end_offset, log.size_bytes, log.latest_epoch())
    assert {} == log.producers.entries
    assert 1000 == log.append(a_batch(1), 5, NOW).base_offset
    log = reopened(log, False)
    assert [1000] == [o for o, _ in contents(log)]


def test_an_old_leader_may_not_append(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(1), 3, NOW)
    assert Error.FENCED_LEADER_EPOCH == error_of(log.append, a_batch(1), 2, NOW)
    assert 1 == log.log_end_offset


def test_deleted_records_are_out_of_range_and_their_segments_go(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1), n // 5, NOW)
    bases = names(log, ".log")
    log.advance_log_start(bases[2] + 1)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, bases[2], 100, 20)
    assert log.retain(NOW, 20) > 0
    assert bases[2:] == names(log, ".log")
    assert bases[2] + 1 == log.log_start_offset
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.advance_log_start, 21)
    log.advance_log_start(3)
    assert bases[2] + 1 == log.log_start_offset


# Failing disks


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


@pytest.mark.parametrize("operation", ["pwritev", "create", "open"])
def test_a_full_disk_at_a_roll_refuses_the_batch_or_does_without(tmp_path: Path, operation: str) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    while log.size_bytes + len(a_batch(1)) <= 400:
        log.append(a_batch(1), 0, NOW)
    end = log.log_end_offset
    disk.fail(operation, errno.ENOSPC)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 0, NOW)
    assert (end, None) == (log.log_end_offset, log.offline)
    disk.heal()
    assert end == log.append(a_batch(1), 0, NOW).base_offset
    assert end + 1 == len(contents(log))
    assert end + 1 == len(contents(reopened(log, False)))
    assert end + 1 == len(contents(reopened(log)))


def test_a_roll_that_failed_leaves_no_segment_in_the_middle_of_the_old_one(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    while log.size_bytes + len(a_batch(3)) <= 400:
        log.append(a_batch(1), 0, NOW)
    disk.fail("create", errno.ENOSPC, after=1)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(3), 0, NOW)
    disk.heal()
    assert [0] == names(log, ".log")
    log.append(a_batch(1, size=1), 0, NOW)
    end = log.log_end_offset
    assert (end, [0]) == (reopened(log, False).log_end_offset, names(log, ".log"))


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS])
def test_a_failing_disk_takes_the_log_offline(tmp_path: Path, error: int) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.append(a_batch(1), 0, NOW)
    told = []
    log.on_offline = told.append
    disk.fail("pwritev", error)
    with pytest.raises(DirectoryOffline) as raised:
        log.append(a_batch(1), 0, NOW)
    assert str(tmp_path) == raised.value.path
    assert [raised.value] == told
    disk.heal()
    disk.calls.clear()
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 0, NOW)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.read, 0, 100, 1)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.flush)
    assert 0 == log.retain(NOW, 1)
    log.close()
    assert [] == disk.calls, "nothing is tried again"


def test_a_failed_read_takes_the_log_offline(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    for _ in range(20):
        log.append(a_batch(1), 0, NOW)
    disk.fail("pread")
    with pytest.raises(DirectoryOffline):
        log.read(1, 100, 20)


def test_too_many_open_files_are_no_failing_disk(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    for _ in range(20):
        log.append(a_batch(1), 0, NOW)
    log.flush()
    disk.fail("open", errno.EMFILE)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.read, 0, 100, 20)
    disk.heal()
    assert None is not log.read(0, 100, 20)


def test_an_epoch_that_cannot_be_written_is_not_taken(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.assign_epoch(1, 0)
    disk.room = 0
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.assign_epoch, 2, 0)
    assert ([(1, 0)], 1) == (log.epochs.entries, log.latest_epoch())
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 2, NOW)
    disk.heal()
    log.append(a_batch(1), 2, NOW)
    assert [(2, 0)] == log.epochs.entries


def test_damage_under_a_reader_is_one_partitions_trouble(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=2000, index_interval_bytes=200))
    for _ in range(40):
        log.append(a_batch(1), 0, NOW)
    log = reopened(log)
    size = len(a_batch(1))
    with open(f"{log.path}/{0:020d}.log", "r+b") as file:
        file.seek(9 * size)
        file.write(b"\xff" * size)
    assert Error.CORRUPT_MESSAGE == error_of(log.read, 9, 3 * size, 40)
    assert None is not log.read(3, 100, 40)
    assert None is not log.read(30, 100, 40)
    assert None is log.offline


# A model of the log


class LogAndModel(RuleBasedStateMachine):
    """The log beside a plain list of (offset, value)."""

    counter = 0

    @initialize(
        segment_bytes=st.sampled_from([250, 600, 5000]),
        interval=st.sampled_from([1, 200, 4096]),
        recent=st.sampled_from([1, 4, 256]),
    )
    def begin(self, segment_bytes: int, interval: int, recent: int) -> None:
        type(self).counter += 1
        self.path = self.home / f"{os.getpid()}-{self.counter}"  # type: ignore[attr-defined]
        self.path.mkdir()
        config = LogConfig(segment_bytes=segment_bytes, index_interval_bytes=interval, retention_bytes=800)
        self.log = new_log(self.path, config)
        self.records: list[tuple[int, bytes | None]] = []
        self.starts: list[int] = []
        self.start, self.end, self.epoch, self.sequence = 0, 0, 0, 0

    @rule(count=st.integers(1, 4), codec=st.sampled_from([0, 0, 3]), bump=st.booleans(), idempotent=st.booleans())
    def append(self, count: int, codec: int, bump: bool, idempotent: bool) -> None:
        self.epoch += bump
        fields = {"producer_id": 1, "producer_epoch": 0, "base_sequence": self.sequence} if idempotent else {}
        data = a_batch(count, NOW + self.end, codec=codec, **fields)
        appended = self.log.append(data, self.epoch, NOW)
        assert self.end == appended.base_offset
        values = [r.value for r in batch.records(data)]
        self.records += list(zip(range(self.end, self.end + count), values, strict=True))
        self.starts.append(self.end)
        self.end += count
        if idempotent:
            self.sequence += count

    @rule()
    def roll(self) -> None:
        self.log.roll(NOW)

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        offset = data.draw(st.integers(self.start, self.end))
        self.log.truncate(offset)
        end = max([s for s in [*self.starts, self.end] if s <= offset], default=offset)
        end = self.log.log_end_offset if end < self.start else end
        assert end == self.log.log_end_offset
        self.records = [r for r in self.records if r[0] < end]
        self.starts = [s for s in self.starts if s < end]
        self.end = end
        self.start = min(self.start, end)
        producer = self.log.producers.entries.get(1)
        self.sequence = producer.next_sequence if producer else 0
        self.epoch = max(self.epoch, 0) + 1

    @precondition(lambda self: self.end > self.start)
    @rule(data=st.data())
    def delete_records(self, data: st.DataObject) -> None:
        self.start = data.draw(st.integers(self.start, self.end))
        self.log.advance_log_start(self.start)
        self.records = [r for r in self.records if r[0] >= self.start]

    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        high_watermark = data.draw(st.integers(self.start, self.end))
        self.log.retain(NOW, high_watermark)
        assert self.start <= self.log.log_start_offset <= max(high_watermark, self.start)
        self.start = self.log.log_start_offset
        self.records = [r for r in self.records if r[0] >= self.start]

    @rule()
    def flush(self) -> None:
        self.log.flush()

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        producers = dict(self.log.producers.entries)
        epochs = [entry for entry in self.log.epochs.entries if entry[1] < self.end]
        self.log = reopened(self.log, clean)
        assert clean != self.log.recovered
        assert {p: e.next_sequence for p, e in producers.items()} == {
            p: e.next_sequence for p, e in self.log.producers.entries.items()
        }
        assert epochs == [entry for entry in self.log.epochs.entries if entry[1] < self.end]

    @rule(data=st.data(), limit=st.integers(1, 700))
    def read(self, data: st.DataObject, limit: int) -> None:
        offset = data.draw(st.integers(self.start, self.end))
        most = data.draw(st.integers(offset, self.end))
        given = self.log.read(offset, limit, most)
        if given is not None:
            pairs = batch.split(given.read())
            assert pairs[0][0].base_offset <= offset <= pairs[0][0].last_offset
            assert pairs[-1][0].last_offset < most
            assert len(pairs) == 1 or given.size <= limit
            got = [(r.offset, r.value) for _, b in pairs for r in batch.records(b)]
            assert [r for r in self.records if offset <= r[0] <= got[-1][0]] == [r for r in got if r[0] >= offset]

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "log"):
            return
        log = self.log
        assert (self.start, self.end) == (log.log_start_offset, log.log_end_offset)
        assert self.records == contents(log)
        assert log.recovery_point <= log.log_end_offset
        for file in os.listdir(log.path):
            size = os.path.getsize(f"{log.path}/{file}")
            assert not (file.endswith(".index") and size % 8)
            assert not (file.endswith(".timeindex") and size % 12)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.abandon()


@pytest.mark.hypothesis
def test_the_log_agrees_with_a_list(tmp_path: Path) -> None:
    class Machine(LogAndModel):
        home = tmp_path

    case = Machine.TestCase
    case.settings = examples(40, stateful_step_count=25)
    case().runTest()


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
