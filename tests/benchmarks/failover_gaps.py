"""The longest gap between acknowledgements when a leader dies, ends or stands still.

    .venv/bin/python -m tests.benchmarks.failover_gaps [--against apache] [--times 5] [--only leader-killed]

Three brokers, one partition on all of them, min.insync.replicas=2; a producer with acks=all sends every 10 ms, and
gives a silent broker 5 s for an answer, 1 s for the handshake of a new connection. Each fault is done several times,
each time on a topic of its own whose leader is the victim; what is printed is each gap, their median, and how long it
took until ZooKeeper named another leader. Afterwards the topic is read: nothing lost, nothing twice, everything in
order, or the line says so. Run it on a machine that does nothing else.

A leader that stands still is noticed when its session ends: the session timeout is printed and may be chosen, but not
below two ticks of ZooKeeper (--session-timeout-ms; a tick is 0.5 s here).
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, Message, TopicPartition

from tests.faults.cluster import BROKERS, Cluster
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, wait_until

INTERVAL = 0.01
QUIET = 2.0  # acknowledgements have to flow so long after the fault


class Load:
    """A producer and the times of its acknowledgements."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic = topic
        self.times: list[float] = []
        self.offsets: dict[str, int] = {}
        self.failures: list[str] = []
        self._ending = threading.Event()
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 0,
                "request.timeout.ms": 5000,
                "socket.timeout.ms": 5000,
                "api.version.request.timeout.ms": 1000,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number, at = 0, time.monotonic()
        while not self._ending.is_set():
            self._producer.produce(self.topic, str(number), partition=0, on_delivery=self._delivered)
            number, at = number + 1, at + INTERVAL
            while (left := at - time.monotonic()) > 0:
                self._producer.poll(left)
        self._producer.flush(60)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures.append(str(error))
            return
        self.times.append(time.monotonic())
        self.offsets[(message.value() or b"").decode()] = message.offset() or 0

    def flows(self, since: float) -> bool:
        """Whether acknowledgements have come, without a pause, for a while after the first one since then."""
        later = [t for t in self.times if t > since]
        return bool(later) and time.monotonic() - max(since, later[0]) > QUIET and time.monotonic() - later[-1] < 0.5

    def longest(self, since: float) -> float:
        """Seconds between two acknowledgements, looking from a little before."""
        times = [t for t in self.times if t > since - 0.5]
        return max(b - a for a, b in zip(times, times[1:], strict=False))

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def verdict(cluster: Cluster, load: Load) -> str:
    """What the log says about what was acknowledged."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "gaps", "enable.partition.eof": True, "log_level": 0}
    )
    consumer.assign([TopicPartition(load.topic, 0, 0)])
    values: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        messages = consumer.consume(1000, 1)
        values += [(m.value() or b"").decode() for m in messages if m.error() is None]
        if any((error := m.error()) is not None and error.code() == KafkaError._PARTITION_EOF for m in messages):
            break
    consumer.close()
    problems = []
    if lost := set(load.offsets) - set(values):
        problems.append(f"{len(lost)} LOST")
    if len(values) != len(set(values)):
        problems.append(f"{len(values) - len(set(values))} TWICE")
    if values != sorted(values, key=int):
        problems.append("OUT OF ORDER")
    if load.failures:
        problems.append(f"{len(load.failures)} failed: {load.failures[0]}")
    return ", ".join(problems)


def leader(cluster: Cluster) -> int:
    """A broker that is not the controller."""
    return next(n for n in BROKERS if n != cluster.controller())


def controller(cluster: Cluster) -> int:
    return cluster.controller()


def kill(cluster: Cluster, victim: int) -> None:
    cluster.kill(victim)


def terminate(cluster: Cluster, victim: int) -> None:
    cluster.signal(victim, signal.SIGTERM)


def freeze(cluster: Cluster, victim: int) -> None:
    cluster.freeze(victim)


FAULTS: dict[str, tuple[Callable[[Cluster], int], Callable[[Cluster, int], None]]] = {
    "leader-killed": (leader, kill),
    "leader-and-controller-killed": (controller, kill),
    "leader-stopped": (leader, terminate),
    "leader-and-controller-stopped": (controller, terminate),
    "leader-frozen": (leader, freeze),
}


def measure(cluster: Cluster, name: str, number: int) -> tuple[float, float, str]:
    """Makes one fault; gives the gap, the time until another leader, and what is wrong afterwards."""
    choose, strike = FAULTS[name]
    victim = choose(cluster)
    topic = f"{name}-{number}"
    cluster.create_topic(topic, [victim])
    load = Load(cluster, topic)
    try:
        wait_until(lambda: load.flows(0), 60, "acknowledgements")
        began = time.monotonic()
        strike(cluster, victim)
        wait_until(lambda: cluster.leader(topic) not in (victim, -1), 90, "another leader")
        moved = time.monotonic() - began
        wait_until(lambda: load.flows(began), 120, "acknowledgements after the fault")
        gap = load.longest(began)
    finally:
        load.end()
    if name.endswith("frozen"):
        cluster.thaw(victim)
    else:
        cluster.brokers[victim].stop(60)
        wait_until(lambda: cluster.kind != "apache" or cluster.registration(victim) is None, 60, "its session's end")
        cluster.start(victim)
    wait_until(lambda: cluster.in_sync(topic) and cluster.whole(), 90, "all in sync")
    return gap, moved, verdict(cluster, load)


def run(apache: bool, names: list[str], times: int, session_ms: int) -> None:
    """Makes all faults on one cluster."""
    broker, zookeeper = (ApacheBroker, DebianZooKeeper) if apache else (Broker, EmbeddedZooKeeper)
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(Path(home), broker, zookeeper, session_ms=session_ms, lag_ms=30000) as cluster,
    ):
        print(f"{cluster.kind}: three brokers, session timeout {session_ms} ms", flush=True)
        for name in names:
            gaps, moves, texts = zip(*(measure(cluster, name, i) for i in range(times)), strict=True)
            problems = "; ".join(filter(None, texts)) or "none lost, none twice, in order"
            each = " ".join(f"{gap:.3f}" for gap in gaps)
            print(
                f"{cluster.kind:<10} {name:<30} median {statistics.median(gaps):7.3f} s   ({each})   "
                f"another leader after {statistics.median(moves):.3f} s   {problems}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", choices=["apache"], help="Apache Kafka too, in the same run")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", choices=sorted(FAULTS), action="append")
    parser.add_argument("--session-timeout-ms", type=int, default=6000)
    options = parser.parse_args()
    names = options.only or list(FAULTS)
    run(False, names, options.times, options.session_timeout_ms)
    if options.against:
        run(True, names, options.times, options.session_timeout_ms)


if __name__ == "__main__":
    main()
