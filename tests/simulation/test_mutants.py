"""The simulation bites: with a rule of the product broken, some seed fails. MUTANTS.md says which, and how soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.campaign import Find
from tests.simulation.conftest import Simulate
from tests.simulation.ledger import finds, report, seeds_to_find
from tests.simulation.mutants import MUTANTS

FOUND = seeds_to_find()
NOT_YET = pytest.mark.xfail(reason="MUTANTS.md: no seed has found it yet", strict=False)
SOONEST = sorted(FOUND, key=FOUND.__getitem__)[:6]


def test_the_table_has_every_mutant_and_at_least_20_were_found() -> None:
    assert list(MUTANTS) == list(finds())
    assert len([count for count in FOUND.values() if count <= 2000]) >= 20


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_breaks_something_that_the_product_has(name: str) -> None:
    for owner, attribute, _ in MUTANTS[name]():
        assert hasattr(owner, attribute), f"{owner} has no {attribute}: it has been moved"


@pytest.mark.parametrize("name", SOONEST)
def test_what_was_found_at_once_is_found_at_once(simulate: Simulate, name: str) -> None:
    simulate("--mutant", name, "--seeds", 50)


@pytest.mark.mutants
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FOUND else NOT_YET) for name in MUTANTS if name not in SOONEST]
)
def test_every_mutant_is_found(simulate: Simulate, name: str) -> None:
    simulate("--mutant", name, "--seeds", 2000)


def test_a_find_replaces_the_mutants_line(tmp_path: Path) -> None:
    table = tmp_path / "table"
    first, second = list(MUTANTS)[:2]
    report(Find(second, 7, 7, "LogMatching: a | b", 1.5), "abc", table)
    report(Find(first, 2000), "abc", table)
    report(Find(first, 30, 30, "LeaderCompleteness: x", 9.0), "def", table)
    assert {first: 30, second: 7} == seeds_to_find(table)
    assert table.read_text().endswith("| 7 | 1.5 | abc | LogMatching: a / b |\n")
