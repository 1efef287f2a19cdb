"""How many of 1,000 acknowledged messages are gone after the last in-sync replica of three has lost power.

    .venv/bin/python -m tests.benchmarks.last_replica_power_loss [--against apache]

Three brokers, one partition on all of them, min.insync.replicas=2, acks=all. 700 messages reach the disks; 300 more are
acknowledged by all three and are still in memory when the first two brokers are killed, one after the other, and then
the last loses power. It comes back first, with its 700, the others some seconds later with all that they had.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import confluent_kafka
from confluent_kafka import TopicPartition

from tests.faults.clients import connect, end_offset
from tests.faults.cluster import BROKERS, Cluster
from tests.faults.disk import lose_power, written
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, wait_until

TOPIC = "t"
FLUSHED, MORE = 700, 300
HEAD_START = 5.0


def produce(cluster: Cluster, numbers: range) -> set[str]:
    """Produces messages; gives those that were acknowledged."""
    acknowledged: set[str] = set()
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "log_level": 0})
    for number in numbers:
        producer.produce(
            TOPIC,
            str(number),
            partition=0,
            on_delivery=lambda error, message: error or acknowledged.add(message.value().decode()),
        )
    producer.flush(60)
    return acknowledged


def read(cluster: Cluster) -> set[str]:
    """What is there, up to the end that the leader tells."""

    def end() -> int | None:
        connection = connect(cluster.brokers[cluster.leader(TOPIC)], "end", 5000)
        answer = end_offset(connection, TOPIC, 0, 5000)
        connection.close()
        return None if answer is None else answer[0] + 1

    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    found: dict[int, str] = {}
    until = wait_until(end, 60, "the end") - 1
    deadline = time.monotonic() + 60
    while len(found) < until and time.monotonic() < deadline:
        for message in consumer.consume(1000, 1):
            if message.error() is None:
                found[message.offset() or 0] = (message.value() or b"").decode()
    consumer.close()
    return set(found.values())


def lost(cluster: Cluster) -> tuple[int, int]:
    """(acknowledged, of those gone)."""
    last = next(n for n in BROKERS if n != cluster.controller())
    first, second = (n for n in BROKERS if n != last)
    cluster.create_topic(TOPIC, [last])
    acknowledged = produce(cluster, range(FLUSHED))
    kept = written(cluster.brokers[last].data)
    acknowledged |= produce(cluster, range(FLUSHED, FLUSHED + MORE))

    def in_sync(*members: int) -> bool:
        state = cluster.state(TOPIC, 0)
        return state is not None and set(state.isr) == set(members)

    cluster.kill(first)
    wait_until(lambda: in_sync(last, second), 60, "two in sync")
    cluster.kill(second)
    wait_until(lambda: in_sync(last), 60, "one in sync")
    cluster.kill(last)
    lose_power(cluster.brokers[last].data, kept)
    for number in (last, first, second):
        if cluster.kind == "apache":
            wait_until(lambda: number not in cluster.registered(), 60, "the end of its session")  # noqa: B023
        cluster.start(number)
        if number == last:
            wait_until(lambda: cluster.registration(last) is not None, 60, "its registration")
            time.sleep(HEAD_START)
    wait_until(lambda: cluster.in_sync(TOPIC), 120, "all in sync")
    return len(acknowledged), len(acknowledged - read(cluster))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", choices=["apache"], help="Apache Kafka too, in the same run")
    options = parser.parse_args()
    kinds: list[tuple[type[Broker], type]] = [(Broker, EmbeddedZooKeeper)]
    if options.against:
        kinds.append((ApacheBroker, DebianZooKeeper))
    for broker, zookeeper in kinds:
        with tempfile.TemporaryDirectory() as home, Cluster(Path(home), broker, zookeeper) as cluster:
            acknowledged, gone = lost(cluster)
            print(f"{cluster.kind:<10} {gone:4} of {acknowledged} acknowledged messages lost", flush=True)


if __name__ == "__main__":
    main()
