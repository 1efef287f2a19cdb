"""LEDGER.md: a line for each run of whole files of the fault tests; hours add up there, as no single run is long."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LEDGER = "tests/faults/LEDGER.md"
FILE = ROOT / LEDGER
HEAD = """\
# Ledger of the fault tests

A line for each run of `bin/test.sh --faults tests/faults`, or of whole files there (they may run side by side),
appended by the run itself. The commit has a + when files of the product or of these tests were changed and not
committed. "faults" is the time that clusters spent under faults; "known" are tests that broke as Apache Kafka is known
to break; the last column names what failed.

| UTC | commit | brokers | ZooKeeper | files | passed | known | failed | skipped | sends | acked | faults | which |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass
class Run:
    """What a run adds up to."""

    brokers: str
    zookeeper: str
    files: str = "all"
    passed: int = 0
    known: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    sends: int = 0
    acknowledged: int = 0
    seconds: float = 0

    def line(self, when: datetime, commit: str) -> str:
        """Its line."""
        failed = ", ".join(self.failed) or "none"
        cells = [f"{when:%Y-%m-%d %H:%M}", commit, self.brokers, self.zookeeper, self.files, self.passed, self.known]
        cells += [len(self.failed), self.skipped, self.sends, self.acknowledged, f"{self.seconds / 60:.1f} min", failed]
        return "| " + " | ".join(map(str, cells)) + " |\n"


def append(run: Run, file: Path = FILE) -> None:
    """Adds the run's line."""
    if not file.exists():
        file.write_text(HEAD)
    with file.open("a") as ledger:
        ledger.write(run.line(datetime.now(UTC), commit(ROOT, "tests/faults", "tests/servers.py", ":!" + LEDGER)))


def commit(root: Path, *tests: str) -> str:
    """The commit that is checked out, with + when the product or these tests are not exactly what it says."""
    words = ["kafkalike", "zk", "bin", "config", *tests]
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", *words], cwd=root, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + "+" * bool(changed.stdout.strip())
