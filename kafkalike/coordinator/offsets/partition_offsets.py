"""The committed offsets of the groups of one partition of __consumer_offsets, wherever the cluster keeps them.

They are znodes, written under the partition's fence; or records in the partition's own log, while the cluster has
brokers that know no other place (offsets_storage.py). When that changes, offsets are brought over, and nobody may ask
for them meanwhile. What is removed is removed from both places, so that nothing comes back with the next change.

Made for each partition by group_partition.py; asked by group_coordinator.py, offset_expiration.py and
deleted_topics.py.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from kafkalike.coordinator.background import Background
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.internal_topic import RETRY_SECONDS, InternalPartition
from kafkalike.coordinator.offsets import migration
from kafkalike.coordinator.offsets.log_offsets import COMMIT_ERRORS, LogOffsets
from kafkalike.coordinator.offsets.offset_commit import CommitDone, Committed, OffsetCommit, TopicPartition
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, ZOOKEEPER, OffsetsStorage
from kafkalike.coordinator.offsets.writes_in_flight import WritesInFlight
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from zk.client import ZooKeeperError

log = logging.getLogger("kafka.coordinator.offsets")


@dataclass(frozen=True, slots=True)
class OffsetStores:
    """What the partitions of one broker share."""

    znodes: ZnodeOffsets
    commits: ZnodeCommits
    storage: OffsetsStorage
    reactor: IReactorTime
    background: Background


class PartitionOffsets:
    """`storage` says where the offsets are; None while they are brought there, and nobody may ask for them."""

    def __init__(self, partition: InternalPartition[Any], stores: OffsetStores, owns: Callable[[str], bool]) -> None:
        """`owns(group id)`: whether the group belongs to this partition."""
        self._partition = partition
        self._stores = stores
        self._owns = owns
        self._znodes = stores.znodes
        self._commits = stores.commits
        self.fence = stores.commits.fences.add(partition.index, partition.leader_epoch)
        self.clear()
        self.storage: str | None = None
        self.deleted: set[str] = set()  # topics that were deleted since `storage` is None
        self._moving = False
        self._writes = WritesInFlight()

    def __str__(self) -> str:
        return str(self._partition)

    # Leadership.

    async def may_load(self) -> bool:
        """Whether ZooKeeper, too, says that this broker leads the partition."""
        self._znodes.sync_first()
        return await self._commits.fences.confirm(self.fence)

    def clear(self) -> None:
        """The log is about to be read from its beginning."""
        self.log = LogOffsets(partial(self._partition.append, errors=COMMIT_ERRORS))

    def leads_on(self, leader_epoch: int) -> bool:
        """This broker leads in the next epoch, too. False if it was found not to lead in the present one."""
        if self.fence.lost:
            return False
        self.fence.leader_epoch = leader_epoch
        self.fence.version = -1
        return True

    def unload(self) -> None:
        """The leadership is over."""
        self._commits.fences.drop(self.fence)

    @property
    def is_led(self) -> bool:
        """Whether this broker still serves the partition."""
        return self._partition.is_led

    # Commits and reads.

    def commit(
        self, group: str, commits: Sequence[OffsetCommit], now_ms: int, done: CommitDone, patience: float | None
    ) -> None:
        """OffsetCommit; `done` gets one error for each. `patience`: seconds to wait for ZooKeeper."""
        if self.storage == ZOOKEEPER:
            self._commits.commit(self.fence, group, commits, self._writes.counted(done), patience)
        elif self.storage == KAFKA:
            self.log.commit(group, commits, now_ms, done)
        else:
            done([Error.COORDINATOR_LOAD_IN_PROGRESS] * len(commits))

    async def fetch(
        self, group: str, keys: Sequence[TopicPartition] | None, require_stable: bool, patience: float
    ) -> list[tuple[TopicPartition, Committed]]:
        """OffsetFetch of these partitions, or of all there are."""
        self.check_storage()
        if self.storage == KAFKA:
            return self.log.fetch(group, keys, require_stable)
        wanted = await self._znodes.keys(group, patience) if keys is None else keys
        found = await self._znodes.read(group, wanted, patience)
        return [
            (key, committed)
            for key, committed in zip(wanted, found, strict=True)
            if keys is not None or committed.offset != -1
        ]

    def check_storage(self) -> None:
        """KafkaError while the offsets are brought to another place."""
        if self.storage is None:
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS)

    async def has_group(self, group: str) -> bool:
        """Whether the group has offsets, or had some."""
        return bool(self.log.of(group)) or await self._znodes.has_group(group)

    async def groups(self) -> set[str]:
        """Every group of the partition that offsets are found of."""
        found = set(self.log.all())
        if self.storage == ZOOKEEPER:
            found = {each for each in await self._znodes.groups() if self._owns(each)}
        return found

    async def committed_ms(self, group: str) -> dict[TopicPartition, int]:
        """The time at which each offset of the group was committed."""
        if self.storage == KAFKA:
            return {key: value.commit_timestamp_ms for key, value in self.log.newest(group).items()}
        return await self._znodes.committed_ms(group)

    # Removal.

    async def remove(
        self, group: str, keys: Sequence[TopicPartition], not_after_ms: Mapping[TopicPartition, int] | None = None
    ) -> int:
        """Removes offsets wherever they are, so that none comes back with a change of storage; how many there were.

        `not_after_ms` names for each the time of commit that was seen: a later commit is kept.
        """
        newest = self.log.newest(group)
        seen = {
            key: newest[key]
            for key in keys
            if key in newest and (not_after_ms is None or newest[key].commit_timestamp_ms <= not_after_ms[key])
        }
        logged = await self.log.remove(group, seen)
        with _session_may_end():
            return max(logged, await self._znodes.remove(self.fence, group, keys, not_after_ms))

    async def remove_group(self, group: str, only_empty: bool = False) -> None:
        """Removes all offsets and znodes of a group; KafkaError if there is nothing, or if it may not be: because of
        classic consumers, or, if it is to go `only_empty`, of offsets."""
        seen = self.log.newest(group)
        if seen and only_empty:
            raise KafkaError(Error.NON_EMPTY_GROUP)
        logged = await self.log.remove(group, seen)
        try:
            with _session_may_end():
                await self._znodes.remove_group(self.fence, group, only_empty)
        except KafkaError as problem:
            # Beside offsets in the log the znodes are others': they stay as long as classic consumers are there.
            may_stay = problem.error in (Error.GROUP_ID_NOT_FOUND, Error.NON_EMPTY_GROUP)
            if not logged or not may_stay:
                raise

    def forget(self, is_gone: Callable[[OffsetKey, OffsetValue], bool]) -> None:
        """Forgets offsets that are in the log, at once, and writes tombstones for them."""
        keys = self.log.forget(is_gone)
        if keys:
            self._stores.background.run(self._write_tombstones(keys))

    def forget_topics(self, topics: frozenset[str]) -> None:
        """Forgets the offsets of topics that are deleted."""
        if self.storage is None:
            self.deleted |= topics
        self.forget(lambda key, _: key.topic in topics)

    async def _write_tombstones(self, keys: Sequence[OffsetKey]) -> None:
        # The first tombstones are written before anybody can commit for a new topic of that name, later ones only where
        # nobody has.
        while self.is_led:
            try:
                await self.log.write_tombstones(keys)
                log.info("Removed %d offsets in %s with their topics", len(keys), self)
                return
            except KafkaError as problem:
                log.warning("Tombstones for %d offsets in %s: %s", len(keys), self, problem)
                await task.deferLater(self._stores.reactor, RETRY_SECONDS)

    # Where the offsets are kept.

    async def follow_storage(self) -> None:
        """Brings the offsets to where the cluster keeps them, as often as it takes."""
        if self._moving:
            return
        self._moving = True
        storage, reactor = self._stores.storage, self._stores.reactor
        await storage.known()
        while self.is_led and self.storage != storage.current:
            target = self._possible_storage()
            if self.storage == target:
                await task.deferLater(reactor, RETRY_SECONDS)
                continue
            self.storage = None
            try:
                count = await self._bring_to(target)
            except (KafkaError, ZooKeeperError) as problem:
                log.warning("Offsets of %s are not served yet: %s; trying again", self, problem)
                await task.deferLater(reactor, RETRY_SECONDS)
                continue
            finally:
                self._forget_deleted_meanwhile()
            self.storage = target
            if count:
                where = "the log" if target == KAFKA else "ZooKeeper"
                log.info("Copied %d offsets of %s to %s", count, self, where)
        self._moving = False

    async def _bring_to(self, target: str) -> int:
        await self._writes.all_answered()
        await self.log.writes.all_answered()
        self._znodes.sync_first()
        if target == KAFKA:
            names = [each for each in await self._znodes.groups() if self._owns(each)]
            return await migration.to_log(self._znodes, self.log, names)
        return await migration.to_zookeeper(self._znodes, self._commits, self.fence, self.log)

    def _forget_deleted_meanwhile(self) -> None:
        """Offsets have been brought over, or some: those of a topic that was deleted meanwhile may have come into the
        log after it was told to forget them."""
        if self.deleted:
            deleted = frozenset(self.deleted)
            self.forget(lambda key, _: key.topic in deleted)
            self.deleted.clear()

    def _possible_storage(self) -> str:
        """Where offsets can be kept now: in the log while the next leader may be a broker that knows the log only."""
        storage = self._stores.storage
        everybody = all(storage.announces_zookeeper(each) for each in self._partition.isr)
        return ZOOKEEPER if everybody and storage.current == ZOOKEEPER else KAFKA


@contextlib.contextmanager
def _session_may_end() -> Iterator[None]:
    """A session that ends in the middle of it is told as what the client may try again."""
    try:
        yield
    except ZooKeeperError as problem:
        raise KafkaError(Error.COORDINATOR_NOT_AVAILABLE, str(problem)) from problem
