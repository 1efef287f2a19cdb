"""Fetches that wait: consumers for their time, followers until they say something else."""

from types import SimpleNamespace

import pytest

from kafkalike.broker.apis.fetch import fetch
from kafkalike.broker.fetch_sessions import FetchSessions
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.clock import Clock
from kafkalike.cluster.metadata import Image
from kafkalike.protocol.messages import fetch as messages
from kafkalike.replication.purgatory import Purgatory
from kafkalike.replication.replicas import Read

VERSION = 12  # the last one that names topics


class Replicas:
    """One empty partition, or partitions of records enough for every request."""

    def __init__(self):
        self.purgatory = Waiting()
        self.full = False
        self.asked = []

    def read(self, topic, index, asked, max_bytes, *_):
        self.asked.append(max_bytes)
        records = b"x" * max(max_bytes, 0) if self.full else b""
        return Read(0, 0, 0, SimpleNamespace(size=len(records), read=lambda: records) if records else None)

    read_as_follower = read

    def sent(self, topic, index, size):
        self.left = (topic, index, size)


class Waiting(Purgatory):
    """The requests that wait, at the time 0."""

    def wait(self, waiter, keys, timeout_ms):
        self.watch(waiter, keys, timeout_ms)


class Call:
    def __init__(self, replica):
        partition = messages.FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)
        topic = messages.FetchTopic(topic="t", partitions=[partition])
        self.request = messages.Request(replica_id=replica, max_wait_ms=500, min_bytes=1, topics=[topic])
        self.version = VERSION
        self.connection = SimpleNamespace(hurry=None)
        self.answers = []


def ask(broker, call):
    """What the handler returns; the response, now or later, is in `call.answers`."""
    result = fetch(broker, call)
    if isinstance(result, PendingResponse):
        result.then(call.answers.append)
    else:
        call.answers.append(result)
    return result


class Broker:
    """A broker, as far as Fetch looks at it."""

    def __init__(self):
        self.clock = Clock()
        self.follower_epochs = {}
        self.fetch_sessions = FetchSessions(10, 1)
        self.replicas = Replicas()
        self.metadata = SimpleNamespace(image=Image())
        self.fetch_max_bytes = 1000
        self.rack_aware = False

    @property
    def purgatory(self):
        return self.replicas.purgatory


@pytest.fixture
def broker():
    return Broker()


def test_a_follower_that_waits_is_answered_when_its_connection_is_in_a_hurry(broker):
    call = Call(replica=2)
    assert isinstance(ask(broker, call), PendingResponse)
    assert call.answers == []
    call.connection.hurry()
    assert [topic.topic for topic in call.answers[0].responses] == ["t"]
    assert (len(call.answers), len(broker.replicas.purgatory), call.connection.hurry) == (1, 0, None)


def test_an_answer_in_time_leaves_nobody_to_hurry(broker):
    call = Call(replica=2)
    ask(broker, call)
    broker.replicas.purgatory.expire(10_000)
    assert (len(call.answers), call.connection.hurry) == (1, None)


def test_a_consumer_is_not_hurried(broker):
    call = Call(replica=-1)
    ask(broker, call)
    assert (call.answers, call.connection.hurry) == ([], None)


def test_no_partition_gives_more_than_the_request_has_room_for(broker):
    """The whole request's limit counts for the first partition too, as in ReplicaManager.readFromLog."""
    broker.replicas.full = True
    call = Call(replica=-1)
    call.request.max_bytes = 900
    call.request.topics[0].partitions.append(messages.FetchPartition(partition=1, partition_max_bytes=1000))
    ask(broker, call)
    assert broker.replicas.asked == [900, 0]
    assert [len(p.records) for p in call.answers[0].responses[0].partitions] == [900, 0]


class Found(SimpleNamespace):
    """Records."""

    def __init__(self, size):
        super().__init__(size=size, read=lambda: b"x" * size)


class Counting(Replicas):
    """Partitions with nothing to read, unless `records` has something for them; counts who is read."""

    def __init__(self):
        super().__init__()
        self.records = {}
        self.read_ones = []

    def read(self, topic, index, asked, *_):
        self.read_ones.append(index)
        records = self.records.get(index)
        return Read(0, 0, 0, records, caught_up=records is None)

    read_as_follower = read


def several(call, session_id=0, epoch=0):
    call.request.topics[0].partitions = [
        messages.FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=1000) for index in range(3)
    ]
    call.request.session_id, call.request.session_epoch = session_id, epoch
    if epoch:
        call.request.topics = []
    return call


@pytest.mark.parametrize(("replica", "key"), [(2, ("t", 1, "appended")), (-1, ("t", 1))])
def test_of_a_session_only_partitions_with_news_are_read(broker, replica, key):
    broker.replicas = replicas = Counting()
    first = several(Call(replica))
    ask(broker, first)
    assert replicas.read_ones == [0, 1, 2]
    first.request.max_wait_ms = 0
    replicas.purgatory.expire(10_000)
    session = first.answers[0].session_id

    replicas.read_ones.clear()
    second = several(Call(replica), session, 1)
    ask(broker, second)
    assert (replicas.read_ones, second.answers) == ([], [])
    replicas.purgatory.wake(("t", 2))
    replicas.records[1] = Found(10)
    replicas.purgatory.wake(key)
    assert set(replicas.read_ones) <= {1, 2}
    assert [(p.partition_index, len(p.records)) for p in second.answers[0].responses[0].partitions if p.records] == [
        (1, 10)
    ]
    assert len(replicas.purgatory) == 0


def test_another_life_of_a_follower_is_told_everything(broker):
    broker.replicas = replicas = Counting()
    first = several(Call(2))
    ask(broker, first)
    replicas.purgatory.expire(10_000)
    replicas.read_ones.clear()
    ask(broker, several(Call(3), first.answers[0].session_id, 1))
    assert replicas.read_ones == [0, 1, 2]


def test_what_was_found_while_a_request_waits_for_more_is_read_again(broker):
    """A range of a file is not held while time passes: the file may have been cut."""
    broker.replicas = replicas = Counting()
    call = several(Call(-1))
    call.request.min_bytes = 15
    replicas.records[0] = Found(10)
    ask(broker, call)
    replicas.read_ones.clear()
    replicas.records[2] = Found(5)
    replicas.purgatory.wake(("t", 2))
    assert replicas.read_ones == [0, 2]
    assert [len(p.records) for p in call.answers[0].responses[0].partitions if p.records] == [10, 5]
