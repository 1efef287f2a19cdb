"""kill -9 under load, then a restart: what was acknowledged is there once and in order, and readers go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from tests.servers import (
    Broker,
    DebianZooKeeper,
    EmbeddedZooKeeper,
    Kafka,
    Server,
    ZooKeeper,
    wait_until,
    zookeeper_client,
)

pytestmark = pytest.mark.slow

Start = Callable[[Server], Any]
PARTITIONS = 2


class Load:
    """An idempotent producer that numbers its messages in each partition, and remembers what was acknowledged."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.topic = topic
        self.sent = [0] * PARTITIONS
        self.acknowledged: dict[tuple[int, int], int] = {}
        self.producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "batch.num.messages": 50,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 50,
                "log_level": 0,
            }
        )

    def send_until(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Goes on producing until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} acknowledged of {sum(self.sent)}"
            for partition in range(PARTITIONS):
                for _ in range(20):
                    if len(self.producer) < 5000:
                        value = str(self.sent[partition])
                        self.producer.produce(self.topic, value, partition=partition, on_delivery=self.reported)
                        self.sent[partition] += 1
            self.producer.poll(0.002)

    def reported(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        self.acknowledged[message.partition() or 0, message.offset() or 0] = int(message.value() or b"")

    def acknowledges(self, count: int) -> Callable[[], bool]:
        """Whether so many more messages have been acknowledged than now."""
        wanted = len(self.acknowledged) + count
        return lambda: len(self.acknowledged) >= wanted

    def finish(self, kafka: Kafka) -> None:
        """The log holds what was sent, once and in order, each at the offset that its acknowledgement named."""
        assert 0 == self.producer.flush(60)
        stored: dict[int, list[int]] = {p: [] for p in range(PARTITIONS)}
        with closing(consumer(kafka, f"{self.topic}-check")) as c:
            c.assign([TopicPartition(self.topic, p, 0) for p in stored])
            deadline = time.monotonic() + 30
            while sum(map(len, stored.values())) < sum(self.sent):
                assert time.monotonic() < deadline, f"{sum(map(len, stored.values()))} of {sum(self.sent)} are there"
                for message in c.consume(1000, 0.5):
                    assert message.error() is None, message.error()
                    values = stored[message.partition() or 0]
                    assert len(values) == message.offset()
                    values.append(int(message.value() or b""))
        for partition, values in stored.items():
            assert list(range(self.sent[partition])) == values
        for (partition, offset), value in self.acknowledged.items():
            assert stored[partition][offset] == value


def consumer(kafka: Kafka, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
    )


def read_and_commit(kafka: Kafka, topic: str, group: str, count: int) -> list[tuple[int, int, int]]:
    """A member of the group comes, reads so many messages, commits and leaves: (partition, offset, value) of each."""
    with closing(consumer(kafka, group)) as c:
        c.subscribe([topic])
        got: list[Message] = []
        deadline = time.monotonic() + 30
        while len(got) < count:
            assert time.monotonic() < deadline, f"{len(got)} of {count} read"
            got += [m for m in c.consume(count - len(got), 0.2) if m.error() is None]
        c.commit(asynchronous=False)
        return [(m.partition() or 0, m.offset() or 0, int(m.value() or b"")) for m in got]


def assert_goes_on(kafka: Kafka, topic: str, group: str, before: dict[int, int], count: int) -> None:
    """The next messages the group reads begin at the offsets of its znodes, and the znodes move on with them."""
    read = read_and_commit(kafka, topic, group, count)
    after = dict(before)
    for partition, offset, value in read:
        expected = after.get(partition, 0)
        assert (expected, expected) == (offset, value)
        after[partition] = offset + 1
    assert after == kafka.offsets(group, topic)


@pytest.mark.parametrize("kind", [EmbeddedZooKeeper, DebianZooKeeper])
def test_a_killed_broker_comes_back_with_all_it_acknowledged(
    started: Start, tmp_path: Path, name: str, kind: type[ZooKeeper]
) -> None:
    zookeeper = started(kind(tmp_path / "zookeeper"))
    broker = started(Broker(tmp_path / "broker", zookeeper.connect))
    kafka = Kafka(broker, zookeeper)
    topic, group = kafka.create_topic(name, PARTITIONS), f"{name}-group"
    load = Load(kafka, topic)
    load.send_until(load.acknowledges(2000))
    read_and_commit(kafka, topic, group, 500)
    for _ in range(3):
        load.send_until(load.acknowledges(1000))
        committed = kafka.offsets(group, topic)
        broker.kill()
        load.send_until(broker.launch().answers)
        load.send_until(load.acknowledges(1000))
        assert committed == kafka.offsets(group, topic)
        assert_goes_on(kafka, topic, group, committed, 300)
    load.finish(kafka)
    assert "Traceback" not in broker.output()


@pytest.mark.parametrize("kind", [EmbeddedZooKeeper, DebianZooKeeper])
def test_a_killed_zookeeper_comes_back_and_the_broker_goes_on(
    started: Start, tmp_path: Path, name: str, kind: type[ZooKeeper]
) -> None:
    zookeeper = started(kind(tmp_path / "zookeeper"))
    broker = started(Broker(tmp_path / "broker", zookeeper.connect))
    kafka = Kafka(broker, zookeeper)
    topic, group = kafka.create_topic(name, PARTITIONS), f"{name}-group"
    load = Load(kafka, topic)
    load.send_until(load.acknowledges(2000))
    read_and_commit(kafka, topic, group, 500)
    for _ in range(2):
        committed = kafka.offsets(group, topic)
        zookeeper.kill()
        load.send_until(load.acknowledges(1000))
        load.send_until(zookeeper.launch().answers)
        load.send_until(load.acknowledges(1000))
        assert committed == kafka.offsets(group, topic)
        assert_goes_on(kafka, topic, group, committed, 300)
    with zookeeper_client(zookeeper.connect) as client:
        wait_until(lambda: client.exists("/brokers/ids/0") and client.exists("/controller"))
    kafka.create_topic(f"{name}-later", 1)
    load.finish(kafka)
    assert "Traceback" not in broker.output() + zookeeper.output()


def test_what_was_flushed_of_a_deleted_topic_says_nothing_of_one_made_anew(
    started: Start, tmp_path: Path, name: str
) -> None:
    zookeeper = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    # A producer of the deleted topic still asks for it.
    broker = started(Broker(tmp_path / "broker", zookeeper.connect, auto_create_topics_enable=False))
    kafka = Kafka(broker, zookeeper)
    topic = kafka.create_topic(name, PARTITIONS)
    load = Load(kafka, topic)
    load.send_until(load.acknowledges(2000))
    load.finish(kafka)
    broker.stop()
    broker.start()
    kafka.admin.delete_topics([topic])[topic].result(30)
    with zookeeper_client(zookeeper.connect) as client:
        wait_until(lambda: not client.exists(f"/brokers/topics/{topic}"))
        wait_until(lambda: not client.exists(f"/admin/delete_topics/{topic}"))
    kafka.create_topic(topic, PARTITIONS)
    load = Load(kafka, topic)
    load.send_until(load.acknowledges(100))
    broker.kill()
    load.send_until(broker.launch().answers)
    load.send_until(load.acknowledges(100))
    load.finish(kafka)
    assert "damaged" not in broker.output()


def test_a_controller_ends_cleanly_though_zookeeper_has_gone_before_it(started: Start, tmp_path: Path) -> None:
    zookeeper = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    broker = started(Broker(tmp_path / "broker", zookeeper.connect))
    wait_until(lambda: "is the controller" in broker.output())
    zookeeper.kill()
    wait_until(lambda: "trying to reconnect" in broker.output())
    assert 0 == broker.stop()
    assert (broker.data / ".kafka_cleanshutdown").exists()


def test_a_broker_asks_once_for_its_leaderships_to_be_moved_when_zookeeper_has_gone(
    started: Start, tmp_path: Path, name: str
) -> None:
    zookeeper = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    one, two = (started(Broker(tmp_path / f"{n}", zookeeper.connect, broker_id=n)) for n in (1, 2))
    other = one if "is the controller" in two.output() else two
    admin = Kafka(other, zookeeper).admin
    admin.create_topics([NewTopic(name, 4, 2)])[name].result(30)
    wait_until(lambda: all(len(p.isrs) == 2 for p in admin.list_topics(name).topics[name].partitions.values()))
    zookeeper.kill()
    wait_until(lambda: all("trying to reconnect" in broker.output() for broker in (one, two)))
    assert other.process is not None
    other.process.terminate()
    assert 0 == other.wait(60)
    assert 1 == other.output().count("Controlled shutdown: the controller gave no answer within 10 s")
    assert "nobody is waited for without ZooKeeper" in other.output()


def test_everything_killed_at_once_comes_back(started: Start, tmp_path: Path, name: str) -> None:
    zookeeper = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    broker = started(Broker(tmp_path / "broker", zookeeper.connect))
    kafka = Kafka(broker, zookeeper)
    topic, group = kafka.create_topic(name, PARTITIONS), f"{name}-group"
    load = Load(kafka, topic)
    load.send_until(load.acknowledges(2000))
    read_and_commit(kafka, topic, group, 700)
    committed = kafka.offsets(group, topic)
    broker.kill()
    zookeeper.kill()
    load.send_until(zookeeper.launch().answers)
    load.send_until(broker.launch().answers)
    assert committed == kafka.offsets(group, topic)
    assert_goes_on(kafka, topic, group, committed, 700)
    load.finish(kafka)
