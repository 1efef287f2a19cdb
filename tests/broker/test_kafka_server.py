"""A broker as a process: what a start announces, what a stop leaves, what an expired session does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from twisted.internet import defer, task

from kafkalike.broker.kafka_server import KafkaServer
from kafkalike.config import broker_config
from tests.servers import (
    Broker,
    EmbeddedZooKeeper,
    Kafka,
    Server,
    ZooKeeper,
    free_port,
    wait_until,
    zookeeper_client,
)
from zk.client import SessionExpired

Start = Callable[[Server], Any]


@pytest.fixture
def ensemble(started: Start, tmp_path: Path) -> EmbeddedZooKeeper:
    return started(EmbeddedZooKeeper(tmp_path / "zookeeper", tickTime=200, minSessionTimeout=400))


def znode(ensemble: ZooKeeper, path: str) -> Any:
    """The JSON of a znode; None when the znode is not there."""
    with zookeeper_client(ensemble.connect) as client:
        return json.loads(client.get(path)[0]) if client.exists(path) else None


def test_a_start_registers_and_a_stop_leaves_a_clean_directory(ensemble: ZooKeeper, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect, broker_id=3)
    with broker:
        registered = znode(ensemble, "/brokers/ids/3")
        assert [f"PLAINTEXT://127.0.0.1:{broker.port}"] == registered["endpoints"]
        assert ("127.0.0.1", broker.port, 5) == (registered["host"], registered["port"], registered["version"])
        assert 3 == znode(ensemble, "/controller")["brokerid"]
        cluster_id = znode(ensemble, "/cluster/id")["id"]
        assert not (broker.data / ".kafka_cleanshutdown").exists()
        assert 0 == broker.stop()
    assert (broker.data / ".kafka_cleanshutdown").exists()
    assert (None, None) == (znode(ensemble, "/brokers/ids/3"), znode(ensemble, "/controller"))
    meta = (broker.data / "meta.properties").read_text().splitlines()
    assert {"broker.id=3", f"cluster.id={cluster_id}"} <= set(meta)
    assert "Traceback" not in broker.output()


def test_a_generated_id_is_kept(ensemble: ZooKeeper, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect, broker_id=1001)
    broker.overrides["broker.id"] = -1
    for _ in range(2):
        with broker:
            assert znode(ensemble, "/brokers/ids/1001") is not None
    assert "broker.id=1001" in (broker.data / "meta.properties").read_text().splitlines()


def test_each_listener_is_told_its_own_address(ensemble: ZooKeeper, tmp_path: Path) -> None:
    inside, outside = free_port(), free_port()
    broker = Broker(
        tmp_path / "broker",
        ensemble.connect,
        port=inside,
        listeners=f"INSIDE://127.0.0.1:{inside},OUTSIDE://127.0.0.1:{outside}",
        advertised_listeners=f"INSIDE://127.0.0.1:{inside},OUTSIDE://localhost:{outside}",
        listener_security_protocol_map="INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        inter_broker_listener_name="INSIDE",
    )
    with broker:
        endpoints = [f"INSIDE://127.0.0.1:{inside}", f"OUTSIDE://localhost:{outside}"]
        assert endpoints == znode(ensemble, "/brokers/ids/0")["endpoints"]
        for port, host in ((inside, "127.0.0.1"), (outside, "localhost")):
            admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
            known = admin.list_topics(timeout=10).brokers[0]
            assert (host, port) == (known.host, known.port)


def test_a_broker_whose_session_expired_registers_again(started: Start, ensemble: ZooKeeper, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect, zookeeper_session_timeout_ms=1000)
    started(broker)
    kafka = Kafka(broker, ensemble)
    topic = kafka.create_topic("kept", 1)
    assert broker.process is not None
    with zookeeper_client(ensemble.connect) as client:
        first = client.exists("/brokers/ids/0").czxid
        os.kill(broker.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: not client.exists("/brokers/ids/0"), what="the session's end")
        finally:
            os.kill(broker.process.pid, signal.SIGCONT)
        again = wait_until(lambda: client.exists("/brokers/ids/0"), what="a new registration")
        assert again.czxid > first
        wait_until(lambda: client.exists("/controller"), what="a controller")
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"afterwards")
    assert 0 == producer.flush(30)
    kafka.create_topic("later", 1)
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "g"})) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        assert b"afterwards" == wait_until(lambda: consumer.poll(0.2)).value()
    assert "Traceback" not in broker.output()


@pytest.mark.slow
@pytest.mark.parametrize("session_timeout_ms", [1000, 30000])
def test_a_reader_that_comes_while_zookeeper_hangs_reads_afterwards(
    started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path, session_timeout_ms: int
) -> None:
    """Whether the broker keeps its session or not: the client asks for its offsets until it gets them."""
    timeouts = {"zookeeper_session_timeout_ms": session_timeout_ms, "offsets_commit_timeout_ms": 500}
    kafka = Kafka(started(Broker(tmp_path / "broker", ensemble.connect, **timeouts)), ensemble)
    topic = kafka.create_topic("read", 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for value in ("first", "second"):
        producer.produce(topic, value)
    assert 0 == producer.flush(30)
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    with closing(Consumer(config | {"enable.auto.commit": False})) as consumer:
        consumer.subscribe([topic])
        message = wait_until(lambda: consumer.poll(0.2))
        consumer.commit(message=message, asynchronous=False)
    assert ensemble.process is not None
    with closing(Consumer(config)) as consumer:
        os.kill(ensemble.process.pid, signal.SIGSTOP)
        try:
            consumer.subscribe([topic])
            assert consumer.poll(2.5) is None
        finally:
            os.kill(ensemble.process.pid, signal.SIGCONT)
        assert b"second" == wait_until(lambda: consumer.poll(0.2)).value()


def test_a_session_that_ends_while_configurations_are_read_ends_the_start_as_such() -> None:
    """Simulation, seed 100284: it was an unknown error, told with a traceback."""
    config, _ = broker_config({"broker.id": "1", "zookeeper.connect": "z"})
    server = KafkaServer(config, task.Clock())
    server.zk = SimpleNamespace(
        children=lambda path: defer.succeed(["t"]), get=lambda path: defer.fail(SessionExpired())
    )
    heard: list[Any] = []
    defer.Deferred.fromCoroutine(server._all_overrides()).addErrback(lambda failure: heard.append(failure.type))
    assert [SessionExpired] == heard
