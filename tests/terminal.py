"""A command in a terminal, as a user has it: what it prints can be awaited, and Ctrl-C pressed."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.servers import wait_until


class Terminal:
    """The command's processes are the foreground of a terminal of their own; Ctrl-C reaches all of them."""

    def __init__(
        self, command: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.text = ""
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def _read(self, timeout: float) -> bool:
        """Whether there may be more."""
        if select.select([self._ours], [], [], timeout)[0]:
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # EIO: nobody has the other end open any more.
                return False
            self.text += chunk.decode(errors="replace").replace("\r\n", "\n")
        return True

    def expect(self, text: str, timeout: float = 60) -> None:
        """Returns when it has been printed."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} was not printed in {timeout} s:\n{self.text}"
            assert self._read(0.1), f"it ended without having printed {text!r}:\n{self.text}"

    def type(self, text: str) -> None:
        """On its keyboard."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> float:
        """Presses Ctrl-C; the seconds until it has ended."""
        began = time.monotonic()
        self.type("\x03")
        self.join(30)
        return time.monotonic() - began

    def join(self, timeout: float = 60) -> int:
        """Its exit code, and all it printed."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end in {timeout} s:\n{self.text}"
            self._read(0.02)
        while select.select([self._ours], [], [], 0)[0] and self._read(0):
            pass
        return self.process.returncode

    def started(self) -> list[int]:
        """The ids of all processes that it has started, and their own."""
        return descendants(self.process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [*self.started(), self.process.pid]:
            if pid != self.process.pid or self.process.poll() is None:
                kill(pid)
        self.process.wait()
        os.close(self._ours)


def kill(pid: int) -> None:
    """Without regret when it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descendants(pid: int) -> list[int]:
    """The processes below this one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = parents.get(pid, [])
    return [*found, *(deeper for child in found for deeper in descendants(child))]


def is_running(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(pids: Sequence[int]) -> None:
    """None of them runs any more; who was killed may take a moment to vanish."""
    wait_until(lambda: not [pid for pid in pids if is_running(pid)], 5, f"the end of {list(pids)}")
