"""Producers and consumers: they find the leader, retry, and tell the invariants what they were told.

A producer is idempotent with acks=all and has one batch per partition under way; a batch is repeated with its sequence
until it is acknowledged. A consumer reads on from where it is, and never goes back.
"""

from __future__ import annotations

from typing import Any

from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch, produce
from tests.simulation.disk import Batch, Key, Records
from tests.simulation.invariants import Watcher
from tests.simulation.network import Network, SimPeer
from tests.simulation.world import Machine, Reactor, World

PORT = 9092
REQUEST_TIMEOUT_MS = 2000
RETRY_S = 0.1

# What a producer takes for "try again"; anything else is a fault.
RETRIABLE = frozenset(
    (
        Error.NOT_LEADER_OR_FOLLOWER,
        Error.UNKNOWN_TOPIC_OR_PARTITION,
        Error.UNKNOWN_TOPIC_ID,
        Error.NOT_ENOUGH_REPLICAS,
        Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Error.REQUEST_TIMED_OUT,
        Error.LEADER_NOT_AVAILABLE,
        Error.KAFKA_STORAGE_ERROR,
        Error.FENCED_LEADER_EPOCH,
        Error.UNKNOWN_LEADER_EPOCH,
        Error.OFFSET_NOT_AVAILABLE,
        # How long a leader that does not know yet that it was deposed may answer so; any other leader's answer stays.
        Error.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
)


class Client(Machine):
    """A process that talks to brokers."""

    def __init__(self, world: World, network: Network, name: str, brokers: list[int]) -> None:
        super().__init__(world, name)
        network.add(self)
        self.running = True
        self.reactor = Reactor(self)
        self.brokers = brokers
        self._peers: dict[int, SimPeer] = {}
        self.leaders: dict[Key, int] = {}

    def peer(self, broker_id: int) -> SimPeer:
        """The connection to a broker."""
        peer = self._peers.get(broker_id)
        if peer is None:
            peer = self._peers[broker_id] = SimPeer(
                self.reactor, f"b{broker_id}", PORT, self.name, REQUEST_TIMEOUT_MS + 1000, 1000
            )
        return peer

    def find_leader(self, key: Key) -> None:
        """Asks any broker who leads; the answer changes `leaders`."""
        broker_id = self.brokers[self.world.random.randrange(len(self.brokers))]

        def look(broker: Any) -> int:
            state = broker.metadata.image.partition(*key)
            return -1 if state is None else state.leader

        def found(leader: int) -> None:
            if leader >= 0:
                self.leaders[key] = leader

        self.peer(broker_id).request(None, 0, look).addCallbacks(found, lambda _: None)


class Producer(Client):
    """Writes unique values, in order, to one partition."""

    def __init__(
        self, world: World, network: Network, name: str, brokers: list[int], number: int, key: Key, watcher: Watcher
    ) -> None:
        super().__init__(world, network, name, brokers)
        self.key = key
        self.producer_id = 1000 + number
        self.acknowledged = 0
        self.offset = -1
        self.wanted = True  # whether another batch is to follow
        self.idle = True
        self.pause_s = 0.05
        self.records = 2
        self.acks = -1
        self._watcher = watcher
        self._sequence = 0
        self._value = (number + 1) * 1_000_000
        self._batch: Batch | None = None

    def start(self) -> None:
        """The first batch."""
        self.reactor.callLater(self.pause_s * self.world.random.random(), self._next)

    def _next(self) -> None:
        if not self.wanted:
            self.idle = True
            return
        self.idle = False
        count = 1 + self.world.random.randrange(self.records)
        values = tuple(range(self._value, self._value + count))
        self._value += count
        self._batch = Batch(self.producer_id, 0, self._sequence, values, int(self.wall() * 1000))
        self._sequence += count
        self._send()

    def _send(self) -> None:
        assert self._batch is not None
        leader = self.leaders.get(self.key)
        if leader is None:
            self.find_leader(self.key)
            self.reactor.callLater(RETRY_S, self._send)
            return
        request = produce.Request(
            acks=self.acks,
            timeout_ms=REQUEST_TIMEOUT_MS,
            topic_data=[
                produce.TopicProduceData(
                    name=self.key[0],
                    partition_data=[produce.PartitionProduceData(index=self.key[1], records=Records([self._batch]))],
                )
            ],
        )
        answer = self.peer(leader).request(produce, produce.VERSIONS[1], request)
        answer.addCallbacks(self._answered, lambda _: self._again())

    def _answered(self, response: Any) -> None:
        assert self._batch is not None
        answer = response.responses[0].partition_responses[0]
        error = Error(answer.error_code)
        if error is Error.NONE:
            batch, self._batch = self._batch, None
            if self.acks == -1:
                self._watcher.acknowledged(self.key, answer.base_offset, batch.values)
                if answer.base_offset <= self.offset:
                    self._watcher.fail("ProducerOrder", "%s: %d after %d", self.key, answer.base_offset, self.offset)
                self.offset = answer.base_offset + len(batch.values) - 1
            self.acknowledged += len(batch.values)
            self.reactor.callLater(self.pause_s * 2 * self.world.random.random(), self._next)
        elif error in RETRIABLE:
            self._again()
        else:
            self._watcher.fail(
                "ProducerIsServed", "%s: %s to sequence %d of %d", self.key, error.name, self._batch.sequence,
                self.producer_id,
            )  # fmt: skip

    def _again(self) -> None:
        self.leaders.pop(self.key, None)
        self.find_leader(self.key)
        self.reactor.callLater(RETRY_S * (0.5 + self.world.random.random()), self._send)


class Noise(Client):
    """Writes with acks=1 to whoever it takes for the leader, and never asks what became of it."""

    def __init__(
        self, world: World, network: Network, name: str, brokers: list[int], number: int, key: Key, pause_s: float
    ) -> None:
        super().__init__(world, network, name, brokers)
        self.key = key
        self.wanted = True
        self._pause_s = pause_s
        self._value = -(number + 1) * 1_000_000

    def start(self) -> None:
        """The first batch."""
        self.reactor.callLater(self._pause_s * self.world.random.random(), self._next)

    def _next(self) -> None:
        if not self.wanted:
            return
        leader = self.leaders.get(self.key)
        if leader is None or self.world.random.random() < 0.1:
            self.find_leader(self.key)
        if leader is not None:
            self._value -= 1
            batch = Batch(-1, -1, -1, (self._value,), int(self.wall() * 1000))
            data = produce.PartitionProduceData(index=self.key[1], records=Records([batch]))
            request = produce.Request(
                acks=1,
                timeout_ms=REQUEST_TIMEOUT_MS,
                topic_data=[produce.TopicProduceData(name=self.key[0], partition_data=[data])],
            )
            self.peer(leader).request(produce, produce.VERSIONS[1], request).addCallbacks(
                self._answered, lambda _: None
            )
        self.reactor.callLater(self._pause_s * 2 * self.world.random.random(), self._next)

    def _answered(self, response: Any) -> None:
        if response.responses[0].partition_responses[0].error_code:
            self.leaders.pop(self.key, None)


class Consumer(Client):
    """Reads one partition to the high watermark, for ever."""

    def __init__(
        self, world: World, network: Network, name: str, brokers: list[int], key: Key, topic_id: bytes, watcher: Watcher
    ) -> None:
        super().__init__(world, network, name, brokers)
        self.key = key
        self.topic_id = topic_id
        self.position = 0
        self.wait_ms = 500
        self.from_follower = False
        self._watcher = watcher

    def start(self) -> None:
        """The first fetch."""
        self.reactor.callLater(0.1 * self.world.random.random(), self._fetch)

    def _fetch(self) -> None:
        leader = self.leaders.get(self.key)
        if leader is None:
            self.find_leader(self.key)
            self.reactor.callLater(RETRY_S, self._fetch)
            return
        broker_id = leader
        if self.from_follower and self.world.random.random() < 0.3:
            broker_id = self.brokers[self.world.random.randrange(len(self.brokers))]
        request = fetch.Request(
            max_wait_ms=self.wait_ms,
            min_bytes=1,
            max_bytes=10_000,
            session_epoch=-1,
            topics=[
                fetch.FetchTopic(
                    topic_id=self.topic_id,
                    partitions=[
                        fetch.FetchPartition(
                            partition=self.key[1], fetch_offset=self.position, partition_max_bytes=1000,
                            current_leader_epoch=-1, last_fetched_epoch=-1,
                        )
                    ],
                )
            ],
        )  # fmt: skip
        answer = self.peer(broker_id).request(fetch, fetch.VERSIONS[1], request)
        answer.addCallbacks(self._answered, lambda _: self._again())

    def _answered(self, response: Any) -> None:
        if response.error_code or not response.responses:
            self._again()
            return
        data = response.responses[0].partitions[0]
        error = Error(data.error_code)
        if error is not Error.NONE:
            if error is Error.OFFSET_OUT_OF_RANGE:
                self._find_start()
            self._again()
            return
        if len(data.records):
            batches = [batch for batch in data.records.batches if batch.next > self.position]
            self._watcher.consumed(self.key, batches)
            for batch in batches:
                if batch.base > self.position:
                    self._watcher.fail("PollsAreContiguous", "%s: %r at position %d", self.key, batch, self.position)
                self.position = batch.next
        self.reactor.callLater(0.001, self._fetch)

    def _find_start(self) -> None:
        """Asks where the leader's log begins, for earlier records may have been deleted."""
        leader = self.leaders.get(self.key)
        if leader is None:
            return

        def look(broker: Any) -> int:
            hosted = broker.replication.partitions.hosted.get(self.key)
            return -1 if hosted is None else int(hosted.log.log_start_offset)

        def found(start: int) -> None:
            if start > self.position:
                self.world.meet("records removed before they were read")
                self.position = start

        self.peer(leader).request(None, 0, look).addCallbacks(found, lambda _: None)

    def _again(self) -> None:
        self.leaders.pop(self.key, None)
        self.find_leader(self.key)
        self.reactor.callLater(RETRY_S * (0.5 + self.world.random.random()), self._fetch)
