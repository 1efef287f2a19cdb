"""A cluster changes its brokers one by one, from Apache's to ours and back, while it is written to and read from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Message, TopicPartition

from tests.mixed.cluster import Load, Mixed, consumer
from tests.servers import offsets_in_zookeeper, wait_until

OFFSETS = "__consumer_offsets"
NOTHING = -1001


class Reader:
    """A group whose members come, read, commit and leave: it goes on where it was, whoever coordinates it."""

    def __init__(self, cluster: Mixed, topic: str, group: str, partitions: int) -> None:
        self.cluster = cluster
        self.topic = topic
        self.group = group
        self.expected = dict.fromkeys(range(partitions), 0)

    def read(self, count: int = 200) -> None:
        """So many messages; the first of each partition is the one after what was committed."""
        with closing(consumer(self.cluster, self.group)) as c:
            c.subscribe([self.topic])
            got: list[Message] = []

            def read() -> bool:
                got.extend(m for m in c.consume(count - len(got), 0.2) if m.error() is None)
                return len(got) >= count

            wait_until(read, 60, f"{count} messages for {self.group}")
            for message in got:
                partition = message.partition() or 0
                assert self.expected[partition] == message.offset()
                self.expected[partition] += 1
            c.commit(asynchronous=False)
        self.assert_committed()

    def assert_committed(self) -> None:
        """What the coordinator answers. (librdkafka's admin client falls over when the coordinator has moved.)"""
        with closing(consumer(self.cluster, self.group)) as c:
            asked = [TopicPartition(self.topic, p) for p in self.expected]
            found = {each.partition: each.offset for each in c.committed(asked, timeout=30)}
        assert {p: offset or NOTHING for p, offset in self.expected.items()} == found

    def in_zookeeper(self) -> bool:
        """Whether the znodes say the same."""
        found = offsets_in_zookeeper(self.cluster.zookeeper.connect, self.group, self.topic)
        return found == {p: offset for p, offset in self.expected.items() if offset}


def replace(cluster: Mixed, broker_id: int, kind: str, topic: str) -> None:
    """Stops one broker and starts the other kind on its directory; returns when everything is whole again."""
    assert 0 == cluster.brokers[broker_id].stop(60) or cluster.brokers[broker_id].kind == "apache"
    cluster.add(broker_id, kind)
    cluster.start(broker_id)
    for each in (topic, OFFSETS):
        cluster.wait_in_sync(each)


@pytest.mark.mixed
@pytest.mark.timeout(900)
def test_a_rolling_migration_to_ours_and_back_loses_nothing(new_cluster: Callable[..., Mixed], name: str) -> None:
    cluster = new_cluster()
    for broker_id in (1, 2, 3):
        cluster.add(broker_id, "apache")
    cluster.start(1, 2, 3)
    cluster.create_topic(name, [1, 2, 3], [2, 3, 1], [3, 1, 2])
    early, late = Reader(cluster, name, "early", 3), Reader(cluster, name, "late", 3)
    with Load(cluster, name, 3) as load:
        load.go_on()
        early.read()
        for broker_id in (1, 2, 3):
            replace(cluster, broker_id, "kafkalike", name)
            load.go_on()
            early.read()
        wait_until(early.in_zookeeper, 30, "the offsets to be in ZooKeeper")
        late.read()
        assert late.in_zookeeper()
        for broker_id in (1, 2, 3):
            replace(cluster, broker_id, "apache", name)
            load.go_on()
            early.read()
            late.read()
    cluster.wait_in_sync(name)
    cluster.assert_identical(name)
