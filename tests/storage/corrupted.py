"""Logs whose files are damaged on purpose, and what looks at them."""

from __future__ import annotations

import shutil
from pathlib import Path

from kafkalike.storage.config import LogConfig
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, SMALL, FailingDisk


def copied(log: Log, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(log.path, to / "t-0"))


def opened(path: Path, end: int, clean: bool = True, config: LogConfig = SMALL, disk: FailingDisk | None = None) -> Log:
    more = {} if disk is None else {"files": disk}
    return Log.open(str(path), "t", 0, config, recovery_point=end, clean=clean, now_ms=NOW, **more)


def check(log: Log) -> int:
    """Everything is looked at; how many segments."""
    count = 0
    while (pending := log.corruption.begin_verification(NOW)) is not None:
        pending.run()
        pending.finish()
        count += 1
    return count


def flipped(file: Path, position: int, bit: int) -> bytes:
    """The damaged contents, which are in the file now."""
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << bit
    file.write_bytes(data)
    return bytes(data)


def mend(log: Log, source: Log) -> int:
    """Every hole, from the other replica; how many."""
    count = 0
    while (found := log.corruption.first()) is not None:
        base_offset, hole = found
        records = source.read(hole.first, 1 << 20, hole.last + 1)
        assert records is not None
        log.corruption.repair(base_offset, hole, memoryview(records.read()))
        count += 1
    return count
