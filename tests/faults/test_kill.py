"""Processes that die, end, or stand still for longer than their session lasts."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.faults.cluster import BROKERS, Cluster
from tests.faults.scenario import GROUP, PARTITIONS, TOPIC, Scenario
from tests.servers import wait_until

Start = Callable[..., Scenario]
faults = pytest.mark.faults


def leader(cluster: Cluster) -> int:
    """One that leads a partition and is not the controller."""
    return next(s.leader for s in cluster.states(TOPIC).values() if s.leader != cluster.controller())


def controller(cluster: Cluster) -> int:
    """It leads a partition too."""
    return cluster.controller()


def coordinator(cluster: Cluster) -> int:
    """Of the group."""
    return cluster.coordinator(GROUP)


Role = Callable[[Cluster], int]


def named(*roles: Role, quick: tuple[Role, ...]) -> pytest.MarkDecorator:
    """One test for each role; those that are not quick only with --faults."""
    params = [pytest.param(r, id=r.__name__, marks=[] if r in quick else [faults]) for r in roles]
    return pytest.mark.parametrize("role", params)


@faults
def test_nothing_happens(start: Start) -> None:
    """The control: whatever is found here is the harness's own."""
    scenario = start()
    with scenario.fault("nothing"):
        scenario.progress(300)
    scenario.finish()


@named(leader, controller, coordinator, quick=(leader, controller))
def test_one_is_killed(start: Start, role: Role) -> None:
    scenario = start()
    cluster = scenario.cluster
    victim = role(cluster)
    with scenario.fault(f"{role.__name__} killed"):
        cluster.kill(victim)
        scenario.progress(60)
        scenario.commits(2)
        cluster.start(victim)
    scenario.finish()


@faults
def test_one_is_killed_and_starts_at_once(start: Start) -> None:
    """Long before its session has ended."""
    scenario = start()
    cluster = scenario.cluster
    victim = leader(cluster)
    with scenario.fault("leader bounced"):
        cluster.kill(victim)
        scenario.restart(victim)
        scenario.progress(60)
    scenario.finish()


def test_all_are_killed_at_once(start: Start) -> None:
    scenario = start()
    with scenario.fault("all killed", majority=False):
        scenario.cluster.kill(*BROKERS)
        scenario.restart(*BROKERS)
    scenario.finish()


@faults
def test_all_are_killed_one_after_the_other(start: Start) -> None:
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("each killed"):
        for victim in BROKERS:
            cluster.kill(victim)
            scenario.progress(30)
            cluster.start(victim)
            wait_until(lambda: cluster.in_sync(TOPIC), 60, "all in sync")
    scenario.finish()


@faults
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_five_bounces_chase_the_leader(start: Start, how: str) -> None:
    """Whoever leads the first partition goes next, as soon as the one before is back in its ISR."""
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault(f"leader {how} five times"):
        for _ in range(5):
            victim = cluster.leader(TOPIC, 0)
            if how == "killed":
                cluster.kill(victim)
            else:
                cluster.terminate(victim)
            wait_until(lambda v=victim: cluster.leader(TOPIC, 0) not in (v, -1), 60, "another leader")
            scenario.progress(30)
            cluster.start(victim)
            wait_until(lambda: cluster.in_sync(TOPIC), 60, "all in sync")
    scenario.finish()


@named(leader, controller, coordinator, quick=(leader,))
def test_one_is_stopped(start: Start, role: Role) -> None:
    """SIGTERM: it hands over what it leads and ends with status 0."""
    scenario = start()
    cluster = scenario.cluster
    victim = role(cluster)
    with scenario.fault(f"{role.__name__} stopped"):
        cluster.terminate(victim)
        scenario.progress(60)
        scenario.commits(2)
        cluster.start(victim)
    scenario.finish()


@faults
def test_all_are_restarted_in_turn(start: Start) -> None:
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("rolling restart"):
        for victim in BROKERS:
            cluster.terminate(victim)
            cluster.start(victim)
            wait_until(lambda: cluster.in_sync(TOPIC), 60, "all in sync")
            scenario.progress(30)
    scenario.finish()


@faults
def test_all_are_stopped_at_once(start: Start) -> None:
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("all stopped", majority=False):
        for number in BROKERS:
            cluster.signal(number, signal.SIGTERM)
        for number in BROKERS:
            cluster.terminate(number)
        cluster.start(*BROKERS)
    scenario.finish()


@named(leader, controller, coordinator, quick=(leader,))
def test_one_stands_still(start: Start, role: Role) -> None:
    """SIGSTOP beyond its session; when it wakes it believes for a moment that it still has its part."""
    scenario = start()
    cluster = scenario.cluster
    victim = role(cluster)
    with scenario.fault(f"{role.__name__} frozen"):
        cluster.freeze(victim)
        wait_until(lambda: cluster.registration(victim) is None, 30, "the end of its session")
        wait_until(lambda: all(s.leader != victim for s in cluster.states(TOPIC).values()), 30, "other leaders")
        scenario.progress(60)
        scenario.commits(2)
        cluster.thaw(victim)
    scenario.finish()


@faults
def test_one_stands_still_for_a_moment(start: Start) -> None:
    """Shorter than its session: nothing moves."""
    scenario = start()
    cluster = scenario.cluster
    victim = leader(cluster)
    with scenario.fault("leader frozen for a moment"):
        cluster.freeze(victim)
        scenario.hold(1)
        cluster.thaw(victim)
        scenario.progress(60)
    scenario.finish()


@faults
def test_all_stand_still_at_once(start: Start) -> None:
    """Beyond every session; ZooKeeper goes on and forgets them all."""
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("all frozen", majority=False):
        cluster.freeze(*BROKERS)
        wait_until(lambda: not cluster.registered(), 30, "the end of every session")
        cluster.thaw(*BROKERS)
    scenario.finish()


@faults
def test_a_follower_stands_still_again_and_again(start: Start) -> None:
    """Longer than the lag, shorter than the session: the ISR shrinks and grows, and nobody is elected."""
    scenario = start(session_ms=12000, lag_ms=2000)
    cluster = scenario.cluster
    partition = next(p for p in range(PARTITIONS) if cluster.leader(TOPIC, p) == cluster.controller())
    victim = scenario.other(cluster.controller())
    with scenario.fault("follower frozen"):
        for _ in range(3):
            cluster.freeze(victim)
            wait_until(lambda: victim not in cluster.state(TOPIC, partition).isr, 10, "a smaller ISR")
            cluster.thaw(victim)
            wait_until(lambda: cluster.in_sync(TOPIC), 40, "all in sync")
    scenario.finish()
