"""Offsets that go away: with time, and with their topics.

Offsets expire by the rules of the group machine (offsets.retention.minutes), and an empty group ends with the last of
them. Offsets of a deleted topic are removed in every group before anybody may commit or read offsets of a new topic
of that name. Started and asked by shards.py, whose shards say which groups are this broker's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from kafkalike.coordinator.commits import TOPIC
from kafkalike.coordinator.group import Group
from kafkalike.coordinator.mode import KAFKA, ZOOKEEPER
from kafkalike.coordinator.offsets import Key
from kafkalike.coordinator.shard import RETRY_SECONDS, Serving, Shard
from kafkalike.errors import Error, KafkaError
from zk.client import ZooKeeperError, gather

if TYPE_CHECKING:
    from kafkalike.coordinator.shards import Groups

log = logging.getLogger("kafka.coordinator.group")

SOME_GROUPS = 50  # looked at at once for a deleted topic


class Cleanup:
    """What removes offsets from the groups that this broker coordinates."""

    def __init__(self, broker: Any, groups: Groups) -> None:
        self._broker = broker
        self._groups = groups
        self._reactor = broker.reactor
        self._metadata = broker.metadata
        self._offsets = groups.offsets
        self._commits = groups.commits
        self._retention_ms: int = broker.config["offsets.retention.minutes"] * 60_000
        self._expiry = task.LoopingCall(self._expire_offsets)
        self._expiry.clock = broker.reactor
        self._stopped = False
        # Deleted topics whose offsets are being removed, and who waits for that.
        self._purging: list[tuple[frozenset[str], list[Deferred[None]]]] = []
        self._metadata.on_change(self._metadata_changed)

    def start(self) -> None:
        """Begins the periodic removal of expired offsets."""
        interval = self._broker.config["offsets.retention.check.interval.ms"] / 1000
        self._expiry.start(interval, now=False).addErrback(self._groups.unexpected)

    def stop(self) -> None:
        """Begins nothing more."""
        self._stopped = True
        if self._expiry.running:
            self._expiry.stop()

    async def purged(self, topics: set[str] | None, patience: float) -> None:
        """Waits until what a deleted topic left behind cannot be taken for offsets of a new one."""
        for gone, waiting in list(self._purging):
            if topics is None or topics & gone:
                done: Deferred[None] = Deferred()
                waiting.append(done)
                await self._offsets.in_time(done, patience)

    async def _expire_offsets(self) -> None:
        for shard in list(self._groups.shards.values()):
            if shard.serving is Serving.ACTIVE and shard.mode is not None:
                try:
                    await self._expire_shard(shard)
                except (KafkaError, ZooKeeperError) as problem:
                    log.warning("Expired offsets of %s-%d stay for now: %s", TOPIC, shard.index, problem)

    async def _expire_shard(self, shard: Shard) -> None:
        names = set(shard.logged.all())
        if shard.mode == ZOOKEEPER:
            names = {each for each in await self._offsets.groups() if self._groups.partition_for(each) == shard.index}
        for group_id in sorted(names | set(shard.groups)):
            if not self._groups.leads(shard) or shard.mode is None:
                return
            if shard.mode == KAFKA or not await self._offsets.has_classic_consumers(group_id):
                await self._expire_group(shard, group_id)

    async def _expire_group(self, shard: Shard, group_id: str) -> None:
        if shard.mode == KAFKA:
            committed_ms = {key: value.commit_timestamp_ms for key, value in shard.logged.of(group_id).items()}
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
        if served is not None and shard.groups.get(group_id) is served and served.group.is_vacant:
            await self._groups.end(shard, served)
        elif served is None and expired and group_id not in shard.groups and shard.mode == ZOOKEEPER:
            await self._offsets.remove_group(shard.fence, group_id)

    def _metadata_changed(self, old: Any, new: Any) -> None:
        if old.topics is new.topics:
            return
        gone = [
            name
            for name, topic in old.topics.items()
            if name != TOPIC and (name not in new.topics or new.topics[name].id != topic.id)
        ]
        if gone and not self._stopped:
            # Tombstones are written before anybody can commit for a new topic of that name.
            for shard in self._groups.shards.values():
                for group_id, offsets in shard.logged.all().items():
                    keys = [key for key in offsets if key[0] in gone]
                    if keys:
                        self._groups.background(self._forget_logged(shard, group_id, keys))
            self._groups.background(self._purge(frozenset(gone)))

    async def _forget_logged(self, shard: Shard, group_id: str, keys: Sequence[Key]) -> None:
        try:
            await shard.logged.remove(group_id, keys)
        except KafkaError as problem:
            log.warning("Offsets of a deleted topic stay in %s-%d: %s", TOPIC, shard.index, problem)

    async def _purge(self, topics: frozenset[str]) -> None:
        """Removes the offsets of deleted topics in every group; commits and reads of those names wait for it."""
        waiting: list[Deferred[None]] = []
        self._purging.append((topics, waiting))
        for topic in topics:
            self._commits.hold(topic)
        try:
            while not self._stopped:
                try:
                    groups = [each for each in await self._offsets.groups() if self._is_ours(each)]
                    for start in range(0, len(groups), SOME_GROUPS):
                        some = groups[start : start + SOME_GROUPS]
                        await gather([self._forget_topic(group_id, topic) for group_id in some for topic in topics])
                    return
                except (KafkaError, ZooKeeperError) as problem:
                    log.warning("Offsets of deleted topics %s: %s; trying again", ", ".join(topics), problem)
                    await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
        finally:
            self._purging.remove((topics, waiting))
            for topic in topics:
                self._commits.release(topic)
            for answer in waiting:
                answer.callback(None)

    def _is_ours(self, group_id: str) -> bool:
        if TOPIC in self._metadata.image.topics:
            return self._groups.partition_for(group_id) in self._groups.shards
        # Nobody coordinates groups yet; classic consumers may have offsets all the same.
        return bool(self._broker.controller.active)

    async def _forget_topic(self, group_id: str, topic: str) -> None:
        shard = self._groups.shards.get(self._groups.partition_for(group_id))
        try:
            removed = await self._offsets.remove_topic(shard.fence if shard else None, group_id, topic)
        except KafkaError as problem:
            if problem.error is not Error.NOT_COORDINATOR:
                raise
            return
        if removed:
            log.info("Removed %d offsets of group %s with topic %s", removed, group_id, topic)
