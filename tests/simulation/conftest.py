"""The simulation's tests are runs of its command: in a process of their own, as seeds need one order of hashing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
Simulate = Callable[..., str]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the mutants, which take long, unless --mutants is given."""
    if not config.getoption("--mutants"):
        left_out = [item for item in items if item.get_closest_marker("mutants")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def simulate() -> Simulate:
    """simulate("--seed", "1") -> what the command prints; the test fails, with that, when the command does."""

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "tests.simulation", *map(str, arguments)]
        done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True)
        if done.returncode:
            # However long it is, each failure is told by its first line.
            found = "".join(line + "\n" for line in done.stdout.splitlines() if line.startswith("seed "))
            told = f"{' '.join(command[1:])}\n{found}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
            pytest.fail(told, pytrace=False)
        return done.stdout

    return run
