"""Offsets that go away: with time, and with their topics.

Offsets expire by the rules of the group machine (offsets.retention.minutes), and an empty group ends with the last of
them. Offsets of a deleted topic are removed in every group: when the controller says that it is deleted, as often as
it says so, and when this broker becomes the coordinator of the group, since its predecessor may not have lived to do
it. Until then they are not answered (znode_offsets.py). Started and asked by group_coordinator.py, whose partitions say
which groups are this broker's.

In the log of a mixed cluster an offset bears the time of its coordinator's clock, a topic that of ZooKeeper's. One of
a topic that is not there any more is gone; one that is older than its topic is so only if it is older by more than the
clocks may differ.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from kafkalike.cluster import topic_names
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.topics import TOPICS, TopicNode
from kafkalike.coordinator.group import Group
from kafkalike.coordinator.group_partition import RETRY_SECONDS, GroupPartition, Serving
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, ZOOKEEPER
from kafkalike.coordinator.offsets.znode_commits import AMBIGUOUS
from kafkalike.coordinator.offsets.znode_offsets import Birth
from kafkalike.errors import Error, KafkaError
from zk.client import ZooKeeperError, gather

if TYPE_CHECKING:
    from kafkalike.coordinator.group_coordinator import GroupCoordinator

log = logging.getLogger("kafka.coordinator.group")

SOME_GROUPS = 50  # looked at at once
CLOCKS_MS = 60_000  # the most by which the clocks of brokers and ZooKeeper are taken to differ


class Cleanup:
    """What removes offsets from the groups that this broker coordinates."""

    def __init__(self, broker: Any, groups: GroupCoordinator) -> None:
        self._broker = broker
        self._groups = groups
        self._zk = broker.zk
        self._reactor = broker.reactor
        self._metadata = broker.metadata
        self._offsets = groups.offsets
        self._commits = groups.commits
        self._retention_ms: int = broker.config["offsets.retention.minutes"] * 60_000
        self._expiry = task.LoopingCall(self._expire_offsets)
        self._expiry.clock = broker.reactor
        self._stopped = False
        # What is still to be done: topics that were deleted, and shards in whose groups offsets that are older than
        # their topics are looked for.
        self._deleted: frozenset[str] = frozenset()
        self._loaded: frozenset[GroupPartition] = frozenset()
        self._purging = False
        self._metadata.on_topics(self._topics_changed)

    def start(self) -> None:
        """Begins the periodic removal of expired offsets."""
        interval = self._broker.config["offsets.retention.check.interval.ms"] / 1000
        self._expiry.start(interval, now=False).addErrback(self._groups.unexpected)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True
        if self._expiry.running:
            self._expiry.stop()

    # With time.

    async def _expire_offsets(self) -> None:
        for shard in list(self._groups.shards.values()):
            if shard.serving is Serving.ACTIVE and shard.mode is not None:
                try:
                    await self._expire_shard(shard)
                except (KafkaError, ZooKeeperError) as problem:
                    log.warning("Expired offsets of %s-%d stay for now: %s", GROUP_METADATA, shard.index, problem)

    async def _expire_shard(self, shard: GroupPartition) -> None:
        names = set(shard.logged.all())
        if shard.mode == ZOOKEEPER:
            names = {each for each in await self._offsets.groups() if self._groups.partition_for(each) == shard.index}
        for group_id in sorted(names | set(shard.groups)):
            if not self._groups.leads(shard) or shard.mode is None:
                return
            if shard.mode == KAFKA or not await self._offsets.has_classic_consumers(group_id):
                await self._expire_group(shard, group_id)

    async def _expire_group(self, shard: GroupPartition, group_id: str) -> None:
        if shard.mode == KAFKA:
            committed_ms = {key: value.commit_timestamp_ms for key, value in shard.logged.newest(group_id).items()}
        else:
            committed_ms = await self._offsets.committed_ms(group_id)
        served = shard.groups.get(group_id)
        group = served.group if served is not None else Group(group_id, self._groups.limits, 0)
        expired = group.expired_offsets(committed_ms, self._groups.now_ms(), self._retention_ms)
        if expired:
            count = await self._groups.remove(shard, group_id, expired, committed_ms)
            log.info("Removed %d expired offsets of group %s", count, group_id)
        if len(expired) < len(committed_ms):
            return
        # Somebody may have committed meanwhile: the group goes only without offsets.
        if served is not None and shard.groups.get(group_id) is served and served.group.is_vacant:
            await self._groups.end(shard, served, only_empty=True)
        elif served is None and expired and group_id not in shard.groups and shard.mode == ZOOKEEPER:
            try:
                await self._offsets.remove_group(shard.fence, group_id, only_empty=True)
            except KafkaError as problem:
                if problem.error not in (Error.NON_EMPTY_GROUP, Error.GROUP_ID_NOT_FOUND):
                    raise

    # With their topics.

    def _topics_changed(self, deleted: frozenset[str], made: frozenset[str]) -> None:
        # A server that lags may still show an earlier topic of a new one's name, with its offsets; or a deleted topic
        # without the order to delete it, whose offsets would stay.
        self._offsets.doubt()
        names = deleted - {GROUP_METADATA}
        if not names or self._stopped:
            return
        self._commits.abandon(names)
        for shard in self._groups.shards.values():
            if shard.mode is None:
                shard.deleted |= names
            self._forget_logged(shard, shard.logged.forget(lambda key, _: key.topic in names))
        self._deleted |= names
        self._begin()

    async def loading(self, shard: GroupPartition) -> None:
        """The shard's log has been read: offsets in it that are older than their topics are forgotten."""
        topics = sorted(shard.logged.topics())
        births: dict[str, Birth] = {}
        while topics and self._groups.leads(shard):
            self._zk.sync(TOPICS).addErrback(lambda _: None)
            try:
                births = dict(zip(topics, await gather([self._birth(topic) for topic in topics]), strict=True))
                break
            except AMBIGUOUS as problem:
                log.warning("Topics of the offsets in %s-%d: %s; trying again", GROUP_METADATA, shard.index, problem)
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)

        def is_gone(key: OffsetKey, value: OffsetValue) -> bool:
            born = births[key.topic]
            return born is None or key.topic in shard.deleted or value.commit_timestamp_ms + CLOCKS_MS < int(born.ctime)

        if births:
            self._forget_logged(shard, shard.logged.forget(is_gone))
        shard.deleted.clear()

    def copied(self, shard: GroupPartition) -> None:
        """The shard's offsets have been brought to where the cluster keeps them, or some of them: those of a topic that
        was deleted meanwhile may have come into the log after it was told, and are forgotten."""
        if shard.deleted:
            self._forget_logged(shard, shard.logged.forget(lambda key, _: key.topic in shard.deleted))
            shard.deleted.clear()

    def loaded(self, shard: GroupPartition) -> None:
        """The shard is served: offsets in ZooKeeper that are older than their topics are removed."""
        self._loaded |= {shard}
        self._begin()

    def _forget_logged(self, shard: GroupPartition, keys: Sequence[OffsetKey]) -> None:
        if keys:
            self._groups.background(self._bury(shard, keys))

    async def _bury(self, shard: GroupPartition, keys: Sequence[OffsetKey]) -> None:
        # The first tombstones are written before anybody can commit for a new topic of that name, later ones only where
        # nobody has.
        while self._groups.leads(shard):
            try:
                await shard.logged.bury(keys)
                log.info("Removed %d offsets in %s-%d with their topics", len(keys), GROUP_METADATA, shard.index)
                return
            except KafkaError as problem:
                log.warning("Tombstones for %d offsets in %s-%d: %s", len(keys), GROUP_METADATA, shard.index, problem)
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)

    def _begin(self) -> None:
        if not self._purging:
            self._purging = True
            self._groups.background(self._purge())

    async def _purge(self) -> None:
        """Removes what is left of earlier topics in ZooKeeper, until nothing is to be done."""
        try:
            while (self._deleted or self._loaded) and not self._stopped:
                deleted, self._deleted = self._deleted, frozenset()
                loaded, self._loaded = self._loaded, frozenset()
                try:
                    await self._purge_groups(deleted, {shard.index for shard in loaded if self._groups.leads(shard)})
                except (KafkaError, ZooKeeperError) as problem:
                    self._deleted |= deleted
                    self._loaded |= loaded
                    log.warning("Offsets of topics that are gone: %s; trying again", problem)
                    await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
        finally:
            self._purging = False

    async def _purge_groups(self, deleted: frozenset[str], loaded: set[int]) -> None:
        groups = [each for each in await self._offsets.groups() if self._is_ours(each)]
        births: dict[str, Birth] = {}
        for start in range(0, len(groups), SOME_GROUPS):
            some = groups[start : start + SOME_GROUPS]
            await gather([self._purge_group(group_id, deleted, loaded, births) for group_id in some])

    async def _purge_group(
        self, group_id: str, deleted: frozenset[str], loaded: set[int], births: dict[str, Birth]
    ) -> None:
        """Removes what the group has of these topics, and, if its shard is new here, of any earlier topic. `births` has
        what was found out on the way: a topic may come and go meanwhile, so it only says where to look more closely."""
        is_new = self._groups.partition_for(group_id) in loaded
        if not deleted and not is_new:
            return
        for topic in await self._offsets.topics(group_id, all_traces=bool(deleted)):
            gone = topic in deleted
            if not gone and is_new:
                if topic not in births:
                    births[topic] = await self._birth(topic)
                gone = await self._offsets.may_be_older(group_id, topic, births[topic])
            if gone:
                await self._remove_older(group_id, topic)

    async def _birth(self, topic: str) -> Birth:
        """The topic, unless it is about to be deleted: ordered, and not shown to this broker any more."""
        if topic_names.illegal(topic):
            return None
        paths = (TopicNode.path(topic), DeleteTopicNode.path(topic))
        there, order = await gather([self._zk.exists(path) for path in paths])
        born: Birth = None if order is not None and topic not in self._metadata.image.topics else there
        return born

    def _is_ours(self, group_id: str) -> bool:
        if GROUP_METADATA in self._metadata.image.topics:
            return self._groups.partition_for(group_id) in self._groups.shards
        # Nobody coordinates groups yet; classic consumers may have offsets all the same.
        return bool(self._broker.controller.active)

    async def _remove_older(self, group_id: str, topic: str) -> None:
        shard = self._groups.shards.get(self._groups.partition_for(group_id))
        try:
            removed = await self._offsets.remove_older(
                shard.fence if shard else None, group_id, topic, lambda: self._birth(topic)
            )
        except KafkaError as problem:
            if problem.error is not Error.NOT_COORDINATOR:
                raise
            return
        if removed:
            log.info("Removed %d offsets of group %s with topic %s", removed, group_id, topic)
