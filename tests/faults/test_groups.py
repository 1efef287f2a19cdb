"""Groups, while ZooKeeper is away for longer than the brokers' sessions: their members notice nothing.

They go on reading and keep their partitions; commits fail in a way that each client repeats; and when ZooKeeper is back
nobody has read anything twice and everything is committed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic

from tests.faults import members
from tests.faults.clients import Producer, librdkafka
from tests.faults.cluster import BROKERS, OFFSETS_PARTITIONS, OFFSETS_TOPIC, Cluster, group_of
from tests.faults.history import History
from tests.servers import wait_until

TOPIC = "records"
PARTITIONS = 3


class Groups:
    """A cluster, somebody who sends 60 records a second, and for each kind of client a group of two members."""

    def __init__(self, cluster: Cluster, home: Path, kinds: Mapping[str, type[members.Member]]) -> None:
        self.cluster = cluster
        self.history = History()
        new = NewTopic(TOPIC, PARTITIONS, len(cluster.brokers))
        cluster.admin.create_topics([new])[TOPIC].result(30)
        wait_until(lambda: cluster.led(TOPIC) and len(cluster.states(TOPIC)) == PARTITIONS, 60, "leaders")
        self.producer = Producer(self.history, "producer", cluster.bootstrap, TOPIC, PARTITIONS, rate=60)
        # Groups of one kind each, spread over the partitions of __consumer_offsets and so over the brokers.
        self.members = [
            kind(self.history, f"{name}-{i}", cluster.bootstrap, TOPIC, group_of(name, at % OFFSETS_PARTITIONS), home)
            for at, (name, kind) in enumerate(kinds.items())
            for i in (1, 2)
        ]
        self.groups = sorted({each.group for each in self.members})
        self._askers = {group: Consumer(librdkafka(cluster.bootstrap, group_id=group)) for group in self.groups}

    def __enter__(self) -> Groups:
        for client in (self.producer, *self.members):
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.cluster.zookeeper.running:
            self.cluster.thaw_zookeeper()
        for client in (self.producer, *self.members):
            client.end()
        for client in (self.producer, *self.members):
            client.join(60)
        for asker in self._askers.values():
            asker.close()

    def stable(self) -> bool:
        """Both members of each group own something and read, each partition has one owner, and they have committed."""
        owned = {
            group: [p for each in self.members if each.group == group for p in each.owned] for group in self.groups
        }
        return (
            all(each.owned and len(each.read) > 20 for each in self.members)
            and all(sorted(partitions) == list(range(PARTITIONS)) for partitions in owned.values())
            and all(PARTITIONS == sum(at >= 0 for at in self.committed(group).values()) for group in self.groups)
        )

    def moves(self) -> dict[str, list[str]]:
        return {each.name: list(each.moves) for each in self.members}

    def read_twice(self) -> dict[str, set[tuple[int, int]]]:
        """For each group; while its members come there may be some."""
        read: dict[str, Counter[tuple[int, int]]] = {group: Counter() for group in self.groups}
        for each in self.members:
            read[each.group].update(dict(each.read))
        return {group: {place for place, times in those.items() if times > 1} for group, those in read.items()}

    def committed(self, group: str) -> dict[int, int]:
        # Not the admin client's list_consumer_group_offsets: the whole process stood still in it, or crashed, when a
        # coordinator had moved.
        try:
            answers = self._askers[group].committed([TopicPartition(TOPIC, p) for p in range(PARTITIONS)], timeout=10)
        except KafkaException:
            # The coordinator is not connected to ZooKeeper yet, or has just become another: whoever waits asks again.
            return {}
        found = {p.partition: p.offset for p in answers if p.error is None}
        return {p: max(found.get(p, -1), -1) for p in range(PARTITIONS)}

    def end(self) -> None:
        """Nothing is sent any more: all that was acknowledged is read and committed."""
        self.producer.end()
        self.producer.join(60)
        ends = dict(self.producer.ends)
        for group in self.groups:
            wait_until(lambda group=group: ends == self.committed(group), 60, f"{group} to commit {ends}")
        assert [] == [e.data["text"] for e in self.history.events if e.op == "trouble"]


@pytest.fixture
def start(tmp_path: Path, servers: tuple[Any, Any]) -> Iterator[Callable[..., Groups]]:
    """start(kinds, brokers=..., session_ms=...) -> Groups"""
    broker, zookeeper = servers
    with ExitStack() as stack:

        def begin(kinds: Mapping[str, type[members.Member]], brokers: Sequence[int], session_ms: int) -> Groups:
            settings = {
                "min_insync_replicas": min(2, len(brokers)),
                "default_replication_factor": len(brokers),
                "offsets_topic_replication_factor": len(brokers),
            }
            cluster = Cluster(tmp_path, broker, zookeeper, session_ms=session_ms, numbers=brokers, **settings)
            groups = stack.enter_context(Groups(stack.enter_context(cluster), tmp_path, kinds))
            wait_until(groups.stable, 60, "the groups to read and commit")
            return groups

        yield begin


def away(groups: Groups, how: str, seconds: float) -> None:
    """ZooKeeper is killed, and sessions go on when it is back; or it stands still, and all sessions end."""
    cluster = groups.cluster
    before = {n: cluster.registration(n).czxid for n in cluster.brokers}
    moves, twice = groups.moves(), groups.read_twice()
    read = {each.name: len(each.read) for each in groups.members}
    cluster.zookeeper.kill() if how == "killed" else cluster.freeze_zookeeper()
    time.sleep(seconds)
    assert moves == groups.moves()
    assert all(len(each.read) > read[each.name] for each in groups.members)
    cluster.zookeeper.start() if how == "killed" else cluster.thaw_zookeeper()
    if how == "frozen":
        for number in cluster.brokers:
            # Whoever was back before ZooKeeper looked at its clock still has its session.
            if getattr(cluster.registration(number), "czxid", None) == before[number]:
                cluster.expire(number)
    wait_until(lambda: cluster.whole() and cluster.led(OFFSETS_TOPIC), 60, "all brokers, and leaders")
    groups.end()
    assert moves == groups.moves()
    assert twice == groups.read_twice()


def test_members_notice_nothing_of_a_zookeeper_that_is_away(start: Callable[..., Groups]) -> None:
    away(start(members.PYTHON, brokers=(1,), session_ms=3000), "frozen", 12)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["frozen", "killed"])
@pytest.mark.parametrize("brokers", [(1,), BROKERS], ids=["one broker", "three brokers"])
def test_members_notice_nothing_of_a_zookeeper_that_is_away_for_long(
    start: Callable[..., Groups], brokers: Sequence[int], how: str
) -> None:
    away(start(members.ALL, brokers=brokers, session_ms=18_000), how, 30)
