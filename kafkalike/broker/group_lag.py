"""How far groups are behind: kafka_exporter's kafka_consumergroup_*, for the groups that this broker coordinates.

Nobody but ZooKeeper knows every committed offset, and nobody but a partition's leader how far it goes, so both are
asked, when somebody is about to read the metrics; but not more often than each INTERVAL_S, and for at most PATIENCE_S
the reader is kept waiting. Who comes meanwhile is told what was known before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IReactorTime

from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.errors import Error, KafkaError
from kafkalike.metrics import Gauge
from kafkalike.protocol import LATEST
from kafkalike.protocol.messages import list_offsets
from kafkalike.replication.hosted_partitions import HostedPartitions
from zk.client import gather

log = logging.getLogger("kafka.server.GroupLag")

CURRENT_OFFSET = Gauge("kafka_consumergroup_current_offset", "consumergroup", "topic", "partition")
LAG = Gauge("kafka_consumergroup_lag", "consumergroup", "topic", "partition")
CURRENT_OFFSET_SUM = Gauge("kafka_consumergroup_current_offset_sum", "consumergroup", "topic")
LAG_SUM = Gauge("kafka_consumergroup_lag_sum", "consumergroup", "topic")

INTERVAL_S = 5
PATIENCE_S = 1

TopicPartition = tuple[str, int]
Labels = tuple[str, ...]
Ask = Callable[[int, Any, int, Any], Deferred[Any]]  # broker id, message module, version, request


class GroupLag:
    """The lag of groups as it was found last."""

    def __init__(
        self,
        broker_id: int,
        coordinator: GroupCoordinator,
        metadata: MetadataCache,
        partitions: HostedPartitions,
        ask: Ask,
        reactor: IReactorTime,
    ) -> None:
        self._broker_id = broker_id
        self._coordinator = coordinator
        self._metadata = metadata
        self._partitions = partitions
        self._ask = ask
        self._reactor = reactor
        self._looking = False
        self._looked = -float("inf")
        self._waiting: list[Deferred[None]] = []
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.lags: dict[tuple[str, str, int], int] = {}
        CURRENT_OFFSET.watch(self, lambda lag: _each(lag.offsets))
        LAG.watch(self, lambda lag: _each(lag.lags))
        CURRENT_OFFSET_SUM.watch(self, lambda lag: _sums(lag.offsets))
        LAG_SUM.watch(self, lambda lag: _sums(lag.lags))

    def refresh(self) -> Deferred[None]:
        """Looks anew, unless it has lately; fires when that is done, or PATIENCE_S later."""
        if not self._looking and self._reactor.seconds() - self._looked >= INTERVAL_S:
            self._looking = True
            looking: Deferred[None] = ensureDeferred(self._look())
            looking.addErrback(lambda failure: log.warning("The lag of groups is not known: %s", failure.value))
            looking.addBoth(self._done)
        if not self._looking:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter.addTimeout(PATIENCE_S, self._reactor).addErrback(lambda _: None)

    def _done(self, _: object) -> None:
        self._looking = False
        self._looked = self._reactor.seconds()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def _look(self) -> None:
        _, groups = await self._coordinator.list_groups()
        offsets: dict[tuple[str, str, int], int] = {}
        for group in groups:
            try:
                found = await self._coordinator.fetch(group.group_id, None)
            except KafkaError:
                continue  # the group has another coordinator by now, or its offsets cannot be read at the moment
            for (topic, index), committed in found:
                if committed.error is Error.NONE and committed.offset >= 0:
                    offsets[group.group_id, topic, index] = committed.offset
        ends = await self._ends({(topic, index) for _, topic, index in offsets})
        self.offsets = offsets
        self.lags = {
            (group_id, topic, index): max(ends[topic, index] - offset, 0)
            for (group_id, topic, index), offset in offsets.items()
            if (topic, index) in ends
        }

    async def _ends(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        """How far these partitions go, of which there is a leader that answers."""
        ends: dict[TopicPartition, int] = {}
        elsewhere: dict[int, list[TopicPartition]] = {}
        for topic, index in sorted(partitions):
            hosted = self._partitions.hosted.get((topic, index))
            state = self._metadata.image.partition(topic, index)
            if hosted is not None and hosted.partition.leading:
                ends[topic, index] = hosted.partition.high_watermark
            elif state is not None and state.leader >= 0 and state.leader != self._broker_id:
                elsewhere.setdefault(state.leader, []).append((topic, index))
        for answer in await gather([self._ends_at(leader, wanted) for leader, wanted in elsewhere.items()]):
            ends |= answer
        return ends

    async def _ends_at(self, leader: int, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        topics: dict[str, Any] = {}
        for topic, index in partitions:
            asked = topics.setdefault(topic, list_offsets.ListOffsetsTopic(name=topic, partitions=[]))
            asked.partitions.append(list_offsets.ListOffsetsPartition(partition_index=index, timestamp=LATEST))
        request = list_offsets.Request(replica_id=-1, topics=list(topics.values()))
        try:
            response = await self._ask(leader, list_offsets, list_offsets.VERSIONS[1], request)
        except ConnectionError:
            return {}
        return {
            (topic.name, each.partition_index): each.offset
            for topic in response.topics
            for each in topic.partitions
            if not each.error_code
        }


def _each(numbers: dict[tuple[str, str, int], int]) -> list[tuple[Labels, int]]:
    return [((group_id, topic, str(index)), number) for (group_id, topic, index), number in numbers.items()]


def _sums(numbers: dict[tuple[str, str, int], int]) -> list[tuple[Labels, int]]:
    sums: dict[Labels, int] = {}
    for (group_id, topic, _), number in numbers.items():
        sums[group_id, topic] = sums.get((group_id, topic), 0) + number
    return list(sums.items())
