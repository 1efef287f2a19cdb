"""Offsets go away with time, by the rules of the group machine: offsets.retention.minutes.

An empty group ends with the last of its offsets. Made and started by group_coordinator.py.
"""

from __future__ import annotations

import logging

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from kafkalike.clock import Clock
from kafkalike.coordinator.background import Background
from kafkalike.coordinator.group import Group, Limits
from kafkalike.coordinator.group_partition import GroupPartition
from kafkalike.coordinator.internal_topic import InternalTopic
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, ZOOKEEPER
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from zk.client import ZooKeeperError

log = logging.getLogger("kafka.coordinator.group")


class OffsetExpiration:
    """What looks for expired offsets in the groups that this broker coordinates, again and again."""

    def __init__(
        self,
        topic: InternalTopic[GroupPartition],
        znodes: ZnodeOffsets,
        limits: Limits,
        retention_ms: int,
        reactor: IReactorTime,
        clock: Clock,
        background: Background,
    ) -> None:
        self._topic = topic
        self._znodes = znodes
        self._limits = limits
        self._retention_ms = retention_ms
        self._clock = clock
        self._background = background
        self._loop = task.LoopingCall(self._expire_offsets)
        self._loop.clock = reactor

    def start(self, interval_ms: int) -> None:
        """Begins the periodic removal of expired offsets."""
        self._loop.start(interval_ms / 1000, now=False).addErrback(self._background.failed)

    def stop(self) -> None:
        """Begins nothing more."""
        if self._loop.running:
            self._loop.stop()

    async def _expire_offsets(self) -> None:
        for partition in self._topic.active():
            if partition.offsets.storage is not None:
                try:
                    await self._expire_in(partition)
                except (KafkaError, ZooKeeperError) as problem:
                    log.warning("Expired offsets of %s stay for now: %s", partition, problem)

    async def _expire_in(self, partition: GroupPartition) -> None:
        offsets = partition.offsets
        for group_id in sorted(await offsets.groups() | set(partition.groups)):
            if not offsets.is_led or offsets.storage is None:
                return
            if offsets.storage == KAFKA or not await self._znodes.has_classic_consumers(group_id):
                await self._expire_group(partition, group_id)

    async def _expire_group(self, partition: GroupPartition, group_id: str) -> None:
        offsets = partition.offsets
        committed_ms = await offsets.committed_ms(group_id)
        served = partition.groups.get(group_id)
        group = served.group if served is not None else Group(group_id, self._limits, 0)
        expired = group.expired_offsets(committed_ms, self._clock.wall_ms(), self._retention_ms)
        if expired:
            count = await offsets.remove(group_id, expired, committed_ms)
            log.info("Removed %d expired offsets of group %s", count, group_id)
        if len(expired) < len(committed_ms):
            return
        # The group may have committed in between: it is removed only when it has no offsets.
        if served is not None and partition.groups.get(group_id) is served and served.group.is_vacant:
            await partition.delete(served, only_empty=True)
        elif served is None and expired and group_id not in partition.groups and offsets.storage == ZOOKEEPER:
            try:
                await self._znodes.remove_group(offsets.fence, group_id, only_empty=True)
            except KafkaError as problem:
                if problem.error not in (Error.NON_EMPTY_GROUP, Error.GROUP_ID_NOT_FOUND):
                    raise
