"""Networks that are cut: packets vanish, connections stay open. Clients reach every broker throughout."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.cluster import BROKERS, Cluster
from tests.faults.network import Network
from tests.faults.scenario import PARTITIONS, TOPIC, Scenario
from tests.servers import wait_until

Start = Callable[..., Scenario]
faults = pytest.mark.faults
ZOOKEEPER = "zookeeper"


def host(number: int) -> str:
    return f"broker{number}"


def hosts(cluster: Cluster, *but: int) -> list[str]:
    return [host(n) for n in BROKERS if n not in but]


@pytest.fixture
def cut(start: Start) -> tuple[Scenario, Cluster, Network]:
    """A scenario in namespaces."""
    scenario = start(network=True)
    assert scenario.cluster.network is not None
    return scenario, scenario.cluster, scenario.cluster.network


Cut = tuple[Scenario, Cluster, Network]


def lost_its_part(cluster: Cluster, victim: int) -> bool:
    """Whether others lead what it led, and it is in no ISR of theirs."""
    return all(s.leader not in (victim, -1) and victim not in s.isr for s in cluster.states(TOPIC).values())


def others(cluster: Cluster, victim: int) -> list[int]:
    """Partitions that it does not lead."""
    return [p for p in range(PARTITIONS) if cluster.leader(TOPIC, p) != victim]


@pytest.mark.parametrize("role", ["leader", pytest.param("controller", marks=faults)])
def test_one_is_cut_off_from_all_servers(cut: Cut, role: str) -> None:
    """It goes on believing that it leads, and clients still reach it; the others go on without it."""
    scenario, cluster, network = cut
    victim = cluster.controller() if role == "controller" else scenario.other(cluster.controller())
    with scenario.fault(f"{role} cut off"):
        for other in (*hosts(cluster, victim), ZOOKEEPER):
            network.cut(host(victim), other)
        wait_until(lambda: lost_its_part(cluster, victim), 60, "others to lead")
        scenario.progress(60)
        network.heal()
    scenario.finish()


@pytest.mark.parametrize("role", ["leader", pytest.param("controller", marks=faults)])
def test_one_is_cut_off_from_zookeeper(cut: Cut, role: str) -> None:
    scenario, cluster, network = cut
    victim = cluster.controller() if role == "controller" else scenario.other(cluster.controller())
    with scenario.fault(f"{role} cut off from ZooKeeper"):
        network.cut(host(victim), ZOOKEEPER)
        wait_until(lambda: cluster.registration(victim) is None, 60, "the end of its session")
        wait_until(lambda: lost_its_part(cluster, victim), 60, "others to lead")
        scenario.progress(60)
        network.heal()
    # Apache's coordinator that was replaced and does not know answers OffsetFetch from memory.
    scenario.finish(apache_breaks=("C12",))


@faults
def test_one_is_cut_off_from_the_other_brokers(cut: Cut) -> None:
    """It keeps its session, so it keeps its leaderships; its own partition has to wait, unless it can say so."""
    scenario, cluster, network = cut
    victim = scenario.other(cluster.controller())
    rest = others(cluster, victim)
    with scenario.fault("leader cut off from the brokers"):
        for other in hosts(cluster, victim):
            network.cut(host(victim), other)
        wait_until(lambda: all(victim not in cluster.state(TOPIC, p).isr for p in rest), 60, "the others to go on")
        scenario.progress(60, rest)
        network.heal()
    scenario.finish()


@faults
def test_the_controller_is_cut_off_from_the_other_brokers(cut: Cut) -> None:
    """It keeps /controller: nobody can be told anything, and nobody's ISR can shrink; what is whole goes on."""
    scenario, cluster, network = cut
    victim = cluster.controller()
    with scenario.fault("controller cut off from the brokers", majority=False):
        for other in hosts(cluster, victim):
            network.cut(host(victim), other)
        scenario.hold(2 * cluster.lag_ms / 1000)
        network.heal()
    scenario.finish()


@faults
def test_two_followers_cannot_see_each_other(cut: Cut) -> None:
    """A chain: both see the third, which is the controller, and it alone has a full view."""
    scenario, cluster, network = cut
    middle = cluster.controller()
    a, b = hosts(cluster, middle)
    with scenario.fault("a chain"):
        network.cut(a, b)
        wait_until(lambda: sum(len(s.isr) for s in cluster.states(TOPIC).values()) <= 7, 60, "smaller ISRs")
        scenario.progress(60)
        network.heal()
    scenario.finish()


@pytest.mark.parametrize(
    "direction", [pytest.param("out", marks=faults), pytest.param("in", marks=faults)], ids=["out", "in"]
)
def test_one_way_between_brokers(cut: Cut, direction: str) -> None:
    """Only what it sends, or only what is sent to it, is lost."""
    scenario, cluster, network = cut
    victim = scenario.other(cluster.controller())
    rest = others(cluster, victim)
    with scenario.fault(f"one way, {direction}"):
        for other in hosts(cluster, victim):
            pair = (host(victim), other) if direction == "out" else (other, host(victim))
            network.cut(*pair, one_way=True)
        wait_until(lambda: all(victim not in cluster.state(TOPIC, p).isr for p in rest), 60, "the others to go on")
        scenario.progress(60, rest)
        network.heal()
    scenario.finish()


@faults
@pytest.mark.parametrize("direction", ["out", "in"])
@pytest.mark.parametrize("role", ["leader", "controller"])
def test_one_way_to_zookeeper(cut: Cut, role: str, direction: str) -> None:
    """In: it is heard and hears nothing. Out: the reverse. Either way its session ends, for both sides."""
    scenario, cluster, network = cut
    victim = cluster.controller() if role == "controller" else scenario.other(cluster.controller())
    with scenario.fault(f"{role} one way to ZooKeeper, {direction}"):
        pair = (host(victim), ZOOKEEPER) if direction == "out" else (ZOOKEEPER, host(victim))
        network.cut(*pair, one_way=True)
        wait_until(lambda: lost_its_part(cluster, victim), 60, "others to lead")
        scenario.progress(60)
        network.heal()
    scenario.finish()


@faults
def test_all_are_cut_off_from_zookeeper(cut: Cut) -> None:
    """Leaders go on leading; nothing can change until ZooKeeper is back, for longer than every session."""
    scenario, cluster, network = cut
    with scenario.fault("all cut off from ZooKeeper"):
        for other in hosts(cluster):
            network.cut(other, ZOOKEEPER)
        scenario.hold(cluster.session_ms / 1000 + 4)
        scenario.progress(60)
        network.heal()
    scenario.finish()


@faults
def test_clients_cannot_reach_a_leader(cut: Cut) -> None:
    """The cluster is well; what is led there waits."""
    scenario, cluster, network = cut
    victim = scenario.other(cluster.controller())
    rest = others(cluster, victim)
    with scenario.fault("clients cut off from a leader"):
        network.cut("test", host(victim))
        scenario.progress(100, rest)
        network.heal()
    scenario.finish()
