"""Fetches that wait: consumers for their time, followers until they say something else."""

from types import SimpleNamespace

import pytest

from kafkalike.broker.apis.fetch import fetch
from kafkalike.broker.call import LATER
from kafkalike.broker.sessions import FetchSessions
from kafkalike.cluster.metadata import Image
from kafkalike.protocol.messages import fetch as messages
from kafkalike.replication.hosted import Read
from kafkalike.replication.purgatory import Purgatory

VERSION = 12  # the last one that names topics


class Replicas:
    """One empty partition, or partitions of records enough for every request."""

    def __init__(self):
        self.purgatory = Purgatory()
        self.full = False
        self.asked = []

    def read(self, topic, index, asked, max_bytes, *_):
        self.asked.append(max_bytes)
        records = b"x" * max(max_bytes, 0) if self.full else b""
        return Read(0, 0, 0, SimpleNamespace(size=len(records), read=lambda: records) if records else None)

    read_as_follower = read

    def wait(self, waiter, keys, timeout_ms):
        self.purgatory.watch(waiter, keys, timeout_ms)


class Call:
    def __init__(self, replica):
        partition = messages.FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)
        topic = messages.FetchTopic(topic="t", partitions=[partition])
        self.request = messages.Request(replica_id=replica, max_wait_ms=500, min_bytes=1, topics=[topic])
        self.version = VERSION
        self.connection = SimpleNamespace(hurry=None)
        self.answers = []
        self.respond = self.answers.append


@pytest.fixture
def broker():
    return SimpleNamespace(
        fetch_sessions=FetchSessions(10, 1),
        replicas=Replicas(),
        metadata=SimpleNamespace(image=Image()),
        fetch_max_bytes=1000,
        rack_aware=False,
    )


def test_a_follower_that_waits_is_answered_when_its_connection_is_in_a_hurry(broker):
    call = Call(replica=2)
    assert fetch(broker, call) is LATER
    assert call.answers == []
    call.connection.hurry()
    assert [topic.topic for topic in call.answers[0].responses] == ["t"]
    assert (len(call.answers), len(broker.replicas.purgatory), call.connection.hurry) == (1, 0, None)


def test_an_answer_in_time_leaves_nobody_to_hurry(broker):
    call = Call(replica=2)
    fetch(broker, call)
    broker.replicas.purgatory.expire(10_000)
    assert (len(call.answers), call.connection.hurry) == (1, None)


def test_a_consumer_is_not_hurried(broker):
    call = Call(replica=-1)
    fetch(broker, call)
    assert (call.answers, call.connection.hurry) == ([], None)


def test_no_partition_gives_more_than_the_request_has_room_for(broker):
    """As ReplicaManager.readFromLog: the whole request's limit counts for the first partition too."""
    broker.replicas.full = True
    call = Call(replica=-1)
    call.request.max_bytes = 900
    call.request.topics[0].partitions.append(messages.FetchPartition(partition=1, partition_max_bytes=1000))
    fetch(broker, call)
    assert broker.replicas.asked == [900, 0]
    assert [len(p.records) for p in call.answers[0].responses[0].partitions] == [900, 0]
