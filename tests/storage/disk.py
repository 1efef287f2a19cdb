"""What storage's tests share: batches by the dozen, and a disk that fails when told to."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DISK, Files
from kafkalike.storage.log import Log

NOW = 1_700_000_000_000


def a_batch(count: int = 1, timestamp: int = NOW, size: int = 10, **fields: Any) -> memoryview:
    """A client's batch of `count` records."""
    records = [(b"key", bytes([65 + n % 26]) * size, timestamp + n, ()) for n in range(count)]
    return memoryview(batch.build(records, **fields))


def contents(log: Log, start: int | None = None) -> list[tuple[int, bytes | None]]:
    """(offset, value) of everything a consumer gets from `start` on, read in small steps."""
    offset = log.log_start_offset if start is None else start
    found = []
    while offset < log.log_end_offset:
        given = log.read(offset, 300, log.log_end_offset)
        if given is None:
            break
        for header, data in batch.split(given.read()):
            assert batch.crc_ok(data)
            found += [(r.offset, r.value) for r in batch.records(data) if r.offset >= offset]
            offset = header.last_offset + 1
    return found


SMALL = LogConfig(segment_bytes=400, index_interval_bytes=100)


def new_log(tmp_path: Path, config: LogConfig = LogConfig(), files: Files = DISK, **fields: Any) -> Log:  # noqa: B008
    return Log.create(str(tmp_path / "t-0"), "t", 0, None, config, NOW, files)


def reopened(log: Log, clean: bool = True, **fields: Any) -> Log:
    """The log after a clean stop, or after a crash."""
    if clean:
        log.close()
    else:
        log.abandon()
    return Log.open(
        log.path,
        "t",
        0,
        fields.pop("config", log.config),
        recovery_point=log.recovery_point,
        log_start_offset=log.log_start_offset,
        clean=clean,
        now_ms=NOW,
        **fields,
    )


def error_of(call: Any, *args: Any) -> Error:
    with pytest.raises(KafkaError) as raised:
        call(*args)
    return raised.value.error


def names(log: Log, suffix: str) -> list[int]:
    return sorted(int(n[:20]) for n in os.listdir(log.path) if n.endswith(suffix))


class FailingDisk(Files):
    """Works until `fail` is called; then that operation fails, once or for good."""

    def __init__(self) -> None:
        self._failing: dict[str, tuple[int, int]] = {}  # operation -> (errno, calls that still work)
        self.room: int | None = None  # bytes that pwritev may still write, then the disk is full
        self.calls: list[str] = []

    def fail(self, operation: str, error: int = errno.EIO, after: int = 0) -> None:
        self._failing[operation] = (error, after)

    def heal(self) -> None:
        self._failing.clear()
        self.room = None

    def _meet(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self._failing:
            error, after = self._failing[operation]
            if after <= 0:
                raise OSError(error, os.strerror(error))
            self._failing[operation] = (error, after - 1)

    def open(self, path: str, create: bool = False, write: bool = True) -> int:
        self._meet("open")
        if create:
            self._meet("create")
        return super().open(path, create, write)

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], position: int) -> int:  # type: ignore[override]
        self._meet("pwritev")
        total = sum(map(len, buffers))
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            total = min(total, self.room)
            self.room -= total
        return os.pwritev(fd, [b"".join(buffers)[:total]], position)

    def pread(self, fd: int, size: int, position: int) -> bytes:  # type: ignore[override]
        self._meet("pread")
        return os.pread(fd, size, position)

    def ftruncate(self, fd: int, size: int) -> None:  # type: ignore[override]
        self._meet("ftruncate")
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:  # type: ignore[override]
        self._meet("fsync")
        os.fsync(fd)

    def fdatasync(self, fd: int) -> None:  # type: ignore[override]
        self._meet("fdatasync")
        os.fdatasync(fd)

    def rename(self, old: str, new: str) -> None:  # type: ignore[override]
        self._meet("rename")
        os.rename(old, new)
