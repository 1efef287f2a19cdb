"""Ctrl-C, SIGTERM and a terminal that goes away end the walk and all that it started, within two seconds.

The signal's handler ends them, and does not raise an exception: an interrupted step may be waiting for a broker that
has been killed, and closing the step's clients would wait for that broker again. The process then dies of the signal,
so that a script that runs the walk ends too.
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
# How long the cleanup of a cluster that is not ours may take.
PATIENCE_S = 1.5


def at_a_signal(end: Callable[[], str]) -> None:
    """From now on a signal kills all child processes, calls `end`, and prints the text that `end` returns."""

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
    # Not print(): the signal may have come in the middle of one.
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def kill_children() -> None:
    """Kills every process that this one has started, also one that is just being forked, until each is gone."""
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
                # The process's name, in brackets, may contain anything; the state and the parent's id follow it.
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.append(int(entry.name))
    return found


def in_time(action: Callable[[], None]) -> bool:
    """Runs a function in a thread; whether it ended before the time was over."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()
