"""The group coordinator's shell: one shard for each partition of __consumer_offsets that this broker leads.

A shard reads its partition's log when the broker becomes its leader, owns the groups that hash to it, performs what
the group machine asks for (answers, records with acks=all, one timer per group), and sends commits and reads of
offsets to ZooKeeper under its fence; or to its own log, while the cluster has brokers that know no other place
(mode.py). Losing the leadership ends all of it at once.

Groups that have offsets but no members have no record of their own in the log, and are shown as Empty. Called by
broker/apis/.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Any, NamedTuple

from twisted.internet import task
from twisted.internet.defer import Deferred

from kafkalike.cluster.znodes import Garbage, TopicNode
from kafkalike.coordinator import records, transfer
from kafkalike.coordinator.commits import TOPIC, Commits, Done, Fence
from kafkalike.coordinator.group import Effect, Group, Joined, Joining, Left, Limits, Persist, State, Synced
from kafkalike.coordinator.logged import Logged
from kafkalike.coordinator.mode import KAFKA, ZOOKEEPER, OffsetsMode
from kafkalike.coordinator.offsets import Committed, Key, Offsets
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from zk.client import ZooKeeperError, gather
from zk.recipes import get_or_none

log = logging.getLogger("kafka.coordinator.group")

# Read in one turn of the reactor while a shard is loaded.
SLICE_BYTES = 256 * 1024
RETRY_SECONDS = 1.0
SOME_GROUPS = 50

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


class Serving(Enum):
    """How far a shard is. The value is what calls are answered until it is ACTIVE."""

    LOADING = Error.COORDINATOR_LOAD_IN_PROGRESS
    BROKEN = Error.COORDINATOR_NOT_AVAILABLE
    ACTIVE = Error.NONE


class Served:
    """A group and its timer."""

    __slots__ = ("group", "timer", "due_ms", "owned")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.timer: Any = None
        self.due_ms: int | None = None
        self.owned: frozenset[str] | None = None


class Shard:
    """One partition of __consumer_offsets, led here since `leader_epoch`.

    `mode` says where its groups' offsets are; None while they are being brought there, and nobody may ask for them.
    """

    def __init__(self, index: int, leader_epoch: int, fence: Fence, logged: Logged) -> None:
        self.index = index
        self.leader_epoch = leader_epoch
        self.fence = fence
        self.logged = logged
        self.serving = Serving.LOADING
        self.groups: dict[str, Served] = {}
        self.mode: str | None = None
        self.moving = False
        self._writing = 0
        self._settled: list[Deferred[None]] = []

    def counted(self, done: Done) -> Done:
        """The same `done`, for a commit to ZooKeeper that settled() waits for."""
        self._writing += 1

        def answered(errors: list[Error]) -> None:
            self._writing -= 1
            done(errors)
            if not self._writing:
                waiting, self._settled = self._settled, []
                for answer in waiting:
                    answer.callback(None)

        return answered

    async def settled(self) -> None:
        """Returns when no commit is under way, to either place."""
        if self._writing:
            answer: Deferred[None] = Deferred()
            self._settled.append(answer)
            await answer
        await self.logged.settled()


class Described(NamedTuple):
    """What DescribeGroups shows: a member is (id, instance id, client id, host, metadata, assignment)."""

    group_id: str
    error: Error
    state: str = ""
    protocol_type: str = ""
    protocol: str = ""
    members: tuple[tuple[str, str | None, str, str, bytes, bytes], ...] = ()


class Listed(NamedTuple):
    """What ListGroups shows of one group."""

    group_id: str
    protocol_type: str
    state: str


@lru_cache(maxsize=10_000)
def java_hash(text: str) -> int:
    """String.hashCode(): over UTF-16 units, 32 bits, signed."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + units[index] * 256 + units[index + 1]) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def partition_of(group_id: str, count: int) -> int:
    """The partition of __consumer_offsets that a group belongs to."""
    value = java_hash(group_id)
    # Java has no positive counterpart of the smallest number; Kafka takes 0.
    return 0 if value == -(1 << 31) else abs(value) % count


class Groups:
    """Every group that this broker coordinates."""

    def __init__(self, broker: Any) -> None:
        config = broker.config
        self._broker = broker
        self._reactor = broker.reactor
        self._replicas = broker.replicas
        self._metadata = broker.metadata
        self._timeout_ms: int = config["offsets.commit.timeout.ms"]
        self._retention_ms: int = config["offsets.retention.minutes"] * 60_000
        self._limits = Limits(
            config["group.min.session.timeout.ms"],
            config["group.max.session.timeout.ms"],
            config["group.max.size"],
            config["group.initial.rebalance.delay.ms"],
        )
        self.shards: dict[int, Shard] = {}
        self._partitions = 0  # of __consumer_offsets, as ZooKeeper had it
        self.commits = Commits(broker.zk, broker.broker_id, self._timeout_ms, broker.reactor)
        self.offsets = Offsets(broker.zk, self.commits, self._timeout_ms, broker.reactor)
        self.mode = OffsetsMode(broker.zk, self._mode_changed)
        self._cleanup = task.LoopingCall(self._expire_offsets)
        self._cleanup.clock = self._reactor
        self._stopped = False
        # Deleted topics whose offsets are being removed, and who waits for that.
        self._purging: list[tuple[frozenset[str], list[Deferred[None]]]] = []
        # The controller may give us partitions before start() is called.
        self._replicas.on_leadership(TOPIC, self._leadership)
        self._replicas.may_join = self._may_join
        self._metadata.on_change(self._metadata_changed)
        self.commits.start()
        self.mode.start()

    def start(self) -> None:
        """Begins the periodic removal of expired offsets."""
        interval = self._broker.config["offsets.retention.check.interval.ms"] / 1000
        self._cleanup.start(interval, now=False).addErrback(self._unexpected)

    def stop(self) -> None:
        """Ends every shard; whoever waits is sent to look for another coordinator."""
        self._stopped = True
        self.mode.stop()
        if self._cleanup.running:
            self._cleanup.stop()
        for shard in list(self.shards.values()):
            self._unload(shard)
        self.commits.stop()
        self.offsets.stop()

    # Where a group belongs.

    def partition_for(self, group_id: str) -> int:
        """The partition of __consumer_offsets whose leader coordinates the group."""
        topic = self._metadata.image.topics.get(TOPIC)
        if topic is None:
            return partition_of(group_id, self._broker.config["offsets.topic.num.partitions"])
        return partition_of(group_id, max(len(topic.partitions), self._partitions))

    async def _count_partitions(self) -> None:
        """Partitions that have never had a leader are in no metadata: if there may be such, ZooKeeper is asked."""
        topic = self._metadata.image.topics.get(TOPIC)
        if topic is None or len(topic.partitions) < self._broker.config["offsets.topic.num.partitions"]:
            try:
                found = await get_or_none(self._broker.zk, TopicNode.path(TOPIC))
                if found is not None:
                    self._partitions = len(TopicNode.decode(TOPIC, found[0]).partitions)
            except (ZooKeeperError, Garbage) as problem:
                log.warning("The number of partitions of %s is not known: %s", TOPIC, problem)

    def status(self, group_id: str) -> Error:
        """NONE if the group is served here, else what to answer."""
        shard = self.shards.get(self.partition_for(group_id))
        return Error.NOT_COORDINATOR if shard is None else shard.serving.value

    def _shard(self, group_id: str) -> Shard:
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
        if not self._limits.accepts_session(joining.session_timeout_ms):
            done(Joined(done, Error.INVALID_SESSION_TIMEOUT, joining.member_id))
        elif served is None and joining.member_id:
            done(Joined(done, Error.UNKNOWN_MEMBER_ID, joining.member_id))
        else:
            if served is None:
                served = shard.groups[group_id] = Served(Group(group_id, self._limits, self._now_ms()))
            self._perform(shard, served, served.group.join(done, joining, self._now_ms()))
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
            done, generation, member_id, instance_id, protocol_type, protocol, assignments, self._now_ms()
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
        error = served.group.heartbeat(generation, member_id, instance_id, self._now_ms())
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
        self._perform(shard, served, served.group.leave(done, leaving, self._now_ms()))

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
        if shard is not None and error is Error.NONE:
            served = shard.groups.get(group_id)
            if served is not None:
                error = served.group.commit(generation, member_id, instance_id, self._now_ms())
                if served.group.deadline_ms != served.due_ms:
                    self._arm(shard, served)
            elif generation >= 0:
                error = Error.ILLEGAL_GENERATION
        if shard is None or error is not Error.NONE:
            done([error] * len(offsets))
        elif shard.mode == ZOOKEEPER:
            self.commits.commit(shard.fence, group_id, offsets, shard.counted(done))
        elif shard.mode == KAFKA:
            shard.logged.commit(group_id, offsets, self._now_ms(), done)
        else:
            done([Error.COORDINATOR_LOAD_IN_PROGRESS] * len(offsets))

    def commit_unbound(self, group_id: str, offsets: Sequence[tuple[str, int, int, int, str]], done: Done) -> None:
        """OffsetCommit v0: any broker writes it, for any group."""
        self.commits.commit(None, group_id, offsets, done)

    async def fetch(
        self, group_id: str, keys: Sequence[Key] | None, require_stable: bool = False
    ) -> list[tuple[Key, Committed]]:
        """OffsetFetch of these partitions, or of all there are; KafkaError for the whole group."""
        self._settled_shard(group_id)
        await self._purged(None if keys is None else {topic for topic, _ in keys})
        shard = self._settled_shard(group_id)
        if shard.mode == KAFKA:
            return shard.logged.fetch(group_id, keys, require_stable)
        wanted = await self.offsets.keys(group_id) if keys is None else keys
        found = await self.offsets.read(group_id, wanted)
        self._shard(group_id)
        return [
            (key, committed)
            for key, committed in zip(wanted, found, strict=True)
            if keys is not None or committed.offset != -1
        ]

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
            await self._remove(shard, group_id, free)
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
                described[group_id] = _describe(shard.groups[group_id].group)
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
            return await self._delete(shard, served)
        except KafkaError as problem:
            return problem.error

    async def _delete(self, shard: Shard, served: Served) -> Error:
        # Dead at once, so that nobody joins or commits meanwhile.
        group = served.group
        value = group.value()
        error = group.delete()
        if error is not Error.NONE:
            return error
        try:
            await self._remove_group(shard, group.group_id)
        except KafkaError as problem:
            if problem.error is not Error.GROUP_ID_NOT_FOUND:
                if shard.groups.get(group.group_id) is served:
                    served.group = Group.restore(group.group_id, value, self._limits, self._now_ms())
                return problem.error
        if shard.groups.get(group.group_id) is served:
            del shard.groups[group.group_id]
        if group.generation > 0:
            self._append(shard, group.group_id, None, lambda _: None)
        log.info("Group %s is deleted", group.group_id)
        return Error.NONE

    async def _remove(
        self, shard: Shard, group_id: str, keys: Sequence[Key], not_after_ms: Mapping[Key, int] | None = None
    ) -> int:
        """Removes offsets wherever they are, so that none comes back with a change of mode; how many there were."""
        logged = await shard.logged.remove(group_id, keys)
        return max(logged, await self.offsets.remove(shard.fence, group_id, keys, not_after_ms))

    async def _remove_group(self, shard: Shard, group_id: str) -> None:
        """Removes everything but the group's record; KafkaError if there is nothing, or if it may not be."""
        logged = await shard.logged.remove(group_id, list(shard.logged.of(group_id)))
        try:
            await self.offsets.remove_group(shard.fence, group_id)
        except KafkaError as problem:
            # Beside offsets in the log the znodes are others': they stay as long as classic consumers are there.
            may_stay = problem.error in (Error.GROUP_ID_NOT_FOUND, Error.NON_EMPTY_GROUP)
            if not logged or not may_stay:
                raise

    # Effects and time.

    def _perform(self, shard: Shard, served: Served, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self._persist(shard, served, effect)
            else:
                effect.token(effect)  # type: ignore[operator]
        if served.group.deadline_ms != served.due_ms:
            self._arm(shard, served)

    def _persist(self, shard: Shard, served: Served, persist: Persist) -> None:
        def done(error: Error) -> None:
            self._perform(shard, served, served.group.persisted(persist.ticket, error, self._now_ms()))
            self._keep_parents(served)

        self._append(shard, served.group.group_id, persist.value, done)

    def _append(
        self, shard: Shard, group_id: str, value: records.GroupValue | None, done: Callable[[Error], None]
    ) -> None:
        def appended(result: Any) -> None:
            if not isinstance(result, KafkaError):
                done(Error.NONE)
                return
            log.warning("The record of group %s was not written: %s", group_id, result)
            done(_APPEND_ERRORS.get(result.error, result.error))

        encoded = None if value is None else records.group_value(value)
        self._append_records(shard.index, [(records.group_key(group_id), encoded)], appended)

    def _append_records(
        self, index: int, pairs: Sequence[tuple[bytes, bytes | None]], done: Callable[[Any], None]
    ) -> None:
        now_ms = self._now_ms()
        record = batch.build([(key, value, now_ms, ()) for key, value in pairs])
        self._replicas.append(TOPIC, index, memoryview(record), -1, self._timeout_ms, done, internal=True)

    def _keep_parents(self, served: Served) -> None:
        group = served.group
        if group.state is State.STABLE and group.is_consumer_group and group.subscribed != served.owned:
            served.owned = group.subscribed
            self._background(self.offsets.keep_parents(group.group_id, group.subscribed or ()))

    def _arm(self, shard: Shard, served: Served) -> None:
        due = served.group.deadline_ms
        if served.timer is not None and (due is None or served.due_ms is None or due < served.due_ms):
            served.timer.cancel()
            served.timer = None
        served.due_ms = due
        if due is not None and served.timer is None:
            delay = max(due / 1000 - self._reactor.seconds(), 0)
            served.timer = self._reactor.callLater(delay, self._ring, shard, served)

    def _ring(self, shard: Shard, served: Served) -> None:
        served.timer = served.due_ms = None
        self._perform(shard, served, served.group.expire(self._now_ms()))
        if served.group.is_blank and shard.groups.get(served.group.group_id) is served:
            del shard.groups[served.group.group_id]

    def _now_ms(self) -> int:
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
            fence, logged = self.commits.fence(index, leader_epoch), Logged(partial(self._append_records, index))
            shard = self.shards[index] = Shard(index, leader_epoch, fence, logged)
            self._background(self._load(shard))

    async def _load(self, shard: Shard) -> None:
        began = self._reactor.seconds()
        self.offsets.doubt()
        if not await self.commits.ask(shard.fence):
            if self.shards.get(shard.index) is shard:
                del self.shards[shard.index]
            return
        await self._count_partitions()
        try:
            values = await self._read_log(shard)
        except Exception:
            # Serving what could be read would make members and history disappear.
            log.exception("%s-%d cannot be read: its groups are not served", TOPIC, shard.index)
            shard.serving = Serving.BROKEN
            return
        if self.shards.get(shard.index) is not shard:
            return
        now_ms = self._now_ms()
        for group_id, value in values.items():
            shard.groups[group_id] = Served(Group.restore(group_id, value, self._limits, now_ms))
        shard.serving = Serving.ACTIVE
        for served in list(shard.groups.values()):
            self._perform(shard, served, served.group.resume(now_ms))
        took_ms = (self._reactor.seconds() - began) * 1000
        level = logging.INFO if values else logging.DEBUG
        log.log(level, "Loaded %d groups of %s-%d in %d ms", len(values), TOPIC, shard.index, took_ms)
        await self._move(shard)

    # Where offsets are.

    def _mode_changed(self) -> None:
        for shard in list(self.shards.values()):
            if shard.serving is Serving.ACTIVE:
                self._background(self._move(shard))

    async def _move(self, shard: Shard) -> None:
        """Brings the shard's offsets to where the cluster keeps them, as often as it takes."""
        if shard.moving:
            return
        shard.moving = True
        await self.mode.known()
        while self.shards.get(shard.index) is shard and shard.mode != self.mode.mode:
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
                    count = await transfer.to_log(self.offsets, shard.logged, names)
                else:
                    count = await transfer.to_zookeeper(self.offsets, self.commits, shard.fence, shard.logged)
            except (KafkaError, ZooKeeperError) as problem:
                log.warning("Offsets of %s-%d are not served yet: %s; trying again", TOPIC, shard.index, problem)
                await task.deferLater(self._reactor, RETRY_SECONDS, lambda: None)
                continue
            shard.mode = mode
            if count:
                where = "the log" if mode == KAFKA else "ZooKeeper"
                log.info("Copied %d offsets of %s-%d to %s", count, TOPIC, shard.index, where)
        shard.moving = False

    def _possible_mode(self, shard: Shard) -> str:
        """As long as the next leader may be a broker that knows the log only, offsets are in the log."""
        isr = self._replicas.partition(TOPIC, shard.index).isr
        return ZOOKEEPER if all(self._announces(each) for each in isr) and self.mode.mode == ZOOKEEPER else KAFKA

    def _may_join(self, partition: Any, broker_id: int) -> bool:
        """And who knows the log only is not to be the next leader before offsets are there."""
        if partition.topic != TOPIC or self._announces(broker_id):
            return True
        shard = self.shards.get(partition.index)
        return shard is not None and shard.mode == KAFKA

    def _announces(self, broker_id: int) -> bool:
        return broker_id == self._broker.broker_id or self.mode.announced.get(broker_id) == ZOOKEEPER

    def _is_logged(self, group_id: str) -> bool:
        shard = self.shards.get(self.partition_for(group_id))
        return shard is not None and shard.mode == KAFKA

    def _settled_shard(self, group_id: str) -> Shard:
        """The group's shard, if its offsets may be asked for."""
        shard = self._shard(group_id)
        if shard.mode is None:
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS)
        return shard

    async def _read_log(self, shard: Shard) -> dict[str, records.GroupValue]:
        """The newest record of each group, from all of the partition's log."""
        values: dict[str, records.GroupValue] = {}
        source = self._replicas.log(TOPIC, shard.index)
        offset = source.log_start_offset
        while offset < source.log_end_offset:
            found = source.read(offset, SLICE_BYTES, source.log_end_offset, True)
            if found is None:
                break
            for header, data in batch.split(found.read()):
                if not batch.crc_ok(data):
                    raise KafkaError(Error.CORRUPT_MESSAGE, f"the batch at {header.base_offset} is damaged")
                producer_id = header.producer_id if header.is_transactional else -1
                if not header.is_control:
                    _apply(batch.records(data), values, shard.logged, producer_id)
                else:
                    for marker in batch.records(data):
                        shard.logged.end_transaction(header.producer_id, marker_of(marker))
                offset = header.last_offset + 1
            await task.deferLater(self._reactor, 0, lambda: None)
            if self.shards.get(shard.index) is not shard:
                break
        return values

    def _unload(self, shard: Shard) -> None:
        if self.shards.get(shard.index) is shard:
            del self.shards[shard.index]
        self.commits.drop(shard.fence)
        for served in shard.groups.values():
            self._perform(shard, served, served.group.unload())
        if shard.groups:
            log.info("%d groups of %s-%d are coordinated elsewhere", len(shard.groups), TOPIC, shard.index)

    # What goes away with time and with topics.

    async def _expire_offsets(self) -> None:
        for shard in list(self.shards.values()):
            if shard.serving is Serving.ACTIVE and shard.mode is not None:
                try:
                    await self._expire_shard(shard)
                except (KafkaError, ZooKeeperError) as problem:
                    log.warning("Expired offsets of %s-%d stay for now: %s", TOPIC, shard.index, problem)

    async def _expire_shard(self, shard: Shard) -> None:
        names = set(shard.logged.all())
        if shard.mode == ZOOKEEPER:
            names = {each for each in await self.offsets.groups() if self.partition_for(each) == shard.index}
        for group_id in sorted(names | set(shard.groups)):
            if self.shards.get(shard.index) is not shard or shard.mode is None:
                return
            if shard.mode == KAFKA or not await self.offsets.has_classic_consumers(group_id):
                await self._expire_group(shard, group_id)

    async def _expire_group(self, shard: Shard, group_id: str) -> None:
        if shard.mode == KAFKA:
            committed_ms = {key: value.commit_timestamp_ms for key, value in shard.logged.of(group_id).items()}
        else:
            committed_ms = await self.offsets.committed_ms(group_id)
        served = shard.groups.get(group_id)
        group = served.group if served is not None else Group(group_id, self._limits, 0)
        expired = group.expired_offsets(committed_ms, self._now_ms(), self._retention_ms)
        if expired:
            count = await self._remove(shard, group_id, expired, committed_ms)
            log.info("Removed %d expired offsets of group %s", count, group_id)
        if len(expired) < len(committed_ms):
            return
        if served is not None and shard.groups.get(group_id) is served and served.group.is_vacant:
            await self._delete(shard, served)
        elif served is None and expired and group_id not in shard.groups and shard.mode == ZOOKEEPER:
            await self.offsets.remove_group(shard.fence, group_id)

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
            for shard in self.shards.values():
                for group_id, offsets in shard.logged.all().items():
                    keys = [key for key in offsets if key[0] in gone]
                    if keys:
                        self._background(self._forget_logged(shard, group_id, keys))
            self._background(self._purge(frozenset(gone)))

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
            self.commits.hold(topic)
        try:
            while not self._stopped:
                try:
                    groups = [each for each in await self.offsets.groups() if self._is_ours(each)]
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
                self.commits.release(topic)
            for answer in waiting:
                answer.callback(None)

    async def _purged(self, topics: set[str] | None) -> None:
        """Waits until what a deleted topic left behind cannot be taken for offsets of a new one."""
        for gone, waiting in list(self._purging):
            if topics is None or topics & gone:
                done: Deferred[None] = Deferred()
                waiting.append(done)
                await self.offsets.in_time(done)

    def _is_ours(self, group_id: str) -> bool:
        if TOPIC in self._metadata.image.topics:
            return self.partition_for(group_id) in self.shards
        # Nobody coordinates groups yet; classic consumers may have offsets all the same.
        return bool(self._broker.controller.active)

    async def _forget_topic(self, group_id: str, topic: str) -> None:
        shard = self.shards.get(self.partition_for(group_id))
        try:
            removed = await self.offsets.remove_topic(shard.fence if shard else None, group_id, topic)
        except KafkaError as problem:
            if problem.error is not Error.NOT_COORDINATOR:
                raise
            return
        if removed:
            log.info("Removed %d offsets of group %s with topic %s", removed, group_id, topic)

    # Parts.

    def _named(self, group_id: str) -> Shard:
        if not group_id:
            raise KafkaError(Error.INVALID_GROUP_ID)
        return self._shard(group_id)

    def _background(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(self._unexpected)

    def _unexpected(self, failure: Any) -> None:
        if not self._stopped:
            log.error("The group coordinator failed in a way not foreseen: %s", failure.getTraceback())


def _describe(group: Group) -> Described:
    stable = group.state is State.STABLE
    members = tuple(
        (
            each.member_id,
            each.instance_id,
            each.client_id,
            each.client_host,
            each.metadata(group.protocol) if stable else b"",
            each.assignment if stable else b"",
        )
        for each in group.members.values()
    )
    protocol = (group.protocol or "") if stable else ""
    return Described(group.group_id, Error.NONE, group.state.value, group.protocol_type or "", protocol, members)


def marker_of(marker: batch.Record) -> int:
    """What a control record says of its transaction: 0 abort, 1 commit."""
    return int.from_bytes((marker.key or b"")[2:4], "big")


def _apply(
    found: Iterable[batch.Record], values: dict[str, records.GroupValue], logged: Logged, producer_id: int
) -> None:
    for record in found:
        key = records.read_key(record.key or b"")
        if isinstance(key, records.OffsetKey):
            logged.load(key, record.value, producer_id)
        elif isinstance(key, records.GroupKey):
            if record.value is None:
                values.pop(key.group, None)
            else:
                values[key.group] = records.read_group_value(record.value)
