"""The group coordinator: what members, consumers and tools ask of the groups that this broker coordinates.

The broker coordinates the groups that belong to those partitions of __consumer_offsets that it leads. internal_topic.py
says which these are, and whether they are served; group_partition.py keeps their groups; offsets/ their offsets. Called
by broker/apis/.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from kafkalike.clock import Clock
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator import group_gauges
from kafkalike.coordinator.background import Background
from kafkalike.coordinator.group import Limits, State
from kafkalike.coordinator.group_effects import Joined, Joining, Left, Synced
from kafkalike.coordinator.group_partition import (
    Environment,
    GroupDescription,
    GroupListing,
    GroupPartition,
    ServedGroup,
    describe,
)
from kafkalike.coordinator.internal_topic import InternalPartition, InternalTopic, Status
from kafkalike.coordinator.offset_expiration import OffsetExpiration
from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout
from kafkalike.coordinator.offsets.deleted_topics import DeletedTopics
from kafkalike.coordinator.offsets.offset_commit import CommitDone, Committed, OffsetCommit, TopicPartition
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, OffsetsStorage
from kafkalike.coordinator.offsets.partition_offsets import OffsetStores, PartitionOffsets
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from kafkalike.replication.partition import Partition
from kafkalike.replication.replication import Replication
from zk.client import ZkClient

log = logging.getLogger("kafka.coordinator.group")


class GroupCoordinator:
    """Every group that this broker coordinates."""

    def __init__(
        self,
        broker_id: int,
        config: Mapping[str, Any],
        replication: Replication,
        metadata: MetadataCache,
        is_controller: Callable[[], bool],
        zk: ZkClient,
        reactor: IReactorTime,
        clock: Clock,
    ) -> None:
        """The controller may give partitions to this broker from now on, before start() is called."""
        timeout_ms: int = config["offsets.commit.timeout.ms"]
        limits = Limits(
            config["group.min.session.timeout.ms"],
            config["group.max.session.timeout.ms"],
            config["group.max.size"],
            config["group.initial.rebalance.delay.ms"],
        )
        self._limits = limits
        self._clock = clock
        self._expiration_interval_ms: int = config["offsets.retention.check.interval.ms"]
        self._background = Background("group coordinator", log)
        self.timeout = CommitTimeout(zk, timeout_ms, reactor)
        self.commits = ZnodeCommits(zk, broker_id, self.timeout, reactor)
        self.znodes = ZnodeOffsets(zk, self.commits, self.timeout, reactor)
        self.storage = OffsetsStorage(zk, broker_id, self._storage_changed)
        self._stores = OffsetStores(self.znodes, self.commits, self.storage, reactor, self._background)
        self.topic = InternalTopic(
            GROUP_METADATA,
            config["offsets.topic.num.partitions"],
            timeout_ms,
            self._contents,
            replication,
            metadata,
            zk,
            reactor,
            clock,
            self._background,
        )
        self._deleted_topics = DeletedTopics(
            _CoordinatedOffsets(self.topic),
            self.znodes,
            self.commits,
            metadata,
            is_controller,
            zk,
            reactor,
            self._background,
        )
        retention_ms: int = config["offsets.retention.minutes"] * 60_000
        self._expiration = OffsetExpiration(
            self.topic, self.znodes, limits, retention_ms, reactor, clock, self._background
        )
        self._environment = Environment(limits, self.znodes, self._deleted_topics, reactor, clock, self._background)
        self.commits.start()
        self.storage.start()
        group_gauges.watch(self.topic)

    def start(self) -> None:
        """Begins the periodic removal of expired offsets."""
        self._expiration.start(self._expiration_interval_ms)

    def stop(self) -> None:
        """Ends every partition; whoever waits is sent to look for another coordinator."""
        self._background.stopped = True
        self.storage.stop()
        self._deleted_topics.stop()
        self._expiration.stop()
        self.topic.stop()
        self.commits.stop()
        self.znodes.stop()
        self.timeout.stop()

    def _contents(self, partition: InternalPartition[GroupPartition]) -> GroupPartition:
        offsets = PartitionOffsets(
            partition, self._stores, lambda group_id: self.topic.partition_for(group_id) == partition.index
        )
        return GroupPartition(partition, offsets, self._environment)

    def _storage_changed(self) -> None:
        for partition in self.topic.active():
            self._background.run(partition.offsets.follow_storage())

    def may_not_join_isr(self, partition: Partition, broker_id: int) -> bool:
        """Whether a broker is kept out of the in-sync replicas of a partition: who leads next must find the offsets."""
        if partition.topic != GROUP_METADATA or self.storage.announces_zookeeper(broker_id):
            return False
        led = self.topic.partitions.get(partition.index)
        return led is None or led.contents.offsets.storage != KAFKA

    # Members.

    def join(self, group_id: str, joining: Joining, done: Callable[[Joined], None]) -> None:
        """JoinGroup."""
        try:
            partition = self._partition(group_id)
        except KafkaError as problem:
            done(Joined(done, problem.error, joining.member_id))
            return
        served = partition.groups.get(group_id)
        if not self._limits.accepts_session(joining.session_timeout_ms):
            done(Joined(done, Error.INVALID_SESSION_TIMEOUT, joining.member_id))
        elif served is None and joining.member_id:
            done(Joined(done, Error.UNKNOWN_MEMBER_ID, joining.member_id))
        else:
            if served is None:
                served = partition.new_group(group_id)
            partition.perform(served, served.group.join(done, joining, self._clock.wall_ms()))
            partition.drop_if_blank(served)

    def sync(
        self,
        group_id: str,
        generation: int,
        member_id: str,
        instance_id: str | None,
        protocol_type: str | None,
        protocol: str | None,
        assignments: dict[str, bytes],
        done: Callable[[Synced], None],
    ) -> None:
        """SyncGroup."""
        try:
            partition = self._partition(group_id)
        except KafkaError as problem:
            # While a partition is loaded the rebalance that this call belongs to is lost. Old clients do not expect
            # LOAD_IN_PROGRESS here; all of them join again on this one.
            loading = problem.error is Error.COORDINATOR_LOAD_IN_PROGRESS
            done(Synced(done, Error.REBALANCE_IN_PROGRESS if loading else problem.error))
            return
        served = partition.groups.get(group_id)
        if served is None:
            done(Synced(done, Error.UNKNOWN_MEMBER_ID))
            return
        now_ms = self._clock.wall_ms()
        effects = served.group.sync(
            done, generation, member_id, instance_id, protocol_type, protocol, assignments, now_ms
        )
        partition.perform(served, effects)

    def heartbeat(self, group_id: str, generation: int, member_id: str, instance_id: str | None) -> Error:
        """Heartbeat."""
        try:
            partition = self._partition(group_id)
        except KafkaError as problem:
            return Error.NONE if problem.error is Error.COORDINATOR_LOAD_IN_PROGRESS else problem.error
        served = partition.groups.get(group_id)
        if served is None:
            return Error.UNKNOWN_MEMBER_ID
        error = served.group.heartbeat(generation, member_id, instance_id, self._clock.wall_ms())
        if served.group.deadline_ms != served.due_ms:
            partition.set_timer(served)
        return error

    def leave(
        self, group_id: str, leaving: Sequence[tuple[str, str | None, str | None]], done: Callable[[Left], None]
    ) -> None:
        """LeaveGroup."""
        try:
            partition = self._partition(group_id)
        except KafkaError as problem:
            done(Left(done, problem.error))
            return
        served = partition.groups.get(group_id)
        if served is None:
            answers = tuple((member, instance, Error.UNKNOWN_MEMBER_ID) for member, instance, _ in leaving)
            done(Left(done, Error.NONE, answers))
            return
        partition.perform(served, served.group.leave(done, leaving, self._clock.wall_ms()))

    # Offsets.

    def commit(
        self,
        group_id: str,
        generation: int,
        member_id: str,
        instance_id: str | None,
        commits: Sequence[OffsetCommit],
        done: CommitDone,
    ) -> None:
        """OffsetCommit; `done` gets one error for each."""
        found = self.topic.partitions.get(self.topic.partition_for(group_id))
        error = Error.NOT_COORDINATOR if found is None else found.status.value
        if found is None or error is not Error.NONE:
            done([error] * len(commits))
            return
        partition = found.contents
        served = partition.groups.get(group_id)
        patience = None
        now_ms = self._clock.wall_ms()
        if served is not None:
            error = served.group.commit(generation, member_id, instance_id, now_ms)
            if served.group.deadline_ms != served.due_ms:
                partition.set_timer(served)
            member = served.group.members.get(member_id)
            if member is not None:
                patience = self.timeout.of_member(member.session_timeout_ms)
        elif generation >= 0:
            error = Error.ILLEGAL_GENERATION
        if error is not Error.NONE:
            done([error] * len(commits))
        else:
            partition.offsets.commit(group_id, commits, now_ms, done, patience)

    def commit_unbound(self, group_id: str, commits: Sequence[OffsetCommit], done: CommitDone) -> None:
        """OffsetCommit v0: any broker writes it, for any group."""
        self.commits.commit(None, group_id, commits, done)

    async def fetch(
        self, group_id: str, keys: Sequence[TopicPartition] | None, require_stable: bool = False
    ) -> list[tuple[TopicPartition, Committed]]:
        """OffsetFetch of these partitions, or of all there are; KafkaError for the whole group."""
        partition = self.topic.serving(group_id)
        patience = self._patience(partition.groups.get(group_id))
        found = await partition.offsets.fetch(group_id, keys, require_stable, patience)
        self.topic.serving(group_id)
        return found

    async def fetch_unbound(self, group_id: str, keys: Sequence[TopicPartition]) -> list[Committed]:
        """OffsetFetch v0: any broker reads it, for any group, from ZooKeeper."""
        return await self.znodes.read(group_id, keys)

    def _patience(self, served: ServedGroup | None) -> float:
        """How many seconds any member of the group may be kept waiting: a read does not say whose it is."""
        sessions = [member.session_timeout_ms for member in served.group.members.values()] if served else []
        return self.timeout.of_member(min(sessions)) if sessions else self.timeout.seconds

    async def delete_offsets(self, group_id: str, keys: Sequence[TopicPartition]) -> dict[TopicPartition, Error]:
        """OffsetDelete; KafkaError for the whole group."""
        partition = self._partition(group_id)
        partition.offsets.check_storage()
        served = partition.groups.get(group_id)
        errors: dict[TopicPartition, Error] = {}
        if served is None:
            if not await partition.offsets.has_group(group_id):
                raise KafkaError(Error.GROUP_ID_NOT_FOUND)
        elif not served.group.is_empty:
            if not served.group.is_consumer_group:
                raise KafkaError(Error.NON_EMPTY_GROUP)
            errors = {key: Error.GROUP_SUBSCRIBED_TO_TOPIC for key in keys if served.group.subscribes(key[0])}
        free = [key for key in keys if key not in errors]
        if free:
            await partition.offsets.remove(group_id, free)
        return errors | dict.fromkeys(free, Error.NONE)

    # What tools ask.

    async def describe(self, group_ids: Sequence[str]) -> list[GroupDescription]:
        """DescribeGroups."""
        described: dict[str, GroupDescription] = {}
        unknown = []
        for group_id in group_ids:
            found = self.topic.find(group_id)
            error = Error.NOT_COORDINATOR if found is None else found.status.value
            if found is None or error is not Error.NONE:
                described[group_id] = GroupDescription(group_id, error)
            elif group_id in found.contents.groups:
                described[group_id] = describe(found.contents.groups[group_id].group)
            elif found.contents.offsets.storage == KAFKA:
                state = State.EMPTY if found.contents.offsets.log.of(group_id) else State.DEAD
                described[group_id] = GroupDescription(group_id, Error.NONE, state.value)
            else:
                unknown.append(group_id)
        try:
            known = await self.znodes.has_offsets(unknown)
        except KafkaError as problem:
            described |= {group_id: GroupDescription(group_id, problem.error) for group_id in unknown}
        else:
            for group_id, has_offsets in zip(unknown, known, strict=True):
                state = State.EMPTY if has_offsets else State.DEAD
                described[group_id] = GroupDescription(group_id, Error.NONE, state.value)
        return [described[group_id] for group_id in group_ids]

    async def list_groups(self) -> tuple[Error, list[GroupListing]]:
        """ListGroups: groups with members or a history, and those that exist as znodes only."""
        found = {}
        partitions = [each.contents for each in self.topic.partitions.values()]
        for partition in partitions:
            for group_id, served in partition.groups.items():
                group = served.group
                found[group_id] = GroupListing(group_id, group.protocol_type or "", group.state.value)
            for group_id in partition.offsets.log.all():
                found.setdefault(group_id, GroupListing(group_id, "", State.EMPTY.value))
        if any(partition.offsets.storage != KAFKA for partition in partitions):
            others = [each for each in await self.znodes.groups() if each not in found and self._may_be_znodes(each)]
            known = await self.znodes.has_offsets(others)
            found |= {
                group_id: GroupListing(group_id, "", State.EMPTY.value)
                for group_id, has_offsets in zip(others, known, strict=True)
                if has_offsets
            }
        return Error.COORDINATOR_LOAD_IN_PROGRESS if self.topic.is_loading else Error.NONE, list(found.values())

    def _may_be_znodes(self, group_id: str) -> bool:
        """Whether a group that is served here may have its offsets in znodes."""
        partition = self.topic.find(group_id)
        return (
            partition is not None and partition.status is Status.ACTIVE and partition.contents.offsets.storage != KAFKA
        )

    async def delete(self, group_id: str) -> Error:
        """DeleteGroups, one of them: its record, its offsets and all of its znodes."""
        try:
            partition = self.topic.serving(group_id)
            partition.offsets.check_storage()
            served = partition.groups.get(group_id)
            if served is None:
                await partition.offsets.remove_group(group_id)
                return Error.NONE
            return await partition.delete(served)
        except KafkaError as problem:
            return problem.error

    def _partition(self, group_id: str) -> GroupPartition:
        """The partition that serves the group; KafkaError if none does here, or if this is no group id."""
        if not group_id:
            raise KafkaError(Error.INVALID_GROUP_ID)
        return self.topic.serving(group_id)


class _CoordinatedOffsets:
    """The offsets of the groups of those partitions that this broker leads."""

    def __init__(self, topic: InternalTopic[GroupPartition]) -> None:
        self._topic = topic

    def all(self) -> Iterable[PartitionOffsets]:
        """Of each of them."""
        return [each.contents.offsets for each in self._topic.partitions.values()]

    def of(self, group_id: str) -> PartitionOffsets | None:
        """Of the one that the group belongs to."""
        partition = self._topic.find(group_id)
        return None if partition is None else partition.contents.offsets
