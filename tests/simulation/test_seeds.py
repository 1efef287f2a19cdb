"""Seeds: those that failed once, a range, one twice; and what a set of them must meet."""

from __future__ import annotations

import os

import pytest

from tests.simulation.conftest import Simulate

CI = os.environ.get("CI") == "true"
RANGE = 1200 if CI else 200


@pytest.mark.timeout(3600)
def test_seeds_that_failed_once_do_not_any_more(simulate: Simulate) -> None:
    simulate("--known", "--keep-going")


def test_a_seed_is_always_the_same_run(simulate: Simulate) -> None:
    def trace() -> list[str]:
        return [line for line in simulate("--seed", 10, "--trace").splitlines() if "events/s" not in line]

    told = trace()
    assert len(told) > 500
    assert told == trace()


@pytest.mark.timeout(3600)
def test_seeds_of_a_fixed_range(simulate: Simulate) -> None:
    """The same ones each time, so that a failure belongs to the change. Fresh ones are drawn with --hunt."""
    simulate("--from", 1, "--seeds", RANGE, "--jobs", 2 if CI else 1, "--keep-going")


@pytest.mark.timeout(3600)
def test_every_situation_is_met(simulate: Simulate) -> None:
    simulate("--from", 481, "--seeds", 320, "--jobs", 2, "--situations", "--keep-going")
