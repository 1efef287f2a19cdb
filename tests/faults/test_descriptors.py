"""A broker and a ZooKeeper server that have few file descriptors, as processes, with real clients."""

from __future__ import annotations

import os
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import NewTopic

from tests.servers import Broker, EmbeddedZooKeeper, Kafka, tool, wait_until, zookeeper_client

LIMIT = 220
PARTITIONS = 250


def restricted(server: Any, limit: int) -> Any:
    """The server, with so many file descriptors when it is started."""
    server.around = [tool("prlimit", "util-linux"), f"--nofile={limit}:{limit}"]
    return server


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Kafka]:
    """One broker with few descriptors."""
    with EmbeddedZooKeeper(tmp_path / "zookeeper") as zookeeper:
        broker = restricted(Broker(tmp_path / "broker", zookeeper.connect), LIMIT)
        with broker:
            yield Kafka(broker, zookeeper)


class Idle:
    """Connections that say nothing."""

    def __init__(self, port: int, count: int) -> None:
        self.sockets = []
        for _ in range(count):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
            self.sockets.append(each)

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def written(producer: Producer, each: int) -> Counter[str]:
    """What became of `each` messages to every partition."""
    outcomes: Counter[str] = Counter()
    for _ in range(each):
        for partition in range(PARTITIONS):
            producer.produce("t", b"x" * 100, partition=partition, on_delivery=lambda e, m: outcomes.update([str(e)]))
        producer.poll(0)
    assert 0 == producer.flush(60)
    return outcomes


def read(consumer: Consumer, count: int) -> int:
    """How many of so many messages come."""
    seen: set[tuple[int, int]] = set()

    def some() -> bool:
        for message in consumer.consume(500, 0.5):
            assert not message.error()
            seen.add((message.partition(), message.offset()))
        return len(seen) >= count

    wait_until(some, 60, f"{count} messages")
    return len(seen)


def test_more_partitions_and_sockets_than_descriptors_end_nothing(small: Kafka) -> None:
    kafka, broker = small, small.broker
    assert broker.process is not None
    kafka.create_topic("t", PARTITIONS)
    settings: dict[str, Any] = {"bootstrap.servers": kafka.bootstrap, "log_level": 0}
    producer = Producer(settings | {"acks": "all", "linger.ms": 5})
    assert {"None": 3 * PARTITIONS} == written(producer, 3)
    consumer = Consumer(settings | {"group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["t"])
    assert 3 * PARTITIONS == read(consumer, 3 * PARTITIONS)
    idle = Idle(broker.port, LIMIT + 80)
    wait_until(lambda: "accepting pauses" in broker.output(), what="the line that says so")
    # Who was there before goes on, and every log with it.
    assert {"None": 2 * PARTITIONS} == written(producer, 2)
    assert 2 * PARTITIONS == read(consumer, 2 * PARTITIONS)
    idle.close()
    assert "t" in kafka.admin.list_topics(timeout=20).topics
    wait_until(lambda: len(os.listdir(f"/proc/{broker.process.pid}/fd")) < LIMIT // 2, what="descriptors to be free")
    consumer.close()
    assert 0 == broker.stop()
    output = broker.output()
    assert 1 == output.count("accepting pauses")
    assert not [line for line in output.splitlines() if " ERROR " in line or "Traceback" in line]
    assert f"may have {LIMIT} open files" not in output
    # What is hosted now is more than fits, and the start says so.
    broker.start()
    assert 1 == broker.output().count(f"This process may have {LIMIT} open files (ulimit -n), which is too few for 300")
    assert {"None": PARTITIONS} == written(Producer(settings | {"acks": "all"}), 1)


def test_a_broker_that_cannot_have_enough_descriptors_says_so_and_ends(tmp_path: Path) -> None:
    with EmbeddedZooKeeper(tmp_path / "zookeeper") as zookeeper:
        broker = restricted(Broker(tmp_path / "broker", zookeeper.connect), 50).launch()
        assert 1 == broker.wait()
        assert "This process may have 50 open files (ulimit -n), and a broker needs 64" in broker.output()
        assert "Traceback" not in broker.output()


def test_idle_sockets_do_not_end_the_zookeeper_server(tmp_path: Path) -> None:
    server = restricted(EmbeddedZooKeeper(tmp_path / "zookeeper", maxClientCnxns=0, snapCount=20), 100)
    with server, zookeeper_client(server.connect) as client:
        idle = Idle(server.port, 150)
        for number in range(500):
            client.create(f"/n{number}", b"x")
        assert 500 <= len(client.get_children("/"))
        idle.close()
        with zookeeper_client(server.connect) as other:
            assert b"x" == other.get("/n7")[0]
        assert server.running and "Traceback" not in server.output()


def limit_now(broker: Broker, descriptors: int) -> None:
    """What a process may open from now on; what it has open stays."""
    assert broker.process is not None
    prlimit = tool("prlimit", "util-linux")
    subprocess.run([prlimit, "--pid", str(broker.process.pid), f"--nofile={descriptors}:"], check=True)


def test_brokers_that_have_no_descriptor_left_for_a_while_lose_nothing_and_make_up_for_it(tmp_path: Path) -> None:
    """Every open, accept and connect fails: checkpoints, flushes, new partitions, the way back to ZooKeeper."""
    often = {"replica_high_watermark_checkpoint_interval_ms": 500, "log_flush_offset_checkpoint_interval_ms": 500}
    with EmbeddedZooKeeper(tmp_path / "zookeeper") as zookeeper, ExitStack() as stack:
        brokers = [
            stack.enter_context(
                Broker(tmp_path / str(i), zookeeper.connect, i, zookeeper_session_timeout_ms=30000, **often)
            )
            for i in (0, 1)
        ]
        kafka = Kafka(brokers[0], zookeeper)

        def in_sync(topic: str) -> bool:
            partitions = kafka.admin.list_topics(topic, timeout=20).topics[topic].partitions.values()
            return len(partitions) == 4 and all(p.leader >= 0 and len(p.isrs) == 2 for p in partitions)

        kafka.admin.create_topics([NewTopic("t", 4, 2)])["t"].result(30)
        wait_until(lambda: in_sync("t"), what="replicas in sync")
        bootstrap = ",".join(broker.bootstrap for broker in brokers)
        producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
        outcomes: Counter[str] = Counter()

        def delivered(error: Any, message: Any) -> None:
            outcomes.update([str(error)])

        def produce(topic: str) -> None:
            for number in range(200):
                producer.produce(
                    topic, b"x" * 100, partition=number % 4, on_delivery=lambda e, m: outcomes.update([str(e)])
                )

        produce("t")
        assert 0 == producer.flush(60)
        for broker in brokers:
            limit_now(broker, 8)
        produce("t")
        creation = kafka.admin.create_topics([NewTopic("u", 4, 2)], request_timeout=60)["u"]
        wait_until(lambda: all("Replica of u-" in broker.output() for broker in brokers), what="refused replicas")
        zookeeper.stop()
        zookeeper.start()
        produce("t")
        assert 0 == producer.flush(60)
        for broker in brokers:
            limit_now(broker, 4096)
        creation.exception(60)
        wait_until(lambda: in_sync("t") and in_sync("u"), 60, "replicas in sync")
        produce("u")
        assert 0 == producer.flush(60) and {"None": 800} == outcomes
        for broker in brokers:
            output = broker.output()
            assert broker.running and "Traceback" not in output and "offline" not in output
            assert 1 >= output.count("Flush failed") and 2 >= output.count("Work on the log directories failed")
