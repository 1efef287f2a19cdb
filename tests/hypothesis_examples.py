"""How many examples hypothesis tries, and which: always the same ones, or, with --hunt, fresh ones and many more.

What every run repeats is fixed on purpose, so that a change is stopped only by what it broke itself. Fresh examples are
drawn by `bin/test.sh --hunt`, after every big change; HUNTS.md gets a line for each hunt.
"""

from __future__ import annotations

import contextlib
import subprocess
from datetime import datetime
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
LEDGER = ROOT / "tests" / "HUNTS.md"

DEFAULT = 100  # hypothesis' own
_times = 1


def begin(times: int) -> None:
    """To be called before any test is collected: 1 for the fixed examples, else so many times as many fresh ones."""
    global _times
    _times = times
    slow = [HealthCheck.too_slow] if times > 1 else []
    settings.register_profile(
        "kafkalike",
        max_examples=DEFAULT * times,
        derandomize=times == 1,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=slow,
    )
    settings.load_profile("kafkalike")


def examples(count: int, **others: int) -> settings:
    """The decorator of a test that wants another number of examples than hypothesis' own."""
    return settings(max_examples=count * _times, **others)  # type: ignore[arg-type]


def line(times: int, properties: int, failed: list[str], now: datetime) -> str:
    """What the ledger keeps of a hunt."""
    commit = "unknown"
    with contextlib.suppress(OSError):  # without git
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
        commit = described or commit
    which = ", ".join(failed) or "none"
    return f"| {now:%Y-%m-%d %H:%M} | {commit} | {properties} | {times} | {len(failed)} | {which} |\n"
