"""A topic is deleted and made anew while the coordinator of a group that has read it is lost: the group reads the new
topic from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.faults.cluster import BROKERS, NOBODY, OFFSETS_TOPIC, Cluster
from tests.faults.conftest import zookeeper_of
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, wait_until

T = TopicPartition("orders", 0)
EARLIER, LATER = 50, 120  # records


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Each group has one coordinator, for which nobody can stand in."""
    broker = ApacheBroker if request.config.getoption("--on") == "apache" else Broker
    zookeeper = DebianZooKeeper if zookeeper_of(request.config) == "debian" else EmbeddedZooKeeper
    with Cluster(tmp_path, broker, zookeeper, session_ms=6000, offsets_topic_replication_factor=1) as made:
        yield made


def others(cluster: Cluster, victim: int) -> str:
    """The addresses of those that stay."""
    return ",".join(each.bootstrap for number, each in cluster.brokers.items() if number != victim)


def consumer(bootstrap: str, group: str) -> Consumer:
    config = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0}
    return Consumer(config | {"enable.auto.commit": False, "reconnect.backoff.max.ms": 200})


def create(bootstrap: str, replicas: list[int]) -> None:
    """The topic, once its name is free."""

    def created() -> bool:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        admin.list_topics(timeout=20)
        try:
            new = NewTopic(T.topic, 1, replica_assignment=[replicas], config={"min.insync.replicas": "1"})
            admin.create_topics([new], request_timeout=20)[T.topic].result(30)
        except KafkaException:
            return False
        return True

    wait_until(created, 60, "the topic")


def produce(bootstrap: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number in range(count):
        producer.produce(T.topic, str(number), partition=T.partition)
    assert 0 == producer.flush(60)


def group_of(cluster: Cluster, victim: int) -> str:
    """A group that this broker coordinates, and that has read the topic to its end."""
    with closing(consumer(cluster.bootstrap, "any")) as first:
        # Makes __consumer_offsets.
        wait_until(lambda: bool(_committed(first, [T])), 60, "a coordinator")
    group = next(name for name in map("group{}".format, range(100)) if cluster.coordinator(name) == victim)
    with closing(consumer(cluster.bootstrap, group)) as reader:
        reader.commit(offsets=[TopicPartition(T.topic, T.partition, EARLIER)], asynchronous=False)
        assert [EARLIER] == [each.offset for each in reader.committed([T], 20)]
    return group


def _committed(reader: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    try:
        return reader.committed(partitions, 5)
    except KafkaException:
        return []


def reads_all(cluster: Cluster, group: str) -> None:
    """The group has committed nothing, and finds every record of the new topic."""
    with closing(consumer(cluster.bootstrap, group)) as reader:
        wait_until(lambda: bool(_committed(reader, [T])), 60, "the coordinator")
        assert [OFFSET_INVALID] == [each.offset for each in _committed(reader, [T])]
        reader.subscribe([T.topic])
        read: list[bytes] = []

        def all_read() -> bool:
            messages = reader.consume(1000, 0.5)
            read.extend(message.value() for message in messages if message.error() is None)
            return len(read) >= LATER

        wait_until(all_read, 60, "all records")
        assert [str(number).encode() for number in range(LATER)] == read


def test_the_coordinator_is_killed_before_it_hears_of_the_deletion(cluster: Cluster) -> None:
    """It controls the cluster and has a replica, so that the deletion ends only when it is back: all are told again."""
    victim = cluster.controller()
    create(cluster.bootstrap, list(BROKERS))
    produce(cluster.bootstrap, EARLIER)
    group = group_of(cluster, victim)
    cluster.freeze(victim)
    cluster.zk.create(f"/admin/delete_topics/{T.topic}")
    cluster.kill(victim)
    wait_until(lambda: cluster.controller() not in (victim, NOBODY), 60, "another controller")
    admin = AdminClient({"bootstrap.servers": others(cluster, victim), "log_level": 0})
    wait_until(lambda: T.topic not in admin.list_topics(timeout=20).topics, 60, "the beginning of the deletion")
    cluster.start(victim)
    wait_until(lambda: not cluster.zk.exists(f"/brokers/topics/{T.topic}"), 60, "the end of the deletion")
    wait_until(lambda: cluster.led(OFFSETS_TOPIC), 60, "the coordinator")
    create(cluster.bootstrap, list(BROKERS))
    produce(cluster.bootstrap, LATER)
    reads_all(cluster, group)


def test_the_coordinator_has_no_replica_and_is_away_at_the_deletion(cluster: Cluster) -> None:
    victim = next(number for number in BROKERS if number != cluster.controller())
    rest = [number for number in BROKERS if number != victim]
    create(cluster.bootstrap, rest)
    produce(cluster.bootstrap, EARLIER)
    group = group_of(cluster, victim)
    cluster.kill(victim)
    cluster.zk.create(f"/admin/delete_topics/{T.topic}")
    wait_until(lambda: not cluster.zk.exists(f"/admin/delete_topics/{T.topic}"), 60, "the deletion")
    create(others(cluster, victim), rest)
    produce(others(cluster, victim), LATER)
    cluster.start(victim)
    wait_until(lambda: cluster.led(OFFSETS_TOPIC), 60, "the coordinator")
    reads_all(cluster, group)
