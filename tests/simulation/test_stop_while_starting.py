"""A broker that is told to stop at any moment of its start ends, and leaves nothing to stumble over at the next."""

from __future__ import annotations

from kafkalike.cluster.znodes.brokers import BrokerNode
from tests.simulation.machine import Host
from tests.simulation.network import SimPeer
from tests.simulation.options import Options
from tests.simulation.patches import applied, listening
from tests.simulation.run import Run

PATIENCE_S = 3.0  # a session is ended by its owner within this, and times out after 6


def ended(run: Run, host: Host) -> bool:
    """Whether it ends in time, now that it has been told, and nothing of it is left."""
    life = host.life
    if not run.world.run(run.world.now + PATIENCE_S, lambda: host.life != life, every=0):
        return False
    registered = BrokerNode.path(host.broker_id) in run.zookeeper.head.nodes
    return host.disk.clean and not registered and ("b2", 9092) not in run.network.listeners


def begin(run: Run, host: Host, events: int) -> bool:
    """Starts it and lets so many events happen; whether that is the whole start."""
    host.start()
    until = run.world.events + events
    run.world.run(run.world.now + PATIENCE_S, lambda: host.started or run.world.events >= until, every=0)
    return host.started


def test_a_broker_told_to_stop_at_any_event_of_its_start_ends_and_starts_again() -> None:
    options = Options(seed=1, brokers=2, session_timeout_ms=6000)
    run = Run(options)
    world, host = run.world, run.hosts[2]
    with applied(world, run.network, run.watcher, options.thread_ms / 1000), listening(world) as complaints:
        SimPeer.codec = options.codec
        run._prepare()
        for each in run.hosts.values():
            each.start()
        assert world.run(PATIENCE_S, lambda: all(each.started for each in run.hosts.values()))
        moment = 0
        while True:
            host.stop()
            assert ended(run, host)
            if begin(run, host, moment):
                break
            host.stop(early=True)
            assert ended(run, host), f"moment {moment}"
            assert begin(run, host, 10**6), f"the start after moment {moment}"
            moment += 1
    assert moment > 50
    assert [] == complaints.found
