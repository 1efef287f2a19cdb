"""What disks do: lose what was not flushed, tear what was being written, flip bits, fill up, fail.

Data directories of brokers that are down are changed in place; a running broker gets its errors from strace.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.history import Batch
from tests.faults.replica_files import split
from tests.servers import require, tool, wait_until

BLOCK = 1 << 16


def written(data: Path) -> dict[Path, int]:
    """How long each records file is: what the disk has, if the system writes everything back now."""
    return {file: file.stat().st_size for file in data.glob("*/*.log")}


def lose_power(data: Path, kept: dict[Path, int]) -> None:
    """Of each records file only what was `kept` is there; indexes, which nobody flushes, are gone.

    Checkpoints, metadata and registrations are written with fsync by either broker: they stay.
    """
    for file in data.glob("*/*.log"):
        os.truncate(file, min(kept.get(file, 0), file.stat().st_size))
        for suffix in (".index", ".timeindex"):
            file.with_suffix(suffix).unlink(missing_ok=True)


def last_segment(directory: Path) -> Path:
    """The one that is appended to."""
    return max(directory.glob("*.log"))


def tear(directory: Path, rest: bytes = b"") -> None:
    """A batch that was being written got half of its way; `rest` is what the disk has behind it."""
    file = last_segment(directory)
    *_, (_, last) = split(file.read_bytes())
    assert isinstance(last, Batch)
    batch = (last.last_offset + 1).to_bytes(8, "big") + last.data[8:]
    with file.open("ab") as log:
        log.write(batch[: len(batch) // 2] + rest)


def flip(file: Path, at: float = 0.5) -> None:
    """Flips one bit of the byte that lies at this part of the file."""
    with file.open("r+b") as f:
        position = int(file.stat().st_size * at)
        f.seek(position)
        byte = f.read(1)[0]
        f.seek(position)
        f.write(bytes([byte ^ 0x10]))


class SmallDisk:
    """A file system of its own in memory, that can be filled and emptied."""

    def __init__(self, path: Path, megabytes: int = 64) -> None:
        self.path = path
        self.megabytes = megabytes
        self._ballast = path / "ballast"

    def __enter__(self) -> SmallDisk:
        self.path.mkdir(parents=True, exist_ok=True)
        require(os.geteuid() == 0, "the right to mount a file system: run it as root")
        done = subprocess.run(
            [tool("mount", "mount"), "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", str(self.path)],
            capture_output=True,
            text=True,
        )
        require(not done.returncode, f"file systems to mount, which is not allowed here: {done.stderr.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([tool("umount", "mount"), "-l", str(self.path)], check=True)

    @property
    def data(self) -> Path:
        """A directory for a broker's data."""
        return self.path / "data"

    def fill(self) -> None:
        """Fills the disk to the last byte."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(BLOCK))

    def empty(self) -> None:
        """The space is there again."""
        self._ballast.unlink()


@contextlib.contextmanager
def failing(pid: int, home: Path, calls: str = "fsync,fdatasync", error: str = "EIO") -> Iterator[None]:
    """Those system calls of a process and its threads fail as long as this lasts."""
    strace = tool("strace", "strace")
    output = home / "strace"
    words = [strace, "-f", "-q", "-o", str(output), "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    with (home / "strace.err").open("wb") as errors:
        process = subprocess.Popen([*words, "-p", str(pid)], stderr=errors, start_new_session=True)

    def traced() -> bool:
        if process.poll() is not None:
            require(False, f"the right to trace processes: {(home / 'strace.err').read_text().strip()}")
        return all("TracerPid:\t0\n" not in status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status"))

    wait_until(traced, 20, "strace to attach")
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)
