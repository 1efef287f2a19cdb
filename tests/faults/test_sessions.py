"""ZooKeeper: sessions that end under a living broker, and a ZooKeeper that is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.cluster import BROKERS, zookeeper_password
from tests.faults.scenario import Scenario
from tests.servers import wait_until

Start = Callable[..., Scenario]
faults = pytest.mark.faults


def test_the_password_of_a_session_in_apache_zookeeper() -> None:
    """As java.util.Random makes it of session 1."""
    assert "054cc74a37327db215e702e20c73f005" == zookeeper_password(1).hex()


@pytest.mark.parametrize("role", ["leader", pytest.param("controller", marks=faults)])
def test_a_session_expires(start: Start, role: str) -> None:
    """The broker lives, hears of it at once, registers anew and is back with all its partitions."""
    scenario = start()
    cluster = scenario.cluster
    victim = cluster.controller() if role == "controller" else scenario.other(cluster.controller())
    with scenario.fault(f"session of the {role} expired"):
        cluster.expire(victim)
        wait_until(lambda: cluster.registration(victim) is not None, 30, "its new registration")
        scenario.progress(60)
    scenario.finish()


@faults
def test_all_sessions_expire(start: Start) -> None:
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("all sessions expired", majority=False):
        for victim in BROKERS:
            cluster.expire(victim)
        wait_until(cluster.whole, 60, "all to register anew")
    scenario.finish()


@faults
def test_a_session_expires_again_and_again(start: Start) -> None:
    """The ISR path of Kafka before 2.7 stood still for ever here (KAFKA-2729, A18)."""
    scenario = start()
    cluster = scenario.cluster
    victim = scenario.other(cluster.controller())
    with scenario.fault("session expired five times"):
        for _ in range(5):
            cluster.expire(victim)
            wait_until(lambda: cluster.registration(victim) is not None, 30, "its new registration")
            scenario.progress(20)
    scenario.finish()


def test_zookeeper_is_killed_and_comes_back(start: Start) -> None:
    scenario = start()
    zookeeper = scenario.cluster.zookeeper
    with scenario.fault("ZooKeeper killed"):
        zookeeper.kill()
        scenario.progress(60)
        zookeeper.start()
        scenario.progress(30)
    scenario.finish()


@faults
@pytest.mark.timeout(400)
def test_zookeeper_is_away_for_two_minutes(start: Start) -> None:
    """Leaders go on; afterwards everybody is back unaided."""
    scenario = start()
    zookeeper = scenario.cluster.zookeeper
    with scenario.fault("ZooKeeper away"):
        zookeeper.kill()
        scenario.hold(120)
        scenario.progress(30)
        zookeeper.start()
    scenario.finish()


@faults
def test_zookeeper_stands_still(start: Start) -> None:
    """Longer than every session, by its own clock too."""
    scenario = start()
    cluster = scenario.cluster
    with scenario.fault("ZooKeeper frozen"):
        cluster.freeze_zookeeper()
        scenario.hold(cluster.session_ms / 1000 + 4)
        scenario.progress(60)
        cluster.thaw_zookeeper()
    scenario.finish()


@faults
def test_a_broker_dies_while_zookeeper_is_away(start: Start) -> None:
    """Nobody can take over until it is back, but then somebody does."""
    scenario = start()
    cluster = scenario.cluster
    victim = scenario.other(cluster.controller())
    with scenario.fault("broker killed without ZooKeeper", majority=False):
        cluster.zookeeper.kill()
        cluster.kill(victim)
        scenario.hold(cluster.session_ms / 1000 + 2)
        cluster.zookeeper.start()
        scenario.progress(60)
        cluster.start(victim)
    scenario.finish()
