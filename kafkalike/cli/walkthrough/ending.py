"""Ctrl-C, SIGTERM and a terminal that goes away end the walk and all that it started, within two seconds.

The handler of the signal does it, and no exception that unwinds: an interrupted step may wait just then for a broker
that has been killed, and to close its clients would be to wait for that broker again. The process then dies of the
signal, so that a script around it ends too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# What talks to a cluster that is not ours is given up after this.
PATIENCE_S = 1.5


def at_a_signal(end: Callable[[], str]) -> None:
    """At a signal all child processes are killed, `end` is called, and what it returns is told."""

    def on_signal(number: int, _: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        try:
            kill_children()
            _say(f"\nInterrupted: {end()}\n")
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for each in SIGNALS:
        signal.signal(each, on_signal)


def _say(text: str) -> None:
    # Not print: the signal may have come in the midst of one.
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def kill_children() -> None:
    """kill -9 of every process that this one has started, known or just being forked, until each is gone."""
    for pid in children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def children() -> list[int]:
    """The ids of our child processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name, in brackets, may contain anything; behind it are the state and the parent's id.
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.append(int(entry.name))
    return found


def in_time(action: Callable[[], None]) -> bool:
    """Runs this in a thread; whether it was done before patience ended."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()
