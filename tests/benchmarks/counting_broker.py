"""A broker that counts what it does between SIGUSR1 and SIGUSR2:

    counting_broker.py RESULT server.properties [--override ..]

SIGUSR1 starts counting and writes `{}` to the file RESULT; SIGUSR2 ends it and writes the counts: calls of Python
functions, calls of functions written in C, bytes copied in memory (by copied.c, which has to be preloaded), and the
calls by function. Every thread is counted. What the broker does each second, whoever asks for what, is not: there is
more of it in a count that takes longer. The broker itself knows nothing of this.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from twisted.internet.task import LoopingCall

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

PERIODIC = LoopingCall.__call__.__code__


class Counting:
    """The counts, and whether they run."""

    def __init__(self, result: Path) -> None:
        self._result = result
        self._on = False
        self._python: Counter[CodeType] = Counter()
        self._native: Counter[str] = Counter()
        self._periodic = 0
        self._copied = ctypes.CDLL(None).copied_bytes  # An AttributeError here: copied.c is not preloaded.
        self._copied.restype = ctypes.c_size_t
        self._copied_before = 0

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """What sys.setprofile wants."""
        if frame.f_code is PERIODIC:
            self._periodic += {"call": 1, "return": -1}.get(event, 0)
        if self._on and not self._periodic:
            if event == "call":
                self._python[frame.f_code] += 1
            elif event == "c_call":
                self._native[argument.__qualname__] += 1

    def begin(self, *_: object) -> None:
        self._write({})
        self._python.clear()
        self._native.clear()
        self._copied_before = self._copied()
        self._on = True

    def end(self, *_: object) -> None:
        self._on = False
        copied = self._copied() - self._copied_before
        before = self._copied()
        bytes(bytearray(1 << 20))
        assert self._copied() - before >= 1 << 20, "this Python copies by other functions than copied.c counts"
        self._python.pop(Counting.end.__code__, None)
        functions = {f"{c.co_filename.removeprefix(f'{ROOT}/')}:{c.co_qualname}": n for c, n in self._python.items()}
        self._write(
            {
                "python": sum(self._python.values()),
                "native": sum(self._native.values()),
                "copied": copied,
                "functions": functions | dict(self._native),
            }
        )

    def _write(self, counts: dict[str, Any]) -> None:
        unfinished = self._result.with_suffix(".new")
        unfinished.write_text(json.dumps(counts))
        os.replace(unfinished, self._result)


def main() -> None:
    """Installs the counting and runs the broker."""
    counting = Counting(Path(sys.argv.pop(1)))
    signal.signal(signal.SIGUSR1, counting.begin)
    signal.signal(signal.SIGUSR2, counting.end)
    from kafkalike.cli import server_start

    threading.setprofile(counting.profile)
    sys.setprofile(counting.profile)
    server_start.main()


if __name__ == "__main__":
    main()
