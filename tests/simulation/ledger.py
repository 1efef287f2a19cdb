"""LEDGER.md: one line for each long run of seeds. MUTANTS.md: for each mutant, how many seeds it took to find it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.faults.ledger import commit
from tests.simulation.campaign import Find, Totals
from tests.simulation.mutants import MUTANTS, rule

HERE = Path(__file__).parent
FILE = HERE / "LEDGER.md"
HEAD = """\
# Ledger of the simulation

A line for each run of `python -m tests.simulation --hunt MINUTES` (or with --ledger), appended by the run itself. The
commit has a + when files of the product or of the simulation were changed and not committed. A failure is named with
its seed; what became of it says seeds.txt.

| when (UTC) | commit | seeds | runs | events | simulated h | failed | which |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
MUTANTS_FILE = HERE / "MUTANTS.md"
MUTANTS_HEAD = """\
# Mutants

Rules of the product, each broken on purpose (mutants.py), and how many seeds it took until one failed: written by
`python -m tests.simulation --mutant all --report`, which begins at seed 1 and stops at the first find.

| mutant | rule that it breaks | seeds | CPU s | commit | found by |
| --- | --- | --- | --- | --- | --- |
"""


def tested() -> str:
    """The commit that is being tested."""
    return commit(HERE.parent.parent, "tests/simulation", ":!tests/simulation/*.md")


def append(totals: Totals, first: int, at_commit: str, file: Path = FILE) -> None:
    """Adds the run's line."""
    if not file.exists():
        file.write_text(HEAD)
    with file.open("a") as ledger:
        ledger.write(line(totals, first, at_commit, datetime.now(UTC)))


def line(totals: Totals, first: int, at_commit: str, when: datetime) -> str:
    """A run's line."""
    failed = ", ".join(f"{seed} {name}" for seed, name in sorted(totals.failed.items())) or "none"
    cells = [f"{when:%Y-%m-%d %H:%M}", at_commit, f"{first}-{totals.last}", totals.runs, totals.events]
    cells += [f"{totals.simulated_s / 3600:.1f}", len(totals.failed), failed]
    return "| " + " | ".join(map(str, cells)) + " |\n"


def finds(file: Path = MUTANTS_FILE) -> dict[str, str]:
    """What the table says: mutant -> its line."""
    if not file.exists():
        return {}
    lines = [text for text in file.read_text().splitlines() if text.startswith("| ")][2:]
    return {text.split(" | ")[0].removeprefix("| "): text for text in lines}


def report(find: Find, at_commit: str, file: Path = MUTANTS_FILE) -> None:
    """Sets the mutant's line."""
    table = finds(file)
    seeds = str(find.seeds) if find.seed is not None else f"not found by {find.seeds}"
    what = find.what.replace("|", "/")
    cells = [find.mutant, rule(find.mutant), seeds, f"{find.cpu_s:.1f}", at_commit, what]
    table[find.mutant] = "| " + " | ".join(cells) + " |"
    file.write_text(MUTANTS_HEAD + "".join(table[name] + "\n" for name in MUTANTS if name in table))


def seeds_to_find(file: Path = MUTANTS_FILE) -> dict[str, int]:
    """Each mutant that was found, and by how many seeds."""
    counts = {name: text.split(" | ")[2] for name, text in finds(file).items()}
    return {name: int(count) for name, count in counts.items() if count.isdigit()}
