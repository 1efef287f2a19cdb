"""What is on disk after anything can have happened."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zk.server import journal as module
from zk.server.journal import Journal, JournalError

ENTRIES = [b"one", b"two" * 30, b"", b"four" * 7]


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens the journal of this test's directory, closing the one before."""
    opened: list[Opened] = []

    def reopen(**options: object) -> Opened:
        for before in opened:
            before.journal.close()
        opened.append(Opened(tmp_path, **options))
        return opened[-1]

    yield reopen
    for before in opened:
        before.journal.close()


class Opened:
    """A journal and what it handed over."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.journal = Journal(str(directory), **options)  # type: ignore[arg-type]
        self.records: list[bytes] = []
        self.entries: list[bytes] = []
        self.journal.open()
        try:
            self.journal.recover(self.records.append, self.entries.append)
        except BaseException:
            self.journal.close()
            raise


def log(directory: Path, zxid: int = 1) -> Path:
    return directory / "state" / f"log.{zxid:x}"


def snapshot(journal: Journal, zxid: int, *records: bytes) -> None:
    journal.rotate(zxid)
    written = journal.begin_snapshot(zxid)
    written.write(records)
    written.finish()
    journal.purge()


def test_entries_come_back_in_order(open_journal: Callable[..., Opened]) -> None:
    first = open_journal()
    assert [] == first.entries
    first.journal.append(ENTRIES[:2])
    first.journal.append(ENTRIES[2:])
    second = open_journal()
    assert ENTRIES == second.entries and "" == second.journal.cut
    second.journal.append([b"five"])
    assert [*ENTRIES, b"five"] == open_journal().entries


def test_a_tail_torn_at_any_byte_is_cut(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal()
    first.journal.append(ENTRIES[:1])
    durable = log(tmp_path).stat().st_size
    first.journal.append(ENTRIES[1:])
    first.journal.close()
    whole = log(tmp_path).read_bytes()
    ends = [durable]
    for entry in ENTRIES[1:]:
        ends.append(ends[-1] + 20 + len(entry))
    for size in range(durable, len(whole) + 1):
        log(tmp_path).write_bytes(whole[:size])
        opened = open_journal()
        kept = sum(end <= size for end in ends)
        assert ENTRIES[:kept] == opened.entries, size
        assert (size not in ends) == bool(opened.journal.cut)
        opened.journal.append([b"next"])
        assert [*ENTRIES[:kept], b"next"] == open_journal().entries


@pytest.mark.parametrize("garbage", [b"\0" * 500, b"\xff" * 33, b"\xf1kz\xf2" * 20, bytes(range(7, 250, 3))])
def test_a_tail_of_garbage_is_cut(open_journal: Callable[..., Opened], tmp_path: Path, garbage: bytes) -> None:
    open_journal().journal.append(ENTRIES)
    with log(tmp_path).open("ab") as file:
        file.write(garbage)
    opened = open_journal()
    assert ENTRIES == opened.entries
    assert f"Cut {len(garbage)} bytes" in opened.journal.cut


def test_pages_of_an_unfinished_write_may_be_missing(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    """Of one write the last page can be on disk without the first."""
    first = open_journal()
    first.journal.append([b"sure"])
    begin = log(tmp_path).stat().st_size
    first.journal.append([b"x" * 50, b"y" * 50, b"z" * 50])
    data = bytearray(log(tmp_path).read_bytes())
    data[begin : begin + 70] = bytes(70)
    log(tmp_path).write_bytes(data)
    assert [b"sure"] == open_journal().entries


def test_damage_to_what_was_acknowledged_stops_the_server(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal()
    for entry in ENTRIES:
        first.journal.append([entry])
    first.journal.close()
    whole = log(tmp_path).read_bytes()
    last = len(whole) - 20 - len(ENTRIES[-1])
    for position in range(8, last):
        data = bytearray(whole)
        data[position] ^= 0x55
        log(tmp_path).write_bytes(data)
        with pytest.raises(JournalError, match="damaged at"):
            open_journal()
        assert bytes(data) == log(tmp_path).read_bytes(), "nothing is touched"
    log(tmp_path).write_bytes(whole)
    assert ENTRIES == open_journal().entries


def test_a_file_that_had_only_begun(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    open_journal().journal.append([b"1", b"2"])
    log(tmp_path, 3).write_bytes(b"klz")
    opened = open_journal()
    assert [b"1", b"2"] == opened.entries
    opened.journal.append([b"3"])
    assert [b"1", b"2", b"3"] == open_journal().entries


def test_a_snapshot_stands_for_the_entries_before_it(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal(retain=1)
    first.journal.append([b"1", b"2"])
    snapshot(first.journal, 2, b"state", b"of two")
    first.journal.append([b"3"])
    assert ["log.3", "snapshot.2"] == sorted(os.listdir(tmp_path / "state"))
    second = open_journal()
    assert ([b"state", b"of two"], [b"3"]) == (second.records, second.entries)


def test_older_snapshots_are_retained(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal(retain=2)
    for zxid in (1, 2, 3, 4):
        first.journal.append([b"%d" % zxid])
        snapshot(first.journal, zxid, b"state %d" % zxid)
    assert ["log.4", "log.5", "snapshot.3", "snapshot.4"] == sorted(os.listdir(tmp_path / "state"))


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_snapshot_is_passed_over(open_journal: Callable[..., Opened], tmp_path: Path, harm: str) -> None:
    first = open_journal(retain=2)
    for zxid in (1, 2):
        first.journal.append([b"%d" % zxid])
        snapshot(first.journal, zxid, b"state %d" % zxid)
    first.journal.append([b"3"])
    path = tmp_path / "state" / "snapshot.2"
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-1], "flip": data[:20] + b"?" + data[21:], "empty": b""}[harm])
    second = open_journal()
    assert ([b"state 1"], [b"2", b"3"]) == (second.records, second.entries)


def test_an_unfinished_snapshot_does_not_count(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal()
    first.journal.append([b"1"])
    first.journal.rotate(1)
    first.journal.begin_snapshot(1).write([b"half"])
    first.journal.append([b"2"])
    second = open_journal()
    assert ([], [b"1", b"2"]) == (second.records, second.entries)
    assert not list((tmp_path / "state").glob("*.new"))


def test_a_missing_log_is_noticed(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal(retain=1)
    first.journal.append([b"1"])
    snapshot(first.journal, 1, b"state")
    first.journal.append([b"2"])
    first.journal.rotate(2)
    log(tmp_path, 2).unlink()
    with pytest.raises(JournalError, match="lacks the log before zxid 0x3"):
        open_journal()
    log(tmp_path, 3).unlink()
    with pytest.raises(JournalError, match="lacks the log after zxid 0x1"):
        open_journal()


def test_a_missing_snapshot_is_noticed(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal(retain=1)
    first.journal.append([b"1"])
    snapshot(first.journal, 1, b"state")
    (tmp_path / "state" / "snapshot.1").unlink()
    with pytest.raises(JournalError, match="lacks the log before zxid 0x2"):
        open_journal()


def test_an_entry_that_cannot_be_applied_stops_the_server(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    open_journal().journal.append([b"odd"])
    open_journal().journal.close()
    journal = Journal(str(tmp_path))
    journal.open()

    def refuse(entry: bytes) -> None:
        raise ValueError("no")

    with pytest.raises(JournalError, match="cannot be applied"):
        journal.recover(lambda record: None, refuse)
    journal.close()


def test_one_server_at_a_time(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    open_journal()
    with pytest.raises(JournalError, match="in use by another server"):
        Opened(tmp_path)


def test_the_data_of_an_apache_server_is_left_alone(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    (tmp_path / "version-2").mkdir()
    with pytest.raises(JournalError, match="Apache ZooKeeper"):
        open_journal()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="Cannot use the data directory"):
        Opened(tmp_path / "file" / "data")


def test_logs_may_be_elsewhere(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    first = open_journal(log_directory=str(tmp_path / "logs"))
    first.journal.append([b"1"])
    snapshot(first.journal, 1, b"state")
    assert ["log.1", "log.2"] == sorted(os.listdir(tmp_path / "logs" / "state"))
    assert ["snapshot.1"] == os.listdir(tmp_path / "state")
    assert [b"state"] == open_journal(log_directory=str(tmp_path / "logs")).records


def test_the_secret_is_made_once_and_kept_private(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    secret = open_journal().journal.secret()
    assert 32 == len(secret) and secret == open_journal().journal.secret()
    assert 0o600 == (tmp_path / "secret").stat().st_mode & 0o777


def test_one_group_is_one_write_and_one_sync(
    open_journal: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal().journal
    calls: list[str] = []
    write, sync = os.write, os.fdatasync
    monkeypatch.setattr(module.os, "write", lambda fd, data: calls.append("write") or write(fd, data))
    monkeypatch.setattr(module.os, "fdatasync", lambda fd: calls.append("sync") or sync(fd))
    journal.append(ENTRIES * 100)
    assert ["write", "sync"] == calls


def test_a_write_that_takes_several_calls(open_journal: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    journal = open_journal().journal
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", lambda fd, data: write(fd, data[:7]))
        journal.append(ENTRIES)
    assert ENTRIES == open_journal().entries


def test_the_layout_is_as_documented(open_journal: Callable[..., Opened], tmp_path: Path) -> None:
    journal = open_journal().journal
    journal.append([b"ab"])
    journal.append([b"c"])
    data = log(tmp_path).read_bytes()
    assert b"klzklog1" == data[:8]
    magic, length, _, synced = struct.unpack_from(">4sIIQ", data, 8)
    assert (b"\xf1kz\xf2", 2, 8, b"ab") == (magic, length, synced, data[28:30])
    assert (1, 30) == struct.unpack_from(">4sIIQ", data, 30)[1::2]
