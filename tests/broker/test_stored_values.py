"""Values in /config that nobody can use: written by an old version, another tool or by hand. Each is a line in the log;
the others are applied, the start goes on, and what is altered afterwards is heard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kazoo.client import KazooClient

from tests.servers import Broker, EmbeddedZooKeeper, Kafka, wait_until, zookeeper_client

OF_THE_BROKER = {
    "max.connections.per.ip.overrides": "foo:bar",
    "listeners": "PLAINTEXT://:²",
    "log.roll.ms": "0",
    "log.cleaner.threads": "x",
    "broker.id": "5",
    "message.max.bytes": "100000",
}
OF_ALL = {
    "max.connections.per.ip": "0",
    "compression.gzip.level": "99",
    "advertised.listeners": "nonsense",
    "log.segment.bytes": 5_000_000,
    "compression.type": ["gzip"],
    "log.retention.ms": None,
    "somebodys.plugin": "y",
}
OF_THE_TOPIC = {
    "message.format.version": "x",
    "retention.days": "3",
    "cleanup.policy": "forget",
    "unclean.leader.election.enable": "perhaps",
    "min.insync.replicas": 1,
    "max.message.bytes": "50000",
}
FAULTY = (
    "max.connections.per.ip.overrides",
    "listeners",
    "log.roll.ms",
    "log.cleaner.threads",
    "broker.id",
    "max.connections.per.ip",
    "compression.gzip.level",
    "advertised.listeners",
    "compression.type",
    "message.format.version",
    "retention.days",
    "cleanup.policy",
    "unclean.leader.election.enable",
)


def stored(client: KazooClient, path: str, config: object) -> None:
    client.ensure_path(path)
    client.set(path, json.dumps({"version": 1, "config": config}).encode())


def notified(client: KazooClient, entity: str) -> None:
    data = json.dumps({"version": 2, "entity_path": entity}).encode()
    client.create("/config/changes/config_change_", data, sequence=True)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Kafka]:
    with (
        EmbeddedZooKeeper(tmp_path / "zookeeper") as zookeeper,
        Broker(tmp_path / "broker", zookeeper.connect, num_io_threads=4, ssl_protocol="TLS", no_such_key=1) as broker,
    ):
        yield Kafka(broker, zookeeper)


def applied(kafka: Kafka, kind: ResourceType, name: str) -> dict[str, str]:
    """A fresh client each time: the broker may be another process."""
    resource = ConfigResource(kind, name)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    return {key: entry.value for key, entry in client.describe_configs([resource])[resource].result(30).items()}


def test_one_bad_value_stops_neither_the_others_nor_the_start(one: Kafka) -> None:
    kafka = one
    kafka.create_topic("t")
    with zookeeper_client(kafka.zookeeper.connect) as client:
        stored(client, "/config/brokers/0", OF_THE_BROKER)
        stored(client, "/config/brokers/<default>", OF_ALL)
        stored(client, "/config/topics/t", OF_THE_TOPIC)
        for path in ("/config/users/u", "/config/users/u/clients/c", "/config/clients/c", "/config/ips/1.2.3.4"):
            stored(client, path, {"producer_byte_rate": "many", "connection_creation_rate": [1]})
        entities = ("brokers/0", "brokers/<default>", "topics/t", "users/u", "users/u/clients/c", "clients/c")
        for entity in (*entities, "ips/1.2.3.4", "ips/nowhere", "topics/", "topics/..", "topics/a//b", "topics/a/b"):
            notified(client, entity)

        def in_force() -> bool:
            broker, topic = applied(kafka, ResourceType.BROKER, "0"), applied(kafka, ResourceType.TOPIC, "t")
            return (
                broker["message.max.bytes"] == "100000"
                and broker["log.segment.bytes"] == "5000000"
                and topic["max.message.bytes"] == "50000"
            )

        wait_until(in_force, what="the good values")
        broker, topic = applied(kafka, ResourceType.BROKER, "0"), applied(kafka, ResourceType.TOPIC, "t")
        assert ("", "2147483647", "-1") == tuple(
            broker[name]
            for name in ("max.connections.per.ip.overrides", "max.connections.per.ip", "compression.gzip.level")
        )
        assert ("delete", "false") == (topic["cleanup.policy"], topic["unclean.leader.election.enable"])

        # What comes afterwards is heard.
        notified(client, "topics/t")
        stored(client, "/config/topics/t", OF_THE_TOPIC | {"max.message.bytes": "60000"})
        notified(client, "topics/t")
        wait_until(lambda: applied(kafka, ResourceType.TOPIC, "t")["max.message.bytes"] == "60000")

    kafka.broker.stop()
    kafka.broker.log.unlink()
    kafka.broker.start()
    wait_until(in_force_again(kafka), what="the good values after the start")
    lines = [line for line in kafka.broker.output().splitlines() if " ERROR " in line]
    for warning in (
        "No effect here: num.io.threads (one reactor does this work)",
        "No effect here: ssl.protocol (TLS is not built yet; listeners are PLAINTEXT)",
        "The configuration 'no.such.key' was supplied but isn't a known config.",
    ):
        assert 1 == kafka.broker.output().count(f" WARNING {warning}")
    assert 2 == kafka.broker.output().count("No effect here")
    assert "num.network.threads" not in kafka.broker.output()
    assert "Traceback" not in kafka.broker.output()
    for key in FAULTY:
        assert 1 == sum(f" {key}: " in line for line in lines), (key, lines)
    for key in ("message.max.bytes", "log.segment.bytes", "max.message.bytes", "somebodys.plugin"):
        assert not any(key in line for line in lines)


def in_force_again(kafka: Kafka) -> Callable[[], bool]:
    return lambda: applied(kafka, ResourceType.BROKER, "0")["message.max.bytes"] == "100000"


def test_what_cannot_be_used_is_refused_when_it_is_set(one: Kafka) -> None:
    client = AdminClient({"bootstrap.servers": one.bootstrap, "log_level": 0})

    def alter(key: str, value: str) -> None:
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.BROKER, "0", incremental_configs=[entry])
        client.incremental_alter_configs([resource])[resource].result(30)

    with pytest.raises(KafkaException, match="is not host:count"):
        alter("max.connections.per.ip.overrides", "foo:bar")
    # What is stored already and cannot be used hinders nobody.
    with zookeeper_client(one.zookeeper.connect) as znodes:
        stored(znodes, "/config/brokers/0", OF_THE_BROKER)
        alter("message.max.bytes", "70000")
        config = json.loads(znodes.get("/config/brokers/0")[0])["config"]
    assert OF_THE_BROKER | {"message.max.bytes": "70000"} == config
    wait_until(lambda: applied(one, ResourceType.BROKER, "0")["message.max.bytes"] == "70000", what="the value")
