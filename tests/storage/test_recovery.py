"""Opening a log after a crash: everything that was whole is there, nothing that was not."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.storage import recovery
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DISK
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, FailingDisk, a_batch, contents, error_of

CONFIG = LogConfig(segment_bytes=600, index_interval_bytes=100)


def crashed(path: Path, batches: int = 15, config: LogConfig = CONFIG) -> tuple[Path, list[int], list[int]]:
    """A log that was not closed; where its batches end, in bytes of the last segment, and its offsets there."""
    log = Log.create(str(path), "t", 0, b"i" * 16, config, NOW)
    for n in range(batches):
        fields = {"producer_id": 5, "producer_epoch": 0, "base_sequence": 0} if n == 0 else {}
        data = a_batch(1 + n % 3, NOW + n, **fields)
        log.append(data, n // 5, NOW)
    active = log._active
    ends = [0, *(found.position + found.size for found in active.batches(0))]
    offsets = [active.base_offset, *(found.last_offset + 1 for found in active.batches(0))]
    log.abandon()
    return path, ends, offsets


def last_file(path: Path, suffix: str = ".log") -> Path:
    return sorted(p for p in path.iterdir() if p.name.endswith(suffix))[-1]


def opened(path: Path, recovery_point: int = 0, **kwargs: object) -> Log:
    return Log.open(str(path), "t", 0, CONFIG, recovery_point, now_ms=NOW, **kwargs)  # type: ignore[arg-type]


def test_a_tail_torn_at_every_byte(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    source, ends, offsets = crashed(tmp_path / "source", 3)
    whole = last_file(source).read_bytes()
    assert 4 == len(ends)
    before = contents(opened(source))
    for size in range(len(whole) + 1):
        path = tmp_path / "t-0"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path)
        torn = last_file(path)
        torn.write_bytes(whole[:size])
        log = opened(path)
        survivors = max(n for n, end in enumerate(ends) if end <= size)
        assert offsets[survivors] == log.log_end_offset, size
        assert before[: offsets[survivors]] == contents(log)
        assert ends[survivors] == torn.stat().st_size
        kept = [p for p in path.iterdir() if p.name.endswith(".torn")]
        cut = whole[ends[survivors] : size]
        assert ([cut] if cut.strip(b"\0") else []) == [p.read_bytes() for p in kept]
        assert [] == log.corruption.ranges
        assert offsets[survivors] == log.append(a_batch(1), 7, NOW).base_offset
        log.abandon()


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x01\x02"])
def test_a_tail_of_rubbish_is_cut(tmp_path: Path, fill: bytes) -> None:
    path, ends, offsets = crashed(tmp_path / "t-0")
    with open(last_file(path), "ab") as file:
        file.write(fill * 5000)
    log = opened(path)
    assert (offsets[-1], ends[-1]) == (log.log_end_offset, last_file(path).stat().st_size)


def test_a_flipped_bit_above_the_recovery_point_ends_the_log_there(tmp_path: Path) -> None:
    path, ends, offsets = crashed(tmp_path / "t-0")
    data = bytearray(last_file(path).read_bytes())
    data[ends[1] + 65] ^= 1
    last_file(path).write_bytes(data)
    log = opened(path)
    assert offsets[1] == log.log_end_offset
    assert [bytes(data[ends[1] :])] == [p.read_bytes() for p in path.iterdir() if p.name.endswith(".torn")]
    log.abandon()
    opened(path)
    assert [] == [p for p in path.iterdir() if p.name.endswith(".torn")], "kept until the next recovery"


def test_segments_behind_the_cut_are_set_aside(tmp_path: Path) -> None:
    path, _, _ = crashed(tmp_path / "t-0", 30)
    bases = recovery.numbered(os.listdir(path), ".log")
    second = path / f"{bases[1]:020d}.log"
    data = bytearray(second.read_bytes())
    data[70] ^= 1
    second.write_bytes(data)
    log = opened(path)
    assert bases[1] == log.log_end_offset
    assert bases[:2] == recovery.numbered(os.listdir(path), ".log")
    assert len(bases) - 1 == len([p for p in path.iterdir() if p.name.endswith(".torn")])
    assert all(start < bases[1] for _, start in log.epochs.entries)
    assert all(offset <= bases[1] for offset in recovery.numbered(os.listdir(path), ".snapshot"))


@pytest.mark.parametrize("at", [0, 8, 16, 65])
def test_flushed_data_are_never_cut_for_a_bad_batch_among_them(
    tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    """CORDS: damage in the middle is not a torn tail. What lies behind it stays, and it is reported."""
    path, ends, offsets = crashed(tmp_path / "t-0")
    data = bytearray(last_file(path).read_bytes())
    data[ends[1] + at] ^= 0x11
    last_file(path).write_bytes(data)
    log = opened(path, recovery_point=offsets[-1])
    assert offsets[-1] == log.log_end_offset
    assert [(offsets[1], offsets[2] - 1)] == log.corruption.ranges
    assert data == last_file(path).read_bytes()
    assert f"offsets {offsets[1]} to {offsets[2] - 1}, which were flushed, cannot be read" in caplog.text
    assert Error.CORRUPT_MESSAGE == error_of(log.read, offsets[1], 10_000, log.log_end_offset)
    given = log.read(offsets[2], 10_000, log.log_end_offset)
    assert given is not None and offsets[2] == batch.read_header(given.read()).base_offset
    assert offsets[-1] == log.append(a_batch(1), 7, NOW).base_offset


def test_flushed_offsets_are_not_given_out_again(tmp_path: Path) -> None:
    path, ends, offsets = crashed(tmp_path / "t-0")
    last_file(path).write_bytes(last_file(path).read_bytes()[: ends[1]])
    log = opened(path, recovery_point=offsets[-1])
    assert offsets[-1] == log.log_end_offset
    assert [(offsets[1], offsets[-1] - 1)] == log.corruption.ranges
    assert offsets[-1] == log.append(a_batch(1), 7, NOW).base_offset
    for offset in (offsets[1], offsets[-1] - 1):
        assert Error.CORRUPT_MESSAGE == error_of(log.read, offset, 10_000, log.log_end_offset)
    given = log.read(offsets[-1], 10_000, log.log_end_offset)
    assert given is not None and offsets[-1] == batch.read_header(given.read()).base_offset


def test_only_segments_from_the_recovery_point_on_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, _ = crashed(tmp_path / "t-0", 30)
    bases = recovery.numbered(os.listdir(path), ".log")
    read: list[int] = []
    whole = recovery._recover_segment
    monkeypatch.setattr(recovery, "_recover_segment", lambda s, *a: (read.append(s.base_offset), whole(s, *a))[1])
    opened(path, recovery_point=bases[-2] + 1)
    assert bases[-2:] == read


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
@pytest.mark.parametrize("clean", [True, False])
def test_indexes_are_built_again(tmp_path: Path, suffix: str, how: str, clean: bool) -> None:
    path, _, offsets = crashed(tmp_path / "t-0", 30)
    log = opened(path)
    log.close()
    files = sorted(p for p in path.iterdir() if p.name.endswith(suffix))
    expected = [p.read_bytes() for p in files]
    assert all(expected)
    for p, data in zip(files, expected, strict=True):
        if how == "missing":
            p.unlink()
        else:
            p.write_bytes(data[:-3] if how == "cut" else data + b"\0")
    log = opened(path, recovery_point=offsets[-1], clean=clean)
    log.close()
    assert expected == [p.read_bytes() for p in files]


def test_leader_epochs_come_from_the_records_if_their_file_is_gone(tmp_path: Path) -> None:
    path, _, _ = crashed(tmp_path / "t-0", 30)
    expected = opened(path).epochs.entries
    assert len(expected) == 6
    for content in (None, b"", b"0\n7\n1 2\n"):
        for clean in (True, False):
            (path / "leader-epoch-checkpoint").unlink()
            if content is not None:
                (path / "leader-epoch-checkpoint").write_bytes(content)
            assert expected == opened(path, clean=clean).epochs.entries


@pytest.mark.parametrize("torn", [False, True])
def test_a_log_without_records_knows_its_epoch(tmp_path: Path, torn: bool) -> None:
    """Its records were deleted, or lie below its start and did not survive a loss of power."""
    path, _, offsets = crashed(tmp_path / "t-0", 30)
    log = opened(path)
    (epoch, _), end = log.epochs.entries[-1], log.log_end_offset
    log.abandon()
    if torn:
        last_file(path).write_bytes(last_file(path).read_bytes()[:-1])
    again = opened(path, log_start_offset=end)
    assert [(epoch, end)] == again.epochs.entries
    assert (end, end) == (again.log_start_offset, again.log_end_offset)


def test_A10_a_file_of_leader_epochs_from_before_a_cut_is_corrected_by_the_records(tmp_path: Path) -> None:
    """Simulation, seed 100435: a loss of power brings back an epoch of which the records were cut since."""
    path, _, _ = crashed(tmp_path / "t-0", 30)
    log = opened(path)
    expected, end = log.epochs.entries, log.log_end_offset
    log.abandon()
    file = path / "leader-epoch-checkpoint"
    file.write_bytes(LeaderEpochs([*expected[:3], (7, expected[3][1] - 1), (9, end)]).encode())
    assert [*expected, (9, end)] == opened(path).epochs.entries
    # What was flushed fits, and is not looked at.
    file.write_bytes(LeaderEpochs([*expected[:3], (7, end - 1)]).encode())
    assert [*expected[:3], (7, end - 1)] == opened(path, recovery_point=end).epochs.entries


def test_a_clean_log_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, offsets = crashed(tmp_path / "t-0", 30)
    opened(path).close()
    monkeypatch.setattr(recovery, "_recover", None)
    log = opened(path, clean=True)
    assert (offsets[-1], offsets[-1], False) == (log.log_end_offset, log.recovery_point, log.recovered)


def test_a_clean_log_that_does_not_add_up_is_not_believed(tmp_path: Path) -> None:
    path, ends, offsets = crashed(tmp_path / "t-0", 30)
    opened(path).close()
    with open(last_file(path), "ab") as file:
        file.write(b"rubbish")
    log = opened(path, clean=True, recovery_point=offsets[-1])
    assert (offsets[-1], True) == (log.log_end_offset, log.recovered)
    assert ends[-1] == last_file(path).stat().st_size


def test_files_without_records_go(tmp_path: Path) -> None:
    path, _, offsets = crashed(tmp_path / "t-0")
    for stray in ("00000000000000009999.index", "00000000000000009999.timeindex", "00000000000000000000.log.deleted"):
        (path / stray).write_bytes(b"12345678")
    log = opened(path)
    assert offsets[-1] == log.log_end_offset
    assert not [p.name for p in path.iterdir() if "9999" in p.name or "deleted" in p.name]


def test_an_interrupted_compaction_is_finished(tmp_path: Path) -> None:
    """E10: .swap replaces what it covers; .cleaned was not ready."""
    path, _, offsets = crashed(tmp_path / "t-0", 30)
    expected = contents(opened(path))
    bases = recovery.numbered(os.listdir(path), ".log")
    joined = b"".join((path / f"{base:020d}.log").read_bytes() for base in bases[:2])
    (path / f"{0:020d}.log.swap").write_bytes(joined)
    (path / f"{0:020d}.index.swap").write_bytes(b"")
    (path / f"{0:020d}.timeindex.swap").write_bytes(b"")
    (path / f"{bases[3]:020d}.log.cleaned").write_bytes(b"half")
    log = opened(path)
    assert [0, *bases[2:]] == recovery.numbered(os.listdir(path), ".log")
    assert expected == contents(log)
    assert not [p for p in path.iterdir() if p.name.endswith((".swap", ".cleaned"))]


def test_a_segment_inside_another_is_set_aside(tmp_path: Path) -> None:
    path, _, offsets = crashed(tmp_path / "t-0", 4)
    assert [0] == recovery.numbered(os.listdir(path), ".log")
    (path / f"{offsets[2]:020d}.log").touch()
    log = opened(path)
    assert offsets[-1] == log.log_end_offset
    assert [0] == recovery.numbered(os.listdir(path), ".log")


def test_a_log_below_its_start_begins_there_again(tmp_path: Path) -> None:
    path, _, _ = crashed(tmp_path / "t-0")
    log = opened(path, log_start_offset=5000)
    assert (5000, 5000, 0) == (log.log_start_offset, log.log_end_offset, log.size_bytes)


@pytest.mark.parametrize("clean", [False, True])
def test_a_log_that_begins_again_knows_no_producers(tmp_path: Path, clean: bool) -> None:
    """What one wrote between the end that is left and the start is not known: its next batch would be refused."""
    path, _, _ = crashed(tmp_path / "t-0")
    opened(path).close()
    log = opened(path, log_start_offset=5000, clean=clean)
    assert {} == log.producers.entries
    assert [] == recovery.numbered(os.listdir(path), ".snapshot")
    data = a_batch(1, NOW, producer_id=5, producer_epoch=0, base_sequence=9)
    assert 5000 == log.append(data, 7, NOW).base_offset


def test_an_empty_directory_is_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "t-0").mkdir()
    log = opened(tmp_path / "t-0", log_start_offset=7)
    assert (7, 7) == (log.log_start_offset, log.log_end_offset)
    assert None is log.topic_id


@pytest.mark.parametrize(
    "content",
    [b"", b"version: 0", b"version: 0\ntopic_id: !!", b"\0\0", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA"],
)
def test_a_garbled_topic_id_is_none(tmp_path: Path, content: bytes) -> None:
    path, _, _ = crashed(tmp_path / "t-0")
    log = opened(path)
    assert b"i" * 16 == log.topic_id
    assert b"version: 0\ntopic_id: aWlpaWlpaWlpaWlpaWlpaQ" == (path / "partition.metadata").read_bytes()
    (path / "partition.metadata").write_bytes(content)
    assert None is opened(path).topic_id


@pytest.mark.parametrize("at", range(0, 56, 3))
def test_a_flipped_byte_in_a_snapshot_costs_a_replay_and_nothing_else(tmp_path: Path, at: int) -> None:
    """C4"""
    path, _, offsets = crashed(tmp_path / "t-0", 30)
    opened(path).close()
    for snapshot in path.glob("*.snapshot"):
        data = bytearray(snapshot.read_bytes())
        data[at % len(data)] ^= 0x40
        snapshot.write_bytes(data)
    log = opened(path, clean=True)
    assert 1 == log.producers.entries[5].next_sequence


def test_recovery_on_a_full_disk_still_opens_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, ends, offsets = crashed(tmp_path / "t-0")
    with open(last_file(path), "ab") as file:
        file.write(b"rubbish")
    disk = FailingDisk()
    disk.room = 0
    log = Log.open(str(path), "t", 0, CONFIG, now_ms=NOW, files=disk)
    assert offsets[-1] == log.log_end_offset
    assert "is not kept" in caplog.text
    assert offsets[-1] == len(contents(log))


def test_a_crash_between_any_two_writes_of_a_log_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    """kill -9 after each operation on files, in a history with rolls, cuts and retention."""

    class Stop(Exception):
        pass

    class Stopping(FailingDisk):
        left = 0

        def _meet(self, operation: str) -> None:
            if operation not in ("pread", "open"):
                self.left -= 1
                if self.left < 0:
                    raise Stop
            super()._meet(operation)

        def unlink(self, path: str) -> None:
            self._meet("unlink")
            super().unlink(path)

    def history(log: Log) -> None:
        for n in range(8):
            log.append(a_batch(2, NOW + n), n // 4, NOW)
        log.flush()
        flushed.append(log.log_end_offset)
        log.truncate(12)
        flushed.append(log.recovery_point)
        for n in range(4):
            log.append(a_batch(2, NOW + n), 3, NOW)
        log.advance_log_start(5)
        log.retain(NOW, 14)
        log.close()
        flushed.append(log.log_end_offset)

    steps, finished = 0, False
    while not finished:
        disk, flushed = Stopping(), [0]
        disk.left = steps
        path = tmp_path / str(steps)
        points: list[int] = []
        try:
            log = Log.create(str(path), "t", 0, None, LogConfig(segment_bytes=400, index_interval_bytes=1), NOW, disk)
            log.on_cut = lambda _, log=log, points=points: points.append(log.recovery_point)  # type: ignore[misc]
            history(log)
            finished = True
        except Stop:
            pass
        if path.exists():
            point = min([flushed[-1], *points])
            again = Log.open(str(path), "t", 0, CONFIG, point, now_ms=NOW, files=DISK)
            assert [] == again.corruption.ranges, steps
            assert again.log_end_offset >= point
            offsets = [o for o, _ in contents(again)]
            assert list(range(again.log_start_offset, again.log_end_offset)) == offsets, steps
            again.append(a_batch(1), 9, NOW)
            again.abandon()
        steps += 1
    assert steps > 40
