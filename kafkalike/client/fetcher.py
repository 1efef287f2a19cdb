"""What a consumer fetches, beside the application's calls: one Fetch at a time to each leader of its partitions, sent
again whenever a partition has no unread messages left.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from kafkalike.client.assigned_partitions import AssignedPartitions, ConsumerRecord
from kafkalike.client.cluster import Node, Partition
from kafkalike.client.effects import Disconnect, Fork, Signal, Sleep, Steps, Wait
from kafkalike.client.errors import Disconnected, TimedOut, error_about
from kafkalike.client.fetched_records import read_records
from kafkalike.client.routing import Routing
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import READ_COMMITTED
from kafkalike.protocol.messages import fetch

PURPOSE = "fetch"  # the connections of Fetch requests, which wait for messages


class Fetcher:
    """Fetches for the partitions of one consumer."""

    def __init__(
        self,
        routing: Routing,
        partitions: AssignedPartitions,
        *,
        isolation_level: int,
        max_poll_records: int,
        max_wait_ms: int,
        min_bytes: int,
        max_bytes: int,
        max_partition_bytes: int,
    ) -> None:
        self._routing = routing
        self._partitions = partitions
        self._isolation_level = isolation_level
        self._max_poll_records = max_poll_records
        self.max_wait_ms = max_wait_ms
        self._min_bytes = min_bytes
        self._max_bytes = max_bytes
        self._max_partition_bytes = max_partition_bytes
        self.fetches: Counter[int] = Counter()
        """Fetch requests sent so far, by the broker that they were sent to."""
        self.arrived = Signal()
        """There is something to `take`, or an offset is out of range."""
        self.wanted = Signal()
        """There may be something to fetch."""
        self.out_of_range: set[Partition] = set()
        """Partitions that have to be given another offset."""
        self._assignments = 0
        self._busy: dict[int, Node] = {}
        self._fetching: set[Partition] = set()
        self._undecoded: deque[tuple[Partition, int, Any, Any]] = deque()
        self._abandoned: list[Node] = []
        self._failure: Exception | None = None
        self._crash: tuple[Exception, TracebackType | None] | None = None
        self._closing = False

    def start_anew(self) -> None:
        """The consumer has other partitions. Answers to come are void: these may be somebody else's now."""
        self._assignments += 1
        self._abandoned += self._busy.values()
        self._busy = {}
        self._fetching = set()
        self._undecoded.clear()
        self.out_of_range.clear()
        self.wanted.give()

    def stop(self) -> None:
        """Nothing is fetched any more."""
        self._closing = True
        self.wanted.give()

    def take(self) -> list[ConsumerRecord]:
        """The next messages, out of bytes that are decoded when it is their turn. Raises what went wrong meanwhile and
        does not pass."""
        taken = self._partitions.take(self._max_poll_records)
        while not taken and self._undecoded:
            partition, version, records, aborted = self._undecoded.popleft()
            self._fetching.discard(partition)
            if self._partitions.current(partition, version):
                found, behind = read_records(partition, records, aborted)
                self._partitions.fetched(partition, found, behind)
            taken = self._partitions.take(self._max_poll_records)
        self.wanted.give()
        if not taken and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return taken

    def run(self) -> Steps[None]:
        """Sends a Fetch to every leader that has none to answer, whenever something is wanted of it."""
        while not self._closing:
            while self._abandoned:
                yield Disconnect(self._abandoned.pop(), PURPOSE)
            wanted = {p: at for p, at in self._partitions.wanted().items() if p not in self._fetching}
            for partition in self.out_of_range:
                wanted.pop(partition, None)
            before = self._assignments
            try:
                routes = yield from self._routing.by_leader(wanted)
            except Disconnected:
                try:
                    yield from self._routing.wait_out()
                except TimedOut as problem:
                    self.fail(problem)
                continue
            except KafkaError as problem:
                topics = {topic for topic, _ in wanted}
                if not problem.error.retriable:
                    self.fail(problem)
                self._routing.tell_topic_error(", ".join(sorted(topics)), problem.error)
                self._routing.forget_topics(topics)
                yield Sleep(self._routing.retry_backoff_ms)
                continue
            for node, partitions in routes.items():
                if node.id not in self._busy and before == self._assignments:
                    self._busy[node.id] = node
                    self._fetching.update(partitions)
                    self.fetches[node.id] += 1
                    asked = {partition: wanted[partition] for partition in partitions}
                    yield Fork(self._fetch(node, asked), self.crashed)
            yield Wait((self.wanted,))

    def _fetch(self, node: Node, asked: Mapping[Partition, tuple[int, int]]) -> Steps[None]:
        """One Fetch and its answer."""
        before = self._assignments
        try:
            response = yield from self._routing.ask(node, fetch, self._fetch_request(asked), purpose=PURPOSE)
        except (Disconnected, KafkaError) as problem:
            if before != self._assignments:
                return
            if isinstance(problem, KafkaError):
                self.fail(problem)
            self._routing.forget_topics({topic for topic, _ in asked})
            yield Sleep(self._routing.retry_backoff_ms)
            response = None
        if before != self._assignments:
            return
        del self._busy[node.id]
        arrived: set[Partition] = set()
        errors = []
        for topic in response.responses if response is not None else ():
            for data in topic.partitions:
                partition = (topic.topic, data.partition_index)
                if partition not in asked or not self._partitions.current(partition, asked[partition][1]):
                    continue
                if data.error_code:
                    errors.append((partition, Error(data.error_code)))
                elif data.records:
                    aborted = data.aborted_transactions if self._isolation_level == READ_COMMITTED else None
                    self._undecoded.append((partition, asked[partition][1], data.records, aborted))
                    arrived.add(partition)
        if arrived:
            self.arrived.give()
        passing = [partition for partition, error in errors if self._passes(partition, error)]
        if passing:
            self._routing.forget_topics({topic for topic, _ in passing})
            yield Sleep(self._routing.retry_backoff_ms)
        if before == self._assignments:
            self._fetching -= set(asked) - arrived
        self.wanted.give()

    def _passes(self, partition: Partition, error: Error) -> bool:
        """Whether an error of Fetch passes by itself; else the next poll deals with it."""
        if error is Error.OFFSET_OUT_OF_RANGE:
            self.out_of_range.add(partition)
            self.arrived.give()
            return False
        if not error.retriable:
            self.fail(error_about(f"{partition[0]}-{partition[1]}", error))
        return True

    def fail(self, problem: Exception) -> None:
        """The next poll raises it."""
        self._failure = problem
        self.arrived.give()

    def crashed(self, problem: Exception) -> None:
        """Steps that ran beside the application's calls have died of something unforeseen: nothing takes their place,
        so every poll from now on raises it."""
        self._crash = problem, problem.__traceback__
        self.arrived.give()

    def raise_crash(self) -> None:
        """Raises what such steps have died of."""
        if self._crash is not None:
            problem, traceback = self._crash
            raise problem.with_traceback(traceback)  # else it would grow with every poll

    def _fetch_request(self, wanted: Mapping[Partition, tuple[int, int]]) -> Any:
        topics: dict[str, list[Any]] = {}
        for (topic, partition), (offset, _) in wanted.items():
            topics.setdefault(topic, []).append(
                fetch.FetchPartition(
                    partition=partition, fetch_offset=offset, partition_max_bytes=self._max_partition_bytes
                )
            )
        return fetch.Request(
            replica_id=-1,
            max_wait_ms=self.max_wait_ms,
            min_bytes=self._min_bytes,
            max_bytes=self._max_bytes,
            isolation_level=self._isolation_level,
            topics=[fetch.FetchTopic(topic=name, partitions=parts) for name, parts in topics.items()],
        )
