"""What comes to a leader that was deposed a moment ago is handed on, in order, once."""

from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kafkalike.broker import produce_forwarding
from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.cluster.metadata import Broker, Image, PartitionState, Topic
from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.protocol.messages import produce
from kafkalike.replication.purgatory import Purgatory

NOT_LEADER, TIMED_OUT = Error.NOT_LEADER_OR_FOLLOWER, Error.REQUEST_TIMED_OUT
DEPOSED_MS = 1_000_000


class Call:
    """A request of a client, and its answer."""

    def __init__(self, connection="c", version=10, producer_id=7):
        records = batch.build([(None, b"v", 0, ())], producer_id=producer_id, producer_epoch=0, base_sequence=0)
        data = produce.PartitionProduceData(index=0, records=records)
        self.request = produce.Request(acks=-1, topic_data=[produce.TopicProduceData(name="t", partition_data=[data])])
        self.version = version
        self.connection = connection
        self.listener = "PLAINTEXT"
        self.answers = []

    @property
    def heard(self):
        """(error, offset, leader told) of each answer."""
        return [
            (p.error_code, p.base_offset, p.current_leader.leader_id)
            for answer in self.answers
            for p in answer.responses[0].partition_responses
        ]


class Cluster:
    """Broker 1, which led until now, and broker 2, which leads."""

    def __init__(self, clock):
        state = PartitionState(2, 5, (2,), (1, 2))
        brokers = {b: Broker(b, None, {"PLAINTEXT": (f"h{b}", 9090 + b, "PLAINTEXT")}) for b in (1, 2)}
        image = Image(brokers=brokers, topics={"t": Topic("t", bytes(16), {0: state})})
        self.partition = SimpleNamespace(
            topic="t", index=0, leader=2, leader_epoch=5, leading=False, deposed_ms=DEPOSED_MS
        )
        self.partitions = SimpleNamespace(hosted={("t", 0): SimpleNamespace(partition=self.partition)})
        self.purgatory = Purgatory()
        self.peers = SimpleNamespace(knows=lambda broker_id: broker_id == 2, forward=self.send)
        self.sent = []
        self.forwarding = produce_forwarding.ProduceForwarding(
            self.partitions,
            self.purgatory,
            self.peers,
            CurrentLeader(1, SimpleNamespace(image=image), self.partitions),
            clock,
            SimpleNamespace(wall_ms=lambda: DEPOSED_MS + int(clock.seconds() * 1000)),
        )

    def send(self, leader, message, version, request):
        answer = Deferred()
        self.sent.append((request, answer))
        return answer

    def take(self, call, offset=-1, error=NOT_LEADER):
        answer = produce.PartitionProduceResponse(index=0, error_code=error, base_offset=offset)
        topic = produce.TopicProduceResponse(name="t", partition_responses=[answer])
        pending = self.forwarding.take(call, produce.Response(responses=[topic]))
        if pending is not None:
            pending.then(call.answers.append)
        return pending

    def reply(self, number, error=0, offset=-1):
        answer = produce.PartitionProduceResponse(index=0, error_code=error, base_offset=offset)
        topic = produce.TopicProduceResponse(name="t", partition_responses=[answer])
        self.sent[number][1].callback(produce.Response(responses=[topic]))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster(clock):
    return Cluster(clock)


def test_a_request_is_handed_on_and_its_answer_says_who_leads(cluster, clock):
    call = Call()
    assert cluster.take(call)
    assert cluster.sent[0][0] is call.request
    cluster.reply(0, offset=42)
    assert call.heard == [(0, 42, 2)]
    assert [(n.node_id, n.port) for n in call.answers[0].node_endpoints] == [(2, 9092)]
    assert clock.getDelayedCalls() == []


def test_the_first_goes_alone_until_the_new_leader_has_taken_it(cluster, clock):
    calls = [Call() for _ in range(3)]
    assert all(cluster.take(call) for call in calls)
    assert len(cluster.sent) == 1
    cluster.reply(0, error=NOT_LEADER)
    assert len(cluster.sent) == 1
    clock.advance(produce_forwarding.RETRY_SECONDS)
    assert cluster.sent[1][0] is calls[0].request
    cluster.reply(1, offset=1)
    assert [request for request, _ in cluster.sent[2:]] == [calls[1].request, calls[2].request]


def test_who_keeps_several_under_way_is_told_of_the_leader_only_by_a_refusal(cluster, clock):
    calls = [Call(), Call(), Call(connection="other")]
    for call in calls:
        cluster.take(call)
    for number, offset in enumerate((1, 2, 3)):
        cluster.reply(number, offset=offset)
    assert [call.heard for call in calls] == [[(0, 1, -1)], [(0, 2, -1)], [(0, 3, 2)]]
    later = Call()
    cluster.take(later)
    cluster.reply(3, offset=4)
    assert later.heard == [(0, 4, 2)]


def test_a_leader_that_never_hears_of_it_costs_no_more_than_the_window(cluster, clock):
    calls = [Call() for _ in range(2)]
    for call in calls:
        cluster.take(call)
    while clock.seconds() * 1000 < produce_forwarding.WINDOW_MS:
        cluster.reply(len(cluster.sent) - 1, error=NOT_LEADER)
        clock.advance(produce_forwarding.RETRY_SECONDS)
    assert [call.heard for call in calls] == [[(NOT_LEADER, -1, 2)]] * 2
    assert not cluster.take(Call())
    assert clock.getDelayedCalls() == []


def test_what_waits_behind_a_silent_leader_is_refused_when_the_time_is_over(cluster, clock):
    first, second = Call(), Call()
    cluster.take(first)
    cluster.take(second)
    clock.advance(produce_forwarding.WINDOW_MS / 1000)
    assert (first.heard, second.heard) == ([], [(NOT_LEADER, -1, 2)])


def test_a_connection_that_breaks_leaves_it_open_what_became_of_the_request(cluster, clock):
    first, second = Call(), Call()
    cluster.take(first)
    cluster.take(second)
    cluster.sent[0][1].errback(ConnectionError("gone"))
    assert (first.heard, second.heard) == ([(TIMED_OUT, -1, -1)], [(NOT_LEADER, -1, 2)])


def test_errors_of_the_new_leader_are_the_answer(cluster, clock):
    call = Call()
    cluster.take(call)
    cluster.reply(0, error=Error.NOT_ENOUGH_REPLICAS)
    assert call.heard == [(Error.NOT_ENOUGH_REPLICAS, -1, 2)]


def test_what_is_in_our_log_is_handed_on_only_with_a_sequence_number(cluster, clock):
    assert not cluster.take(Call(producer_id=-1), offset=3)
    assert cluster.take(Call(producer_id=-1))
    assert cluster.take(Call(), offset=3)


def test_what_waited_for_replicas_goes_before_what_comes_now(cluster, clock):
    earlier, now = Call(), Call()

    class Waiter:
        def try_finish(self):
            return cluster.take(earlier, offset=3)

    cluster.purgatory.watch(Waiter(), [("t", 0)], 10**9)
    assert cluster.take(now)
    cluster.reply(0, offset=3)
    assert [request for request, _ in cluster.sent] == [earlier.request, now.request]


def test_nothing_else_is_handed_on(cluster, clock):
    assert not cluster.take(Call(version=9))
    assert not cluster.take(Call(), error=Error.NOT_ENOUGH_REPLICAS)
    cluster.partition.leader = 3  # whose address is not known
    assert not cluster.take(Call())
    cluster.partition.leader, cluster.partition.deposed_ms = 2, 0
    assert not cluster.take(Call())
    del cluster.partitions.hosted["t", 0]
    assert not cluster.take(Call())
