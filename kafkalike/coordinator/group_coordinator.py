"""The group coordinator's shell: one shard for each partition of __consumer_offsets that this broker leads.

A shard reads its partition's log when the broker becomes its leader, owns the groups that hash to it, performs what
the group machine asks for (answers, records with acks=all, one timer per group), and sends commits and reads of
offsets to ZooKeeper under its fence; or to its own log, while the cluster has brokers that know no other place
(offsets_storage.py). Losing the leadership ends all of it at once. What goes away by itself is in
offset_cleanup.py.

Groups that have offsets but no members have no record of their own in the log, and are shown as Empty. Called by
broker/apis/.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.coordinator import group_records
from kafkalike.coordinator.group import Group, Limits, State
from kafkalike.coordinator.group_effects import Effect, Joined, Joining, Left, Persist, Synced
from kafkalike.coordinator.group_partition import (
    LONGEST_RETRY_SECONDS,
    RETRY_SECONDS,
    Described,
    GroupPartition,
    Listed,
    ServedGroup,
    Serving,
    describe,
    partition_of,
    read_log,
)
from kafkalike.coordinator.offset_cleanup import Cleanup
from kafkalike.coordinator.offsets import migration
from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, ZOOKEEPER, OffsetsStorage
from kafkalike.coordinator.offsets.znode_commits import AMBIGUOUS, Done, ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import Committed, Key, ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage.log import COORDINATOR
from zk.client import ZooKeeperError
from zk.recipes import get_or_none

log = logging.getLogger("kafka.coordinator.group")

# What a failed append of a group's record means to the member that waits for it.
_APPEND_ERRORS = {
    Error.UNKNOWN_TOPIC_OR_PARTITION: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_ENOUGH_REPLICAS: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_LEADER_OR_FOLLOWER: Error.NOT_COORDINATOR,
    Error.KAFKA_STORAGE_ERROR: Error.NOT_COORDINATOR,
    Error.REQUEST_TIMED_OUT: Error.REBALANCE_IN_PROGRESS,
    Error.MESSAGE_TOO_LARGE: Error.UNKNOWN_SERVER_ERROR,
    Error.RECORD_LIST_TOO_LARGE: Error.UNKNOWN_SERVER_ERROR,
}


class GroupCoordinator:
    """Every group that this broker coordinates."""

    def __init__(self, broker: Any) -> None:
        config = broker.config
        self._broker = broker
        self._reactor = broker.reactor
        self._replicas = broker.replicas
        self._metadata = broker.metadata
        self._timeout_ms: int = config["offsets.commit.timeout.ms"]
        self.limits = Limits(
            config["group.min.session.timeout.ms"],
            config["group.max.session.timeout.ms"],
            config["group.max.size"],
            config["group.initial.rebalance.delay.ms"],
        )
        self.shards: dict[int, GroupPartition] = {}
        self._partitions = 0  # of __consumer_offsets, as ZooKeeper had it
        self.silence = CommitTimeout(broker.zk, self._timeout_ms, broker.reactor)
        self.commits = ZnodeCommits(broker.zk, broker.broker_id, self.silence, broker.reactor)
        self.offsets = ZnodeOffsets(broker.zk, self.commits, self.silence, broker.reactor)
        self.mode = OffsetsStorage(broker.zk, self._mode_changed)
        self._cleanup = Cleanup(broker, self)
        self._stopped = False
        # The controller may give us partitions before start() is called.
        self._replicas.on_leadership(GROUP_METADATA, self._leadership)
        self._replicas.may_join = self._may_join
        self.commits.start()
        self.mode.start()

    def start(self) -> None:
        """Begins the periodic removal of expired offsets."""
        self._cleanup.start()

    def stop(self) -> None:
        """Ends every shard; whoever waits is sent to look for another coordinator."""
        self._stopped = True
        self.mode.stop()
        self._cleanup.stop()
        for shard in list(self.shards.values()):
            self._unload(shard)
        self.commits.stop()
        self.offsets.stop()
        self.silence.stop()

    # Where a group belongs.

    def partition_for(self, group_id: str) -> int:
        """The partition of __consumer_offsets whose leader coordinates the group."""
        topic = self._metadata.image.topics.get(GROUP_METADATA)
        if topic is None:
            return partition_of(group_id, self._broker.config["offsets.topic.num.partitions"])
        return partition_of(group_id, max(len(topic.partitions), self._partitions))

    async def _count_partitions(self, shard: GroupPartition) -> None:
        """Partitions that have never had a leader are in no metadata: if there may be such, ZooKeeper is asked, as
        often as it takes: with a wrong number groups are looked for where they do not belong."""
        topic = self._metadata.image.topics.get(GROUP_METADATA)
        if topic is not None and len(topic.partitions) >= self._broker.config["offsets.topic.num.partitions"]:
            return
        while self.leads(shard):
            try:
                found = await get_or_none(self._broker.zk, TopicNode.path(GROUP_METADATA))
                if found is not None:
                    self._partitions = len(TopicNode.decode(GROUP_METADATA, found[0]).partitions)
                return
            except AMBIGUOUS as problem:
                log.warning(
                    "The number of partitions of %s is not known yet: %s", GROUP_METADATA, type(problem).__name__
                )
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
            except (ZooKeeperError, Garbage) as problem:
                log.warning("The number of partitions of %s is not known: %s", GROUP_METADATA, problem)
                return

    def leads(self, shard: GroupPartition) -> bool:
        """Whether this is still what is served of that partition."""
        return self.shards.get(shard.index) is shard

    def status(self, group_id: str) -> Error:
        """NONE if the group is served here, else what to answer."""
        shard = self.shards.get(self.partition_for(group_id))
        return Error.NOT_COORDINATOR if shard is None else shard.serving.value

    def _shard(self, group_id: str) -> GroupPartition:
        shard = self.shards.get(self.partition_for(group_id))
        if shard is None:
            raise KafkaError(Error.NOT_COORDINATOR)
        if shard.serving is not Serving.ACTIVE:
            raise KafkaError(shard.serving.value)
        return shard

    # Members.

    def join(self, group_id: str, joining: Joining, done: Callable[[Joined], None]) -> None:
        """JoinGroup."""
        try:
            shard = self._named(group_id)
        except KafkaError as problem:
            done(Joined(done, problem.error, joining.member_id))
            return
        served = shard.groups.get(group_id)
        if not self.limits.accepts_session(joining.session_timeout_ms):
            done(Joined(done, Error.INVALID_SESSION_TIMEOUT, joining.member_id))
        elif served is None and joining.member_id:
            done(Joined(done, Error.UNKNOWN_MEMBER_ID, joining.member_id))
        else:
            if served is None:
                served = shard.groups[group_id] = ServedGroup(Group(group_id, self.limits, self.now_ms()))
            self._perform(shard, served, served.group.join(done, joining, self.now_ms()))
            if served.group.is_blank:
                shard.groups.pop(group_id, None)

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
            shard = self._named(group_id)
        except KafkaError as problem:
            # While a shard is loaded the rebalance that this call belongs to is lost. Old clients do not expect
            # LOAD_IN_PROGRESS here; all of them join again on this one.
            loading = problem.error is Error.COORDINATOR_LOAD_IN_PROGRESS
            done(Synced(done, Error.REBALANCE_IN_PROGRESS if loading else problem.error))
            return
        served = shard.groups.get(group_id)
        if served is None:
            done(Synced(done, Error.UNKNOWN_MEMBER_ID))
            return
        effects = served.group.sync(
            done, generation, member_id, instance_id, protocol_type, protocol, assignments, self.now_ms()
        )
        self._perform(shard, served, effects)

    def heartbeat(self, group_id: str, generation: int, member_id: str, instance_id: str | None) -> Error:
        """Heartbeat."""
        try:
            shard = self._named(group_id)
        except KafkaError as problem:
            return Error.NONE if problem.error is Error.COORDINATOR_LOAD_IN_PROGRESS else problem.error
        served = shard.groups.get(group_id)
        if served is None:
            return Error.UNKNOWN_MEMBER_ID
        error = served.group.heartbeat(generation, member_id, instance_id, self.now_ms())
        if served.group.deadline_ms != served.due_ms:
            self._arm(shard, served)
        return error

    def leave(
        self, group_id: str, leaving: Sequence[tuple[str, str | None, str | None]], done: Callable[[Left], None]
    ) -> None:
        """LeaveGroup."""
        try:
            shard = self._named(group_id)
        except KafkaError as problem:
            done(Left(done, problem.error))
            return
        served = shard.groups.get(group_id)
        if served is None:
            answers = tuple((member, instance, Error.UNKNOWN_MEMBER_ID) for member, instance, _ in leaving)
            done(Left(done, Error.NONE, answers))
            return
        self._perform(shard, served, served.group.leave(done, leaving, self.now_ms()))

    # Offsets.

    def commit(
        self,
        group_id: str,
        generation: int,
        member_id: str,
        instance_id: str | None,
        offsets: Sequence[tuple[str, int, int, int, str]],
        done: Done,
    ) -> None:
        """OffsetCommit of (topic, partition, offset, leader epoch, metadata); `done` gets one error for each."""
        shard = self.shards.get(self.partition_for(group_id))
        error = Error.NOT_COORDINATOR if shard is None else shard.serving.value
        patience = None
        if shard is not None and error is Error.NONE:
            served = shard.groups.get(group_id)
            if served is not None:
                error = served.group.commit(generation, member_id, instance_id, self.now_ms())
                if served.group.deadline_ms != served.due_ms:
                    self._arm(shard, served)
                member = served.group.members.get(member_id)
                if member is not None:
                    patience = self.silence.patience(member.session_timeout_ms)
            elif generation >= 0:
                error = Error.ILLEGAL_GENERATION
        if shard is None or error is not Error.NONE:
            done([error] * len(offsets))
        elif shard.mode == ZOOKEEPER:
            self.commits.commit(shard.fence, group_id, offsets, shard.counted(done), patience)
        elif shard.mode == KAFKA:
            shard.logged.commit(group_id, offsets, self.now_ms(), done)
        else:
            done([Error.COORDINATOR_LOAD_IN_PROGRESS] * len(offsets))

    def commit_unbound(self, group_id: str, offsets: Sequence[tuple[str, int, int, int, str]], done: Done) -> None:
        """OffsetCommit v0: any broker writes it, for any group."""
        self.commits.commit(None, group_id, offsets, done)

    async def fetch(
        self, group_id: str, keys: Sequence[Key] | None, require_stable: bool = False
    ) -> list[tuple[Key, Committed]]:
        """OffsetFetch of these partitions, or of all there are; KafkaError for the whole group."""
        shard = self._settled_shard(group_id)
        if shard.mode == KAFKA:
            return shard.logged.fetch(group_id, keys, require_stable)
        patience = self._patience(shard, group_id)
        wanted = await self.offsets.keys(group_id, patience) if keys is None else keys
        found = await self.offsets.read(group_id, wanted, patience)
        self._shard(group_id)
        return [
            (key, committed)
            for key, committed in zip(wanted, found, strict=True)
            if keys is not None or committed.offset != -1
        ]

    def _patience(self, shard: GroupPartition, group_id: str) -> float:
        """How many seconds any member of the group may be kept waiting: a read does not say whose it is."""
        served = shard.groups.get(group_id)
        sessions = [member.session_timeout_ms for member in served.group.members.values()] if served else []
        return self.silence.patience(min(sessions)) if sessions else self.silence.seconds

    async def delete_offsets(self, group_id: str, keys: Sequence[Key]) -> dict[Key, Error]:
        """OffsetDelete; KafkaError for the whole group."""
        self._named(group_id)
        shard = self._settled_shard(group_id)
        served = shard.groups.get(group_id)
        errors: dict[Key, Error] = {}
        if served is None:
            if not shard.logged.of(group_id) and not await self.offsets.has_group(group_id):
                raise KafkaError(Error.GROUP_ID_NOT_FOUND)
        elif not served.group.is_empty:
            if not served.group.is_consumer_group:
                raise KafkaError(Error.NON_EMPTY_GROUP)
            errors = {key: Error.GROUP_SUBSCRIBED_TO_TOPIC for key in keys if served.group.subscribes(key[0])}
        free = [key for key in keys if key not in errors]
        if free:
            await self.remove(shard, group_id, free)
        return errors | dict.fromkeys(free, Error.NONE)

    # What tools ask.

    async def describe(self, group_ids: Sequence[str]) -> list[Described]:
        """DescribeGroups."""
        described: dict[str, Described] = {}
        unknown = []
        for group_id in group_ids:
            shard = self.shards.get(self.partition_for(group_id))
            error = self.status(group_id)
            if shard is None or error is not Error.NONE:
                described[group_id] = Described(group_id, error)
            elif group_id in shard.groups:
                described[group_id] = describe(shard.groups[group_id].group)
            elif shard.mode == KAFKA:
                state = State.EMPTY if shard.logged.of(group_id) else State.DEAD
                described[group_id] = Described(group_id, Error.NONE, state.value)
            else:
                unknown.append(group_id)
        try:
            known = await self.offsets.has_offsets(unknown)
        except KafkaError as problem:
            described |= {group_id: Described(group_id, problem.error) for group_id in unknown}
        else:
            for group_id, has_offsets in zip(unknown, known, strict=True):
                state = State.EMPTY if has_offsets else State.DEAD
                described[group_id] = Described(group_id, Error.NONE, state.value)
        return [described[group_id] for group_id in group_ids]

    async def overview(self) -> tuple[Error, list[Listed]]:
        """ListGroups: groups with members or a history, and those that exist as znodes only."""
        found = {}
        for shard in self.shards.values():
            for group_id, served in shard.groups.items():
                group = served.group
                found[group_id] = Listed(group_id, group.protocol_type or "", group.state.value)
            for group_id in shard.logged.all():
                found.setdefault(group_id, Listed(group_id, "", State.EMPTY.value))
        if any(shard.mode != KAFKA for shard in self.shards.values()):
            others = [each for each in await self.offsets.groups() if each not in found]
            others = [each for each in others if self.status(each) is Error.NONE and not self._is_logged(each)]
            known = await self.offsets.has_offsets(others)
            found |= {
                group_id: Listed(group_id, "", State.EMPTY.value)
                for group_id, has_offsets in zip(others, known, strict=True)
                if has_offsets
            }
        loading = any(shard.serving is Serving.LOADING for shard in self.shards.values())
        return Error.COORDINATOR_LOAD_IN_PROGRESS if loading else Error.NONE, list(found.values())

    async def delete(self, group_id: str) -> Error:
        """DeleteGroups, one of them: its record, its offsets and all of its znodes."""
        try:
            shard = self._settled_shard(group_id)
            served = shard.groups.get(group_id)
            if served is None:
                await self._remove_group(shard, group_id)
                return Error.NONE
            return await self.end(shard, served)
        except KafkaError as problem:
            return problem.error

    async def end(self, shard: GroupPartition, served: ServedGroup, only_empty: bool = False) -> Error:
        """Deletes a group that has a record; NON_EMPTY_GROUP if it has members, or, if it is to go `only_empty`,
        offsets."""
        # Dead at once, so that nobody joins or commits meanwhile.
        group = served.group
        value = group.value()
        error = group.delete()
        if error is not Error.NONE:
            return error
        try:
            await self._remove_group(shard, group.group_id, only_empty)
        except KafkaError as problem:
            if problem.error is not Error.GROUP_ID_NOT_FOUND:
                if shard.groups.get(group.group_id) is served:
                    served.group = Group.restore(group.group_id, value, self.limits, self.now_ms())
                return problem.error
        if shard.groups.get(group.group_id) is served:
            del shard.groups[group.group_id]
        if group.generation > 0:
            self._append(shard, group.group_id, None, lambda _: None)
        log.info("Group %s is deleted", group.group_id)
        return Error.NONE

    async def remove(
        self, shard: GroupPartition, group_id: str, keys: Sequence[Key], not_after_ms: Mapping[Key, int] | None = None
    ) -> int:
        """Removes offsets wherever they are, so that none comes back with a change of mode; how many there were."""
        newest = shard.logged.newest(group_id)
        seen = {
            key: newest[key]
            for key in keys
            if key in newest and (not_after_ms is None or newest[key].commit_timestamp_ms <= not_after_ms[key])
        }
        logged = await shard.logged.remove(group_id, seen)
        with _reached():
            return max(logged, await self.offsets.remove(shard.fence, group_id, keys, not_after_ms))

    async def _remove_group(self, shard: GroupPartition, group_id: str, only_empty: bool = False) -> None:
        """Removes everything but the group's record; KafkaError if there is nothing, or if it may not be."""
        seen = shard.logged.newest(group_id)
        if seen and only_empty:
            raise KafkaError(Error.NON_EMPTY_GROUP)
        logged = await shard.logged.remove(group_id, seen)
        try:
            with _reached():
                await self.offsets.remove_group(shard.fence, group_id, only_empty)
        except KafkaError as problem:
            # Beside offsets in the log the znodes are others': they stay as long as classic consumers are there.
            may_stay = problem.error in (Error.GROUP_ID_NOT_FOUND, Error.NON_EMPTY_GROUP)
            if not logged or not may_stay:
                raise

    # Effects and time.

    def _perform(self, shard: GroupPartition, served: ServedGroup, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self._persist(shard, served, effect)
            else:
                effect.token(effect)  # type: ignore[operator]
        if served.group.deadline_ms != served.due_ms:
            self._arm(shard, served)

    def _persist(self, shard: GroupPartition, served: ServedGroup, persist: Persist) -> None:
        group = served.group

        def done(error: Error) -> None:
            # Of the one that asked: a deletion that failed has put another in its place, with tickets of its own.
            self._perform(shard, served, group.persisted(persist.ticket, error, self.now_ms()))
            self._keep_parents(served)

        self._append(shard, group.group_id, persist.value, done)

    def _append(
        self,
        shard: GroupPartition,
        group_id: str,
        value: group_records.GroupValue | None,
        done: Callable[[Error], None],
    ) -> None:
        def appended(result: Any) -> None:
            if not isinstance(result, KafkaError):
                done(Error.NONE)
                return
            log.warning("The record of group %s was not written: %s", group_id, result)
            done(_APPEND_ERRORS.get(result.error, result.error))

        encoded = None if value is None else group_records.group_value(value)
        self._append_records(shard, [(group_records.group_key(group_id), encoded)], appended)

    def _append_records(
        self, shard: GroupPartition, pairs: Sequence[tuple[bytes, bytes | None]], done: Callable[[Any], None]
    ) -> None:
        try:
            self._check_term(shard)
        except KafkaError as problem:
            done(problem)
            return
        now_ms = self.now_ms()
        record = batch.build([(key, value, now_ms, ()) for key, value in pairs])
        self._replicas.append(
            GROUP_METADATA, shard.index, memoryview(record), -1, self._timeout_ms, done, origin=COORDINATOR
        )

    def _check_term(self, shard: GroupPartition) -> None:
        """KafkaError unless the shard is still what is served of its partition. A shard that was given up writes no
        more: its successor, which may be on this same broker, has read the log already.

        While an order of the controller is carried out, the partition has its new leader epoch before the shard has. If
        that is the next epoch, the shard goes on in it: see _leadership.
        """
        ahead = self._replicas.partition(GROUP_METADATA, shard.index).leader_epoch - shard.leader_epoch
        if not self.leads(shard) or ahead not in (0, 1):
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER, f"{GROUP_METADATA}-{shard.index} has moved")

    def _keep_parents(self, served: ServedGroup) -> None:
        group = served.group
        if group.state is State.STABLE and group.is_consumer_group and group.subscribed != served.owned:
            served.owned = group.subscribed
            self.background(self._make_parents(served, group.subscribed or ()))

    async def _make_parents(self, served: ServedGroup, topics: Iterable[str]) -> None:
        try:
            await self.offsets.keep_parents(served.group.group_id, topics)
        except ZooKeeperError as problem:
            log.warning("Parents of the offsets of group %s: %s", served.group.group_id, problem)
            served.owned = None  # once more when the group has changed

    def _arm(self, shard: GroupPartition, served: ServedGroup) -> None:
        due = served.group.deadline_ms
        if served.timer is not None and (due is None or served.due_ms is None or due < served.due_ms):
            served.timer.cancel()
            served.timer = None
        served.due_ms = due
        if due is not None and served.timer is None:
            delay = max(due / 1000 - self._reactor.seconds(), 0)
            served.timer = self._reactor.callLater(delay, self._ring, shard, served)

    def _ring(self, shard: GroupPartition, served: ServedGroup) -> None:
        served.timer = served.due_ms = None
        self._perform(shard, served, served.group.expire(self.now_ms()))
        if served.group.is_blank and shard.groups.get(served.group.group_id) is served:
            del shard.groups[served.group.group_id]

    def now_ms(self) -> int:
        """The time, in milliseconds since 1970."""
        return int(self._reactor.seconds() * 1000)

    # Leadership.

    def _leadership(self, index: int, leader_epoch: int, leading: bool) -> None:
        shard = self.shards.get(index)
        if shard is not None and not leading:
            self._unload(shard)
        elif leading and not self._stopped and (shard is None or leader_epoch != shard.leader_epoch):
            if shard is not None and leader_epoch == shard.leader_epoch + 1 and not shard.fence.lost:
                # Nobody led between two neighbouring epochs of ours: the groups in memory are right.
                shard.leader_epoch = shard.fence.leader_epoch = leader_epoch
                shard.fence.version = -1
                return
            if shard is not None:
                self._unload(shard)
            fence = self.commits.fence(index, leader_epoch)
            shard = self.shards[index] = GroupPartition(index, leader_epoch, fence, self._append_records)
            self.background(self._load(shard))

    async def _load(self, shard: GroupPartition) -> None:
        began = self._reactor.seconds()
        self.offsets.doubt()
        if not await self.commits.ask(shard.fence):
            if self.leads(shard):
                del self.shards[shard.index]
            return
        await self._count_partitions(shard)
        values = await self._read(shard)
        await self._cleanup.loading(shard)
        if not self.leads(shard):
            return
        now_ms = self.now_ms()
        for group_id, value in values.items():
            shard.groups[group_id] = ServedGroup(Group.restore(group_id, value, self.limits, now_ms))
        shard.serving = Serving.ACTIVE
        for served in list(shard.groups.values()):
            self._perform(shard, served, served.group.resume(now_ms))
        took_ms = (self._reactor.seconds() - began) * 1000
        level = logging.INFO if values else logging.DEBUG
        log.log(level, "Loaded %d groups of %s-%d in %d ms", len(values), GROUP_METADATA, shard.index, took_ms)
        await self._move(shard)
        self._cleanup.loaded(shard)

    async def _read(self, shard: GroupPartition) -> dict[str, group_records.GroupValue]:
        """What the log says of each group: once it can be read, which a replica's copy or another disk may bring."""
        delay = RETRY_SECONDS
        while self.leads(shard):
            try:
                shard.forget_logged()
                source = self._replicas.log(GROUP_METADATA, shard.index)
                return await read_log(source, shard.logged, self._reactor, partial(self.leads, shard))
            except Exception:
                if self.leads(shard) and shard.serving is not Serving.BROKEN:
                    # Serving what could be read would make members and history disappear.
                    log.exception(
                        "%s-%d cannot be read: its groups are not served until it can", GROUP_METADATA, shard.index
                    )
                    shard.serving = Serving.BROKEN
            await task.deferLater(self._reactor, delay, lambda: None)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)
        return {}

    # Where offsets are.

    def _mode_changed(self) -> None:
        for shard in list(self.shards.values()):
            if shard.serving is Serving.ACTIVE:
                self.background(self._move(shard))

    async def _move(self, shard: GroupPartition) -> None:
        """Brings the shard's offsets to where the cluster keeps them, as often as it takes."""
        if shard.moving:
            return
        shard.moving = True
        await self.mode.known()
        while self.leads(shard) and shard.mode != self.mode.mode:
            mode = self._possible_mode(shard)
            if shard.mode == mode:
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
                continue
            shard.mode = None
            try:
                await shard.settled()
                self.offsets.doubt()
                if mode == KAFKA:
                    names = [each for each in await self.offsets.groups() if self.partition_for(each) == shard.index]
                    count = await migration.to_log(self.offsets, shard.logged, names)
                else:
                    count = await migration.to_zookeeper(self.offsets, self.commits, shard.fence, shard.logged)
            except (KafkaError, ZooKeeperError) as problem:
                log.warning(
                    "Offsets of %s-%d are not served yet: %s; trying again", GROUP_METADATA, shard.index, problem
                )
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
                continue
            finally:
                self._cleanup.copied(shard)
            shard.mode = mode
            if count:
                where = "the log" if mode == KAFKA else "ZooKeeper"
                log.info("Copied %d offsets of %s-%d to %s", count, GROUP_METADATA, shard.index, where)
        shard.moving = False

    def _possible_mode(self, shard: GroupPartition) -> str:
        """As long as the next leader may be a broker that knows the log only, offsets are in the log."""
        isr = self._replicas.partition(GROUP_METADATA, shard.index).isr
        return ZOOKEEPER if all(self._announces(each) for each in isr) and self.mode.mode == ZOOKEEPER else KAFKA

    def _may_join(self, partition: Any, broker_id: int) -> bool:
        """And who knows the log only is not to be the next leader before offsets are there."""
        if partition.topic != GROUP_METADATA or self._announces(broker_id):
            return True
        shard = self.shards.get(partition.index)
        return shard is not None and shard.mode == KAFKA

    def _announces(self, broker_id: int) -> bool:
        return broker_id == self._broker.broker_id or self.mode.announced.get(broker_id) == ZOOKEEPER

    def _is_logged(self, group_id: str) -> bool:
        shard = self.shards.get(self.partition_for(group_id))
        return shard is not None and shard.mode == KAFKA

    def _settled_shard(self, group_id: str) -> GroupPartition:
        """The group's shard, if its offsets may be asked for."""
        shard = self._shard(group_id)
        if shard.mode is None:
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS)
        return shard

    def _unload(self, shard: GroupPartition) -> None:
        if self.leads(shard):
            del self.shards[shard.index]
        self.commits.drop(shard.fence)
        for served in shard.groups.values():
            self._perform(shard, served, served.group.unload())
        if shard.groups:
            log.info("%d groups of %s-%d are coordinated elsewhere", len(shard.groups), GROUP_METADATA, shard.index)

    # Parts.

    def _named(self, group_id: str) -> GroupPartition:
        if not group_id:
            raise KafkaError(Error.INVALID_GROUP_ID)
        return self._shard(group_id)

    def background(self, work: Any) -> None:
        """Runs a coroutine that nobody waits for."""
        Deferred.fromCoroutine(work).addErrback(self.unexpected)

    def unexpected(self, failure: Any) -> None:
        """Logs what ends such a coroutine."""
        if not self._stopped:
            log.error("The group coordinator failed in a way not foreseen: %s", failure.getTraceback())


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """A session that ends in the middle of it is told as what the client may try again."""
    try:
        yield
    except ZooKeeperError as problem:
        raise KafkaError(Error.COORDINATOR_NOT_AVAILABLE, str(problem)) from problem
