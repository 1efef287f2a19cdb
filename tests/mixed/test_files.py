"""What lies in the directories: Apache's tools find nothing wrong, and each kind goes on where the other stopped."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.mixed.cluster import QUIET, Load, Mixed, consumer, read_all
from tests.servers import Broker, zookeeper_client
from tests.storage.test_apache import dump

COMPLAINTS = (
    "Mismatches",
    "Non-consecutive",
    "not be found",
    "out of order",
    "Exception",
    "Ignoring",
    "isvalid: false",
)


def assert_sound(broker: Broker, topics: set[str]) -> None:
    """DumpLogSegments reads every file of these topics in silence."""
    directories = [each for each in broker.data.iterdir() if each.name.rpartition("-")[0] in topics]
    files = [file for each in directories for file in each.iterdir() if file.stat().st_size]
    records = [file for file in files if file.suffix in (".log", ".index", ".timeindex", ".snapshot")]
    indexes = [file for file in files if file.suffix in (".index", ".timeindex")]
    assert topics == {file.parent.name.rpartition("-")[0] for file in records if file.suffix == ".log"}
    deep = dump("--deep-iteration", files=records)
    assert 0 == deep.returncode
    assert [] == [line for line in (deep.stdout + deep.stderr).splitlines() if any(each in line for each in COMPLAINTS)]
    assert "isvalid: true" in deep.stdout
    sane = dump("--index-sanity-check", files=indexes)
    assert len(indexes) == sane.stdout.count("passed sanity check")


def commit(cluster: Mixed, group: str, topic: str, offset: int) -> None:
    """A simple consumer commits."""
    with closing(consumer(cluster, group)) as c:
        c.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)


@pytest.mark.timeout(240)
def test_apaches_dump_is_silent_about_a_replica_of_ours(mixed: Mixed, name: str) -> None:
    mixed.create_topic(name, [1, 2, 3], [2, 3, 1], [3, 1, 2], segment_bytes=50_000)
    with Load(mixed, name, 3) as load:
        load.go_on(1000)
    for each in range(6):
        commit(mixed, f"{name}-{each}", name, each)
    mixed.wait_in_sync("__consumer_offsets")
    assert 0 == mixed.brokers[3].stop()
    try:
        assert_sound(mixed.brokers[3], {name, "__consumer_offsets"})
        log = next(mixed.brokers[3].data.glob(f"{name}-0/*.log"))
        assert len(list(log.parent.glob("*.log"))) > 2
        offsets = sorted(mixed.brokers[3].data.glob("__consumer_offsets-*/*.log"))
        decoded = dump("--offsets-decoder", files=offsets).stdout
        committed = [line for line in decoded.splitlines() if f'"topic":"{name}"' in line]
        assert 6 == len(committed), committed
    finally:
        mixed.start(3)
        mixed.wait_in_sync(name)


class Alone:
    """A cluster of one broker, whose kind changes."""

    def __init__(self, cluster: Mixed, topic: str) -> None:
        self.cluster = cluster
        self.topic = topic
        self.written = 0

    def produce(self, count: int) -> None:
        """So many more messages, each of them acknowledged."""
        errors: list[object] = []
        settings = {"enable.idempotence": True, "batch.num.messages": 50}
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap} | settings | QUIET)
        for value in range(self.written, self.written + count):
            producer.produce(
                self.topic,
                (b"%d." % value).ljust(100, b"x"),
                partition=0,
                on_delivery=lambda error, _: errors.append(error),
            )
            producer.poll(0)
        assert 0 == producer.flush(30)
        assert [None] * count == errors
        self.written += count

    def assert_whole(self) -> None:
        """All of them are there, once and in order."""
        assert {0: list(range(self.written))} == read_all(self.cluster, self.topic, 1)

    def committed(self, group: str) -> int:
        """What the group has committed."""
        c: Consumer
        with closing(consumer(self.cluster, group)) as c:
            (found,) = c.committed([TopicPartition(self.topic, 0)], timeout=30)
        return int(found.offset)

    def switch(self, kind: str, kill: bool) -> str:
        """Ends the broker and starts this kind on its directory; gives what that one printed."""
        broker = self.cluster.brokers[1]
        broker.kill() if kill else broker.stop()
        if kill:
            # Sooner than the session of the dead one ends.
            with zookeeper_client(self.cluster.zookeeper.connect) as client:
                for path in ("/brokers/ids/1", "/controller"):
                    client.delete(path)
        self.cluster.add(1, kind)
        printed = len(self.cluster.brokers[1].output())
        self.cluster.start(1)
        self.cluster.wait_in_sync(self.topic)
        return self.cluster.brokers[1].output()[printed:]


@pytest.mark.mixed
@pytest.mark.timeout(600)
def test_one_directory_under_both_kinds_in_turn(new_cluster: Callable[..., Mixed], name: str) -> None:
    """Stopped and killed, each goes on where the other was.

    Offsets come with the broker of Apache's to ours. The other way somebody of ours must be there to copy them.
    """
    cluster = new_cluster(default_replication_factor=1, offsets_topic_replication_factor=1, min_insync_replicas=1)
    cluster.add(1, "apache")
    cluster.start(1)
    cluster.create_topic(name, [1], segment_bytes=20_000)
    alone = Alone(cluster, name)
    alone.produce(500)
    commit(cluster, "group", name, 123)
    for kind, kill in (("kafkalike", False), ("apache", False), ("kafkalike", True), ("apache", True)):
        printed = alone.switch(kind, kill)
        if not kill:
            assert not re.search("recover|orrupt", printed, re.IGNORECASE), printed
        alone.assert_whole()
        alone.produce(500)
    alone.switch("kafkalike", False)
    assert 123 == alone.committed("group")
    assert 0 == cluster.brokers[1].stop()
    assert_sound(cluster.brokers[1], {name})
