"""Processes that die, end or stand still."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.scenario import Scenario

Start = Callable[..., Scenario]


def test_nothing_happens(start: Start) -> None:
    scenario = start()
    with scenario.fault("nothing"):
        scenario.progress(200)
    scenario.finish()


def test_a_leader_is_killed(start: Start) -> None:
    scenario = start()
    cluster = scenario.cluster
    victim = scenario.other(cluster.controller())
    with scenario.fault("leader killed"):
        cluster.kill(victim)
        scenario.progress(100)
        cluster.start(victim)
    scenario.finish()
