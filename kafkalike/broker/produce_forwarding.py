"""Produce requests that came to the leader of a moment ago, handed on to the leader of now.

Clients hear of a new leader when the old one refuses them, and librdkafka then waits its retry backoff, 100 ms, though
the refusal says who leads. So a deposed leader hands on what still comes, for a short while, and tells the answer
together with who leads now (KIP-951's hint, which librdkafka follows after a success too): nothing was refused, nobody
waits. It ends before a broker that stops closes its connections: other clients, which look for the hint only in a
refusal (Java's, and they do not wait then), have to be refused in time.

What keeps it right: it is Kafka's own Produce request, and the new leader checks all that a leader checks. Requests for
a partition are handed on in the order in which they came: the first alone, until the new leader has taken it, for it
may hear later than we do that it leads; if it does not in time, all are refused as ever. A batch that is in our log
already, and whose replicas we cannot wait for any more, is handed on only if it has a sequence number, by which the new
leader knows whether it has it. When the connection breaks in between nobody knows what became of a request: that is
REQUEST_TIMED_OUT, as when replicas are too slow.

The hint goes with the answer to a request that was, from its arrival to its answer, alone of its connection here.
A client that keeps several under way has some in flight to us when it hears the hint; librdkafka then waits for them,
and does not wake up when they are answered: it can be a whole second late. Such a client is refused at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.broker.peer_connections import Peers
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.clock import Clock
from kafkalike.errors import Error
from kafkalike.protocol.batch import NO_PRODUCER_ID, read_header
from kafkalike.protocol.messages import produce
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.replication.partition import Partition
from kafkalike.replication.purgatory import Purgatory

WINDOW_MS = 200  # after a leader was deposed
RETRY_SECONDS = 0.005  # to a new leader that does not know yet that it leads
LEADER_HINTS = 10  # Produce's first version whose answers say who leads
# What a broker says that has not heard yet that it leads.
UNAWARE = frozenset((Error.NOT_LEADER_OR_FOLLOWER, Error.UNKNOWN_TOPIC_OR_PARTITION))


class Call(Protocol):
    """A Produce request under way, as far as it matters here."""

    version: int
    request: produce.Request
    connection: Any

    @property
    def listener(self) -> str: ...


class ProduceForwarding:
    """The Produce requests that one broker hands on."""

    def __init__(
        self,
        partitions: HostedPartitions,
        purgatory: Purgatory,
        peers: Peers,
        current_leader: CurrentLeader,
        reactor: IReactorTime,
        clock: Clock,
    ) -> None:
        self._partitions = partitions
        self._purgatory = purgatory
        self._clock = clock
        self._peers = peers
        self.current_leader = current_leader
        self._reactor = reactor
        self._queues: dict[tuple[str, int], _Queue] = {}

    def take(self, call: Call, response: produce.Response) -> PendingResponse[produce.Response] | None:
        """The response of the new leader, if the request is handed on, so that `response`, a refusal, need not be
        given; else None."""
        if call.version < LEADER_HINTS or len(response.responses) != 1:
            return None
        topic = response.responses[0]
        if len(topic.partition_responses) != 1:
            return None
        (refusal,) = topic.partition_responses
        if refusal.error_code != Error.NOT_LEADER_OR_FOLLOWER:
            return None
        key = (topic.name, refusal.index)
        hosted = self._partitions.hosted.get(key)
        if hosted is None or hosted.partition.leading or not self._peers.knows(hosted.partition.leader):
            return None
        partition = hosted.partition
        now_ms = self._clock.wall_ms()
        if not 0 <= now_ms - partition.deposed_ms < WINDOW_MS:
            return None
        appended = refusal.base_offset >= 0
        if appended and _producer_id(call) == NO_PRODUCER_ID:
            return None
        queue = self._queues.get(key)
        if queue is None or queue.leader_epoch != partition.leader_epoch:
            queue = self._queues[key] = _Queue(self, partition, now_ms)
            if not appended:
                # What waits for replicas came before it.
                self._purgatory.wake(key)
        held = _Held(call, response, PendingResponse())
        queue.add(held)
        return held.pending

    def send(self, leader: int, call: Call) -> Deferred[produce.Response]:
        """A Deferred of the leader's answer."""
        return self._peers.forward(leader, produce, call.version, call.request)

    def later(self, seconds: float, function: Callable[[], None]) -> IDelayedCall:
        """Calls it then; what is returned can be cancelled."""
        return self._reactor.callLater(max(seconds, 0), function)

    def done(self, queue: _Queue) -> None:
        """Nothing of this partition is under way."""
        if self._queues.get(queue.key) is queue:
            del self._queues[queue.key]


class _Held(NamedTuple):
    """A request that is held here, the error that it gets when no leader takes it, and the response that it waits
    for."""

    call: Call
    refusal: produce.Response
    pending: PendingResponse[produce.Response]


class _Queue:
    """The requests for one partition, under one leader."""

    def __init__(self, forwarding: ProduceForwarding, partition: Partition, now_ms: int) -> None:
        self.key = (partition.topic, partition.index)
        self.leader_epoch: int = partition.leader_epoch
        self._forwarding = forwarding
        self._leader: int = partition.leader
        self._waiting: deque[_Held] = deque()
        self._under_way = 0
        self._unanswered: dict[object, int] = {}  # by connection
        self._crowded: set[object] = set()  # connections that had several at a time
        self._taken = False  # the new leader has taken one: it knows that it leads
        self._over = False
        self._alarm = forwarding.later((partition.deposed_ms + WINDOW_MS - now_ms) / 1000, self._end)

    def add(self, held: _Held) -> None:
        """Hands a request on, when those before it have been."""
        connection = held.call.connection
        self._unanswered[connection] = count = self._unanswered.get(connection, 0) + 1
        if count > 1:
            self._crowded.add(connection)
        self._waiting.append(held)
        self._go_on()

    def _respond(self, held: _Held, response: produce.Response, is_told: bool = True) -> None:
        """Answers; `is_told` with who leads, if that is good for the client."""
        call, connection = held.call, held.call.connection
        self._unanswered[connection] -= 1
        if is_told:
            topic = response.responses[0]
            moved = [(topic.name, self.key[1], topic.partition_responses[0])]
            self._forwarding.current_leader.fill(call.listener, produce, response, moved)
        if not self._unanswered[connection]:
            del self._unanswered[connection]
            self._crowded.discard(connection)
        held.pending.respond(response)

    def _end(self) -> None:
        """The time is over: what is not under way is refused."""
        self._over = True
        self._refuse_waiting()

    def _go_on(self) -> None:
        while self._waiting and (self._taken or not self._under_way):
            held = self._waiting.popleft()
            self._under_way += 1
            answer = self._forwarding.send(self._leader, held.call)
            answer.addCallback(self._answered, held)
            answer.addErrback(self._lost, held)
        if not self._under_way:
            if self._alarm.active():
                self._alarm.cancel()
            self._forwarding.done(self)

    def _answered(self, response: produce.Response, held: _Held) -> None:
        (answer,) = response.responses[0].partition_responses
        if answer.error_code in UNAWARE and not self._taken and not self._over:
            self._forwarding.later(RETRY_SECONDS, lambda: self._again(held))
            return
        self._under_way -= 1
        if answer.error_code in UNAWARE:
            self._respond(held, held.refusal)
            if not self._taken:
                self._refuse_waiting()
        else:
            self._taken = True
            answer.current_leader = produce.LeaderIdAndEpoch()
            topic = produce.TopicProduceResponse(name=self.key[0], partition_responses=[answer])
            self._respond(held, produce.Response(responses=[topic]), held.call.connection not in self._crowded)
        self._go_on()

    def _again(self, held: _Held) -> None:
        self._under_way -= 1
        if self._over:
            self._respond(held, held.refusal)
        else:
            self._waiting.appendleft(held)
        self._go_on()

    def _lost(self, failure: Failure, held: _Held) -> None:
        self._under_way -= 1
        held.refusal.responses[0].partition_responses[0].error_code = Error.REQUEST_TIMED_OUT
        self._respond(held, held.refusal, False)
        self._refuse_waiting()
        self._go_on()

    def _refuse_waiting(self) -> None:
        while self._waiting:
            held = self._waiting.popleft()
            self._respond(held, held.refusal)


def _producer_id(call: Call) -> int:
    return read_header(call.request.topic_data[0].partition_data[0].records).producer_id
