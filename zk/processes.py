"""This user's processes that run one of our servers, and how they are told to stop: none of anybody else's, and no
process that only has the server's name among its arguments (an editor, a grep, what runs it under a debugger).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from typing import NamedTuple


class Process(NamedTuple):
    """One process that runs a server."""

    pid: int
    python: str  # the interpreter, which tells one installation from another
    arguments: list[str]  # those of the server
    handle: int  # a file that stands for the process: its number may be another's by now

    def path(self, name: str) -> str:
        """A file as the process understands its name."""
        try:
            return os.path.join(os.readlink(f"/proc/{self.pid}/cwd"), name)
        except OSError:
            return name

    def send(self, number: int) -> bool:
        """Sends a signal; whether the process was there still."""
        try:
            signal.pidfd_send_signal(self.handle, number)
        except ProcessLookupError:
            return False
        return True


@contextlib.contextmanager
def running(module: str, script: str) -> Iterator[list[Process]]:
    """Those that run `python -m module`, or `python .../script`, which is how an installed command does; by number."""
    found: list[Process] = []
    with contextlib.ExitStack() as stack:
        for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
            try:
                handle = os.pidfd_open(pid)
            except OSError:
                continue
            stack.callback(os.close, handle)
            try:
                if _user(pid) != os.geteuid():
                    continue
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="surrogateescape").split("\0")[:-1]
            except OSError:
                continue
            arguments = server_arguments(words, module, script)
            if arguments is not None and not _waits_for_child(pid, arguments):
                found.append(Process(pid, shutil.which(words[0]) or words[0], arguments, handle))
        yield found


def _user(pid: int) -> int:
    """Whose it is. The owner of its files in /proc is root's for a process that has become somebody else's."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[2]) for line in file if line.startswith("Uid:"))


def server_arguments(words: list[str], module: str, script: str) -> list[str] | None:
    """What follows the server's name in a command line; None if the command is another."""
    if not words or not os.path.basename(words[0]).startswith("python"):
        return None
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] != "-m":
        at += 2 if words[at] in ("-X", "-W") else 1
    if words[at : at + 2] == ["-m", module]:
        return words[at + 2 :]
    if at < len(words) and os.path.basename(words[at]) == script:
        return words[at + 1 :]
    return None


def _waits_for_child(pid: int, arguments: list[str]) -> bool:
    """Whether this is the command that has started a server in the background and waits for it: it has the same
    command line, but is not the first of its session."""
    if "-daemon" not in arguments:
        return False
    try:
        return os.getsid(pid) != pid
    except OSError:
        return True


def signal_of(environment: str | None) -> int:
    """The signal that $SIGNAL names, as Kafka's script reads it; SIGTERM without. ValueError for none."""
    name = (environment or "TERM").upper().removeprefix("SIG")
    if name.isdigit():
        return signal.Signals(int(name))
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        raise ValueError(f"{environment} is not a signal") from None
