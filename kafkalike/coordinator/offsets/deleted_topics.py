"""Offsets go away with their topics.

Offsets of a deleted topic are removed in every group: when the controller says that it is deleted, as often as it says
so, and when this broker becomes the coordinator of the group, since its predecessor may not have lived to do it. Until
then they are not answered (znode_offsets.py).

In the log of a mixed cluster an offset bears the time of its coordinator's clock, a topic that of ZooKeeper's. One of
a topic that is not there any more is gone; one that is older than its topic is so only if it is older by more than the
clocks may differ. Made by group_coordinator.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from kafkalike.cluster import topic_names
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.coordinator.background import Background
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.internal_topic import RETRY_SECONDS
from kafkalike.coordinator.offsets.fence import AMBIGUOUS
from kafkalike.coordinator.offsets.partition_offsets import PartitionOffsets
from kafkalike.coordinator.offsets.writes_in_flight import slices
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import TopicStat, ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from zk.client import ZkClient, ZooKeeperError, gather

log = logging.getLogger("kafka.coordinator.group")

SOME_GROUPS = 50  # looked at at once
CLOCKS_MS = 60_000  # the most by which the clocks of brokers and ZooKeeper are taken to differ


class CoordinatedOffsets(Protocol):
    """The offsets of the groups that this broker coordinates."""

    def all(self) -> Iterable[PartitionOffsets]:
        """The offsets of every partition that this broker leads, served already or not."""

    def of(self, group_id: str) -> PartitionOffsets | None:
        """The offsets of the partition that the group belongs to, if this broker leads it."""


class DeletedTopics:
    """What removes offsets from the groups that this broker coordinates once their topics are deleted."""

    def __init__(
        self,
        coordinated: CoordinatedOffsets,
        znodes: ZnodeOffsets,
        commits: ZnodeCommits,
        metadata: MetadataCache,
        is_controller: Callable[[], bool],
        zk: ZkClient,
        reactor: IReactorTime,
        background: Background,
    ) -> None:
        self._coordinated = coordinated
        self._znodes = znodes
        self._commits = commits
        self._metadata = metadata
        self._is_controller = is_controller
        self._zk = zk
        self._reactor = reactor
        self._background = background
        self._stopped = False
        # What is still to be done: topics that were deleted, and partitions in whose groups offsets that are older than
        # their topics are looked for.
        self._deleted: frozenset[str] = frozenset()
        self._loaded: frozenset[PartitionOffsets] = frozenset()
        self._purging = False
        metadata.on_topics(self._topics_changed)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True

    def _topics_changed(self, deleted: frozenset[str], made: frozenset[str]) -> None:
        # A server that lags may still show an earlier topic of a new one's name, with its offsets; or a deleted topic
        # without the order to delete it, whose offsets would stay.
        self._znodes.sync_first()
        names = deleted - {GROUP_METADATA}
        if not names or self._stopped:
            return
        self._commits.abandon(names)
        for offsets in self._coordinated.all():
            offsets.forget_topics(names)
        self._deleted |= names
        self._begin()

    async def forget_older(self, offsets: PartitionOffsets) -> None:
        """The partition's log has been read: offsets in it that are older than their topics are forgotten."""
        topics = sorted(offsets.log.topics())
        topic_stats: dict[str, TopicStat] = {}
        while topics and offsets.is_led:
            self._zk.sync(TopicNode.directory()).addErrback(lambda _: None)
            try:
                topic_stats = dict(
                    zip(topics, await gather([self._topic_stat(topic) for topic in topics]), strict=True)
                )
                break
            except AMBIGUOUS as problem:
                log.warning("Topics of the offsets in %s: %s; trying again", offsets, problem)
                await task.deferLater(self._reactor, RETRY_SECONDS)

        def is_gone(key: OffsetKey, value: OffsetValue) -> bool:
            topic_stat = topic_stats[key.topic]
            return (
                topic_stat is None
                or key.topic in offsets.deleted
                or value.commit_timestamp_ms + CLOCKS_MS < int(topic_stat.ctime)
            )

        if topic_stats:
            offsets.forget(is_gone)
        offsets.deleted.clear()

    def remove_older(self, offsets: PartitionOffsets) -> None:
        """The partition is served: offsets in ZooKeeper that are older than their topics are removed."""
        self._loaded |= {offsets}
        self._begin()

    def _begin(self) -> None:
        if not self._purging:
            self._purging = True
            self._background.run(self._purge())

    async def _purge(self) -> None:
        """Removes what is left of earlier topics in ZooKeeper, until nothing is to be done."""
        try:
            while (self._deleted or self._loaded) and not self._stopped:
                deleted, self._deleted = self._deleted, frozenset()
                loaded, self._loaded = self._loaded, frozenset()
                try:
                    await self._purge_groups(deleted, frozenset(each for each in loaded if each.is_led))
                except (KafkaError, ZooKeeperError) as problem:
                    self._deleted |= deleted
                    self._loaded |= loaded
                    log.warning("Offsets of topics that are gone: %s; trying again", problem)
                    await task.deferLater(self._reactor, RETRY_SECONDS)
        finally:
            self._purging = False

    async def _purge_groups(self, deleted: frozenset[str], loaded: frozenset[PartitionOffsets]) -> None:
        groups = [each for each in await self._znodes.groups() if self._is_ours(each)]
        topic_stats: dict[str, TopicStat] = {}
        for some in slices(groups, SOME_GROUPS):
            await gather([self._purge_group(group_id, deleted, loaded, topic_stats) for group_id in some])

    async def _purge_group(
        self,
        group_id: str,
        deleted: frozenset[str],
        loaded: frozenset[PartitionOffsets],
        topic_stats: dict[str, TopicStat],
    ) -> None:
        """Removes what the group has of these topics, and, if its partition is new here, of any earlier topic.
        `topic_stats` has what was found out on the way: a topic may come and go meanwhile, so it only says where to
        look closely."""
        is_new = self._coordinated.of(group_id) in loaded
        if not deleted and not is_new:
            return
        for topic in await self._znodes.topics(group_id, all_traces=bool(deleted)):
            gone = topic in deleted
            if not gone and is_new:
                if topic not in topic_stats:
                    topic_stats[topic] = await self._topic_stat(topic)
                gone = await self._znodes.may_be_older(group_id, topic, topic_stats[topic])
            if gone:
                await self._remove_older(group_id, topic)

    async def _topic_stat(self, topic: str) -> TopicStat:
        """The topic, unless it is about to be deleted: ordered, and not shown to this broker any more."""
        if topic_names.illegal(topic):
            return None
        paths = (TopicNode.path(topic), DeleteTopicNode.path(topic))
        there, order = await gather([self._zk.exists(path) for path in paths])
        topic_stat: TopicStat = None if order is not None and topic not in self._metadata.image.topics else there
        return topic_stat

    def _is_ours(self, group_id: str) -> bool:
        if GROUP_METADATA in self._metadata.image.topics:
            return self._coordinated.of(group_id) is not None
        # No broker coordinates groups yet; classic consumers may have offsets all the same.
        return self._is_controller()

    async def _remove_older(self, group_id: str, topic: str) -> None:
        offsets = self._coordinated.of(group_id)
        try:
            removed = await self._znodes.remove_older(
                offsets.fence if offsets is not None else None, group_id, topic, lambda: self._topic_stat(topic)
            )
        except KafkaError as problem:
            if problem.error is not Error.NOT_COORDINATOR:
                raise
            return
        if removed:
            log.info("Removed %d offsets of group %s with topic %s", removed, group_id, topic)
