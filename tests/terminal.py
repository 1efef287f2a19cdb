"""A command in a terminal, as a user has it: what it prints can be awaited, and Ctrl-C pressed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.servers import wait_until

LEADER = Path(__file__).with_name("session_leader.py")


class Terminal:
    """The command's processes are the foreground of a terminal of their own; Ctrl-C reaches all of them."""

    def __init__(
        self, command: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.text = ""
        self.code: int | None = None
        """The exit code, once it has ended; -N after signal N."""
        self._ours, theirs = os.openpty()
        self._report, report = os.pipe()
        control, self._control = os.pipe()
        self._leader = subprocess.Popen(
            [sys.executable, LEADER, str(report), str(control), *command],
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            pass_fds=(report, control),
            start_new_session=True,
        )
        for fd in (theirs, report, control):
            os.close(fd)
        self.pid = int(self._line())

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._report, 1)
            assert byte, "the terminal has ended"
            line += byte
        return line

    def _has_ended(self) -> bool:
        if self.code is None and select.select([self._report], [], [], 0)[0]:
            self.code = int(self._line())
        return self.code is not None

    def _read(self, timeout: float) -> bool:
        """Whether anything has come."""
        if not select.select([self._ours], [], [], timeout)[0]:
            return False
        self.text += os.read(self._ours, 65536).decode(errors="replace").replace("\r\n", "\n")
        return True

    def expect(self, text: str, timeout: float = 60) -> None:
        """Returns when it has been printed."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} was not printed in {timeout} s:\n{self.text}"
            ended = self._has_ended()
            assert self._read(0.05) or not ended, f"it ended without having printed {text!r}:\n{self.text}"

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
        """Its exit code; all it printed is in `text` then."""
        deadline = time.monotonic() + timeout
        while not self._has_ended():
            assert time.monotonic() < deadline, f"it did not end in {timeout} s:\n{self.text}"
            self._read(0.02)
        while self._read(0):
            pass
        assert self.code is not None
        return self.code

    def started(self) -> list[int]:
        """The ids of all processes that it has started, and their own."""
        return descendants(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [*self.started(), *([] if self._has_ended() else [self.pid])]:
            kill(pid)
        for fd in (self._control, self._report, self._ours):
            os.close(fd)
        self._leader.wait()


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
