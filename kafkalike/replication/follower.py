"""What a follower does with its leader's answers: it appends, truncates what diverged, or begins anew.

`Fetchers` asks and hands the answers over; the leader's log decides, by leader epochs (KIP-101, KIP-279).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from twisted.internet.defer import Deferred

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST
from kafkalike.protocol.batch import read_header
from kafkalike.protocol.messages import fetch, list_offsets
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.fetch_plan import Following, Position, truncation
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.replication.purgatory import Purgatory
from kafkalike.replication.replication_quota import ReplicationQuota
from kafkalike.replication.topic_traffic import REPLICATION_IN

log = logging.getLogger("kafka.server.ReplicaFetcherThread")

LIST_OFFSETS_VERSION = 9  # what inter.broker.protocol.version 3.9 means


class FollowedPartitions:
    """The partitions that this broker follows."""

    def __init__(
        self, partitions: HostedPartitions, purgatory: Purgatory, quota: ReplicationQuota, cluster: ClusterView
    ) -> None:
        """`quota` is that of followers."""
        self._partitions = partitions
        self._purgatory = purgatory
        self._quota = quota
        self._cluster = cluster

    def position_of(self, following: Following) -> Position | None:
        """The offset and epoch from which a partition is fetched; None when it is not followed any more."""
        hosted = self._partitions.hosted.get((following.topic, following.index))
        if hosted is None or hosted.partition.leader_epoch != following.leader_epoch:
            return None
        source = hosted.log
        return Position(following.leader_epoch, source.log_end_offset, source.latest_epoch(), source.log_start_offset)

    def held(self, following: Following) -> bool:
        """Whether a throttle holds a partition back at this moment."""
        hosted = self._partitions.hosted[following.topic, following.index]
        throttled = hosted.follower_throttled and not following.in_sync
        return throttled and self._quota.exceeded(self._cluster.clock.wall_ms())

    def take(
        self, following: Following, position: Position, data: fetch.PartitionData, stir: Callable[[str, int], None]
    ) -> Error:
        """What the leader answered for a partition, after `position`. The error decides when it is asked again;
        `stir(topic, index)` is called when it may go on from elsewhere some time after this has returned."""
        hosted = self._partitions.hosted.get((following.topic, following.index))
        if hosted is None or self.position_of(following) != position:
            return Error.NONE  # The answer is about what was: the next one is not.
        error = Error(data.error_code)
        try:
            if error is Error.NONE:
                self._take(hosted, data)
                following.lag = max(data.high_watermark - hosted.log.log_end_offset, 0)
                following.in_sync = data.diverging_epoch.epoch < 0 and hosted.log.log_end_offset >= data.high_watermark
            elif error is Error.OFFSET_OUT_OF_RANGE:
                self._find_range(hosted, following, stir)
        except KafkaError as problem:
            if not following.failures:
                log.error("Following %s-%d: %s", *hosted.key, problem)
            return problem.error
        return error

    def _take(self, hosted: HostedPartition, data: fetch.PartitionData) -> None:
        partition, source = hosted.partition, hosted.log
        if data.diverging_epoch is not None and data.diverging_epoch.epoch >= 0:
            end = source.log_end_offset
            found = data.diverging_epoch
            mark = partition.high_watermark
            end = truncation(source.end_offset_for_epoch, end, mark, found.epoch, found.end_offset)
            if end <= data.log_start_offset:
                # What is left is not in the leader's log, and cannot be compared with it. Kafka keeps it below the
                # start, but if this broker is killed before that is checkpointed, and leads, it is read again.
                self._begin_anew(hosted, data.log_start_offset)
            else:
                self.truncate(hosted, end)
            return
        if data.records is not None and len(data.records):
            if source.log_start_offset == source.log_end_offset:
                # The leader's log may begin inside a batch, which comes whole: our empty log begins with that batch.
                first = read_header(data.records, 0).base_offset
                if first < source.log_end_offset:
                    source.truncate_fully(first)
            source.append_as_follower(data.records, self._cluster.clock.wall_ms())
            REPLICATION_IN.count += len(data.records)
            if hosted.follower_throttled:
                self._quota.record(len(data.records), self._cluster.clock.wall_ms())
            self._purgatory.wake(hosted.appended_key)
        if data.log_start_offset > source.log_start_offset:
            source.advance_log_start(min(data.log_start_offset, source.log_end_offset))
        if partition.follow(data.high_watermark, source.log_end_offset):
            self._purgatory.wake(hosted.key)

    def truncate(self, hosted: HostedPartition, offset: int) -> None:
        """Cuts off the records from `offset` on, which the leader does not have."""
        if offset < hosted.log.log_end_offset:
            log.info("Truncating %s-%d from %d to %d", *hosted.key, hosted.log.log_end_offset, offset)
            self._cluster.before_truncation(hosted.log)
        hosted.log.truncate(offset)
        hosted.partition.truncated(hosted.log.log_end_offset)

    def _find_range(self, hosted: HostedPartition, following: Following, stir: Callable[[str, int], None]) -> None:
        """Asks the leader where its log begins and ends, as the end of ours is not in there."""
        leader, end = hosted.partition.leader, hosted.log.log_end_offset

        def found(offsets: tuple[int, int]) -> None:
            earliest, latest = offsets
            if (
                self._partitions.hosted.get(hosted.key) is not hosted
                or hosted.partition.leader_epoch != following.leader_epoch
                or hosted.log.log_end_offset != end
            ):
                return
            if latest < end:
                self.truncate(hosted, latest)
            elif earliest > end:
                self._begin_anew(hosted, earliest)
            self._purgatory.wake(hosted.key)
            stir(*hosted.key)

        deferred = self._leader_range(leader, following)
        deferred.addCallbacks(found, lambda failure: log.warning("%s", failure.getErrorMessage()))
        deferred.addErrback(
            lambda failed: log.error("%s", failed.value if failed.check(KafkaError) else failed.getTraceback())
        )

    def _begin_anew(self, hosted: HostedPartition, start_offset: int) -> None:
        log.warning("%s-%d begins anew at %d: the leader has nothing before", *hosted.key, start_offset)
        self._cluster.before_truncation(hosted.log)
        hosted.log.truncate_fully(start_offset)
        hosted.partition.high_watermark = start_offset

    def _leader_range(self, leader: int, following: Following) -> Deferred[tuple[int, int]]:
        """Asks for the (earliest, latest) offset of the leader's log."""

        async def ask() -> tuple[int, int]:
            offsets = []
            for timestamp in (EARLIEST, LATEST):
                asked = list_offsets.ListOffsetsPartition(
                    partition_index=following.index,
                    current_leader_epoch=following.leader_epoch,
                    timestamp=timestamp,
                )
                request = list_offsets.Request(
                    replica_id=self._cluster.broker_id,
                    topics=[list_offsets.ListOffsetsTopic(name=following.topic, partitions=[asked])],
                )
                response = await self._cluster.ask(leader, list_offsets, LIST_OFFSETS_VERSION, request)
                answer = response.topics[0].partitions[0]
                if answer.error_code:
                    raise KafkaError(Error(answer.error_code))
                offsets.append(answer.offset)
            return offsets[0], offsets[1]

        return Deferred.fromCoroutine(ask())
