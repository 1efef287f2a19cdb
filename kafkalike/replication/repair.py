"""Flushed data that have rotted: found by reading all of it now and then, repaired with what other replicas have.

Replicas hold the same bytes for the same offsets, so the batches that are missing here are fetched, as a consumer
fetches them, from the leader or from another replica, and put where they were (storage/corruption.py).
Readers are told that these offsets are damaged for as long as they are, and nothing is cut off for it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, TimeoutError

from kafkalike.cluster.znodes.topics import NO_LEADER
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import split
from kafkalike.protocol.messages import fetch
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.fetchers import FETCH_VERSION
from kafkalike.replication.file_threads import in_thread
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.storage.log import Log

log = logging.getLogger("kafka.log.LogManager")

TURN_SECONDS = 1.0
ROUND_SECONDS = 600.0  # after all was checked: then what has become due by its age
ANSWER_SECONDS = 10.0
CONSUMER = -1
NO_SESSION = -1
FETCH_BYTES = 1 << 20


class Repair:
    """Verifies one segment at a time, and has one request to another broker under way for each damaged partition."""

    def __init__(self, partitions: HostedPartitions, cluster: ClusterView, reactor: Any) -> None:
        self._partitions = partitions
        self._cluster = cluster
        self._reactor = reactor
        self._loop = task.LoopingCall(self.turn)
        self._loop.clock = reactor
        self._queue: deque[tuple[str, int]] = deque()
        self._next_round = 0.0
        self._check: Any = None
        self._asking: set[tuple[str, int]] = set()
        self._tries: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        """Begins to check all logs."""
        self._loop.start(TURN_SECONDS).addErrback(lambda failure: log.error("%s", failure.getTraceback()))

    def stop(self) -> None:
        """Ends the checks."""
        if self._loop.running:
            self._loop.stop()
        if self._check is not None:
            self._check.stop()

    def add(self, topic: str, index: int) -> None:
        """A partition is hosted here from now on: it is checked in its turn."""
        self._queue.append((topic, index))

    def check_next(self, damaged: Log) -> None:
        """A reader has met something suspicious: this log is checked next."""
        self._queue.appendleft((damaged.topic, damaged.partition))
        self._check_on()

    def turn(self) -> None:
        """Goes on checking, and asks for what is missing. Called every second."""
        now = self._reactor.seconds()
        if not self._queue and now >= self._next_round:
            self._next_round = now + ROUND_SECONDS
            self._queue.extend(self._partitions.hosted)
        self._check_on()
        for key, hosted in self._partitions.hosted.items():
            if hosted.log.corruption.known and key not in self._asking:
                self._repair(key, hosted)

    # Checking

    def _check_on(self) -> None:
        while self._check is None and self._queue and self._loop.running:
            key = self._queue[0]
            hosted = self._partitions.hosted.get(key)
            try:
                self._check = (
                    hosted.log.corruption.begin_verification(self._cluster.clock.wall_ms())
                    if hosted is not None
                    else None
                )
            except KafkaError as problem:
                log.error("%s-%d cannot be checked: %s", *key, problem)
            if self._check is None:
                self._queue.popleft()
        if self._check is not None and not self._check.begun:
            self._check.begun = True
            done = in_thread(self._reactor, self._check.run)
            done.addCallbacks(lambda _: None, lambda failure: failure.value)
            done.addCallback(self._checked)
            done.addErrback(lambda failure: log.error("The check of a segment failed: %s", failure.getTraceback()))

    def _checked(self, error: BaseException | None) -> None:
        check, self._check = self._check, None
        try:
            check.finish(error)
        except KafkaError as problem:
            log.error("%s", problem)
        self._check_on()

    # Repairing

    def _repair(self, key: tuple[str, int], hosted: HostedPartition) -> None:
        partition = hosted.partition
        others = [b for b in partition.replicas if b != self._cluster.broker_id]
        if partition.leader in others:
            others.sort(key=lambda broker_id: broker_id != partition.leader)
        if not others or partition.leader == NO_LEADER:
            return
        tries = self._tries[key] = self._tries.get(key, -1) + 1
        self._asking.add(key)

        def asked(outcome: Any) -> None:
            self._asking.discard(key)
            problem = getattr(outcome, "value", None)
            if problem is None:
                self._tries.pop(key, None)
            elif isinstance(problem, (KafkaError, OSError, TimeoutError)):
                log.warning("%s-%d is not repaired yet: %s", *key, problem)
            else:
                log.error("%s-%d is not repaired: %s", *key, outcome.getTraceback())

        Deferred.fromCoroutine(self._ask_for(hosted, others[tries % len(others)])).addBoth(asked)

    async def _ask_for(self, hosted: HostedPartition, broker_id: int) -> None:
        found = hosted.log.corruption.first()
        if found is None:
            return
        base_offset, hole = found
        records = b""
        offset = hole.first
        while offset <= hole.last:
            batches = await self._fetch(hosted, broker_id, offset)
            missing = [(header, data) for header, data in batches if header.base_offset <= hole.last]
            if batches and not missing and offset == hole.first:
                hosted.log.corruption.accept_gap(base_offset, hole)
                return
            if not missing or missing[0][0].base_offset != offset:
                raise KafkaError(Error.OFFSET_OUT_OF_RANGE, f"Broker {broker_id} does not have offset {offset}.")
            records += b"".join(data for _, data in missing)
            offset = missing[-1][0].last_offset + 1
        if self._partitions.hosted.get(hosted.key) is hosted:
            hosted.log.corruption.repair(base_offset, hole, memoryview(records))

    async def _fetch(self, hosted: HostedPartition, broker_id: int, offset: int) -> list[Any]:
        """The batches from an offset on that consumers may read."""
        asked = fetch.FetchPartition(
            partition=hosted.partition.index,
            current_leader_epoch=-1,
            fetch_offset=offset,
            last_fetched_epoch=-1,
            log_start_offset=-1,
            partition_max_bytes=FETCH_BYTES,
        )
        request = fetch.Request(
            replica_state=fetch.ReplicaState(replica_id=CONSUMER, replica_epoch=-1),
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=FETCH_BYTES,
            session_id=0,
            session_epoch=NO_SESSION,
            topics=[fetch.FetchTopic(topic_id=hosted.log.topic_id or bytes(16), partitions=[asked])],
        )
        answer = self._cluster.ask(broker_id, fetch, FETCH_VERSION, request)
        response = await answer.addTimeout(ANSWER_SECONDS, self._reactor)
        if response.error_code:
            raise KafkaError(Error(response.error_code))
        data = response.responses[0].partitions[0]
        if data.error_code:
            raise KafkaError(Error(data.error_code))
        return split(data.records, partial_tail=True) if data.records else []
