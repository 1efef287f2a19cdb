"""A command that is sent a signal at an exact moment of its life: as it begins its n-th import.

Python runs `sitecustomize` before anything else; the one that is put into its way counts, and sends the signal to its
own process. It counts from when the command has taken SIGINT over: before, which is a matter of milliseconds, Python's
own start cannot be kept from a traceback.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

HOOK = """
import _signal, os, sys

at, number = int(os.environ.pop("SIGNAL_AT")), int(os.environ.pop("SIGNAL_NUMBER"))
count = 0

def hook(event, arguments):
    global count
    if event != "import" or _signal.getsignal(2) is _signal.default_int_handler:
        return
    count += 1
    if count == at:
        os.kill(os.getpid(), number)

sys.addaudithook(hook)
"""


def run(
    directory: Path, command: Sequence[object], at: int, number: int = signal.SIGINT
) -> subprocess.CompletedProcess[str]:
    """Runs the command, which is sent the signal at its `at`-th import."""
    directory.mkdir(exist_ok=True)
    (directory / "sitecustomize.py").write_text(HOOK)
    environment = os.environ | {
        "PYTHONPATH": str(directory),
        "SIGNAL_AT": str(at),
        "SIGNAL_NUMBER": str(int(number)),
    }
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, timeout=60
    )
