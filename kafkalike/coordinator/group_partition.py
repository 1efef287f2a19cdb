"""One partition of __consumer_offsets as its leader serves it: the groups that belong to it, their timers and records.

Its log is read into groups and offsets. For each group the effects of its machine (group.py) are performed here:
answers are given, records are appended with acks=all, and one timer is kept. What members and tools ask comes from
group_coordinator.py.

Groups that have offsets but no members have no record of their own in the log, and are in no `groups`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kafkalike.clock import Clock
from kafkalike.coordinator import group_records
from kafkalike.coordinator.background import Background
from kafkalike.coordinator.group import Group, Limits, State
from kafkalike.coordinator.group_effects import Effect, Persist
from kafkalike.coordinator.group_records import GroupKey, GroupValue, OffsetKey
from kafkalike.coordinator.internal_topic import APPEND_ERRORS, Contents, InternalPartition
from kafkalike.coordinator.offsets.deleted_topics import DeletedTopics
from kafkalike.coordinator.offsets.partition_offsets import PartitionOffsets
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import BatchHeader
from kafkalike.protocol.control_records import EndTxnMarker
from kafkalike.protocol.record import Record
from zk.client import ZooKeeperError

log = logging.getLogger("kafka.coordinator.group")

# What a failed append of a group's record means to the member that waits for it.
GROUP_ERRORS = APPEND_ERRORS | {
    Error.REQUEST_TIMED_OUT: Error.REBALANCE_IN_PROGRESS,
    Error.MESSAGE_TOO_LARGE: Error.UNKNOWN_SERVER_ERROR,
    Error.RECORD_LIST_TOO_LARGE: Error.UNKNOWN_SERVER_ERROR,
}


class ServedGroup:
    """A group and its timer."""

    __slots__ = ("group", "timer", "due_ms", "owners_of")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.timer: IDelayedCall | None = None
        self.due_ms: int | None = None
        self.owners_of: frozenset[str] | None = None  # topics in whose znodes old tools find the group


@dataclass(frozen=True, slots=True)
class Environment:
    """What the partitions of one broker share."""

    limits: Limits
    znodes: ZnodeOffsets
    deleted_topics: DeletedTopics
    reactor: IReactorTime
    clock: Clock
    background: Background


class GroupPartition(Contents):
    """The groups of one partition, and their offsets."""

    def __init__(
        self, partition: InternalPartition[GroupPartition], offsets: PartitionOffsets, environment: Environment
    ) -> None:
        self._partition = partition
        self.offsets = offsets
        self._environment = environment
        self._limits = environment.limits
        self._reactor = environment.reactor
        self._clock = environment.clock
        self.groups: dict[str, ServedGroup] = {}
        self._values: dict[str, GroupValue] = {}  # the newest record of each group, while the log is read

    def __str__(self) -> str:
        return str(self._partition)

    # The partition's life.

    async def may_load(self) -> bool:
        """Whether ZooKeeper, too, says that this broker leads."""
        return await self.offsets.may_load()

    def clear(self) -> None:
        """The log is about to be read."""
        self._values.clear()
        self.offsets.clear()

    def load(self, header: BatchHeader, records: list[Record]) -> None:
        """A batch of the log: groups, and offsets, perhaps of a transaction."""
        producer_id = header.producer_id if header.is_transactional else -1
        for record in records:
            key = group_records.read_key(record.key or b"")
            if isinstance(key, OffsetKey):
                self.offsets.log.load(key, record.value, producer_id)
            elif isinstance(key, GroupKey):
                if record.value is None:
                    self._values.pop(key.group, None)
                else:
                    self._values[key.group] = group_records.read_group_value(record.value)

    def end_transaction(self, producer_id: int, marker: EndTxnMarker) -> None:
        """A transaction that has committed offsets is over."""
        self.offsets.log.end_transaction(producer_id, marker.type)

    async def loaded(self) -> None:
        """The log has been read: what it says of topics that are gone is not to be served."""
        await self._environment.deleted_topics.forget_older(self.offsets)

    def activate(self, took_ms: int) -> None:
        """Members are served; offsets are as soon as they are where the cluster keeps them."""
        values, self._values = self._values, {}
        now_ms = self._clock.wall_ms()
        for group_id, value in values.items():
            self.groups[group_id] = ServedGroup(Group.restore(group_id, value, self._limits, now_ms))
        for served in list(self.groups.values()):
            self.perform(served, served.group.resume(now_ms))
        level = logging.INFO if values else logging.DEBUG
        log.log(level, "Loaded %d groups of %s in %d ms", len(values), self, took_ms)
        self._environment.background.run(self._serve_offsets())

    async def _serve_offsets(self) -> None:
        await self.offsets.follow_storage()
        self._environment.deleted_topics.remove_older(self.offsets)

    def leads_on(self, leader_epoch: int) -> bool:
        """This broker leads in the next epoch, too: the groups in memory are right."""
        return self.offsets.leads_on(leader_epoch)

    def unload(self) -> None:
        """The groups are coordinated elsewhere; whoever waits is told so."""
        self.offsets.unload()
        for served in self.groups.values():
            self.perform(served, served.group.unload())
        if self.groups:
            log.info("%d groups of %s are coordinated elsewhere", len(self.groups), self)

    # Groups.

    def new_group(self, group_id: str) -> ServedGroup:
        """Makes a group that has and had no members."""
        served = self.groups[group_id] = ServedGroup(Group(group_id, self._limits, self._clock.wall_ms()))
        return served

    def drop_if_blank(self, served: ServedGroup) -> None:
        """Forgets a group that has come to nothing."""
        if served.group.is_blank and self.groups.get(served.group.group_id) is served:
            del self.groups[served.group.group_id]

    async def delete(self, served: ServedGroup, only_empty: bool = False) -> Error:
        """Deletes a group that has a record; NON_EMPTY_GROUP if it has members, or, if it is to go `only_empty`,
        offsets."""
        # The group is dead at once, so that no member joins or commits in between.
        group = served.group
        value = group.value()
        error = group.delete()
        if error is not Error.NONE:
            return error
        try:
            await self.offsets.remove_group(group.group_id, only_empty)
        except KafkaError as problem:
            if problem.error is not Error.GROUP_ID_NOT_FOUND:
                if self.groups.get(group.group_id) is served:
                    served.group = Group.restore(group.group_id, value, self._limits, self._clock.wall_ms())
                return problem.error
        if self.groups.get(group.group_id) is served:
            del self.groups[group.group_id]
        if group.generation > 0:
            self._append(group.group_id, None, lambda _: None)
        log.info("Group %s is deleted", group.group_id)
        return Error.NONE

    # Effects and time.

    def perform(self, served: ServedGroup, effects: Iterable[Effect]) -> None:
        """Does what the group's machine wants to be done."""
        for effect in effects:
            if isinstance(effect, Persist):
                self._persist(served, effect)
            else:
                effect.token(effect)  # type: ignore[operator]
        if served.group.deadline_ms != served.due_ms:
            self.set_timer(served)

    def _persist(self, served: ServedGroup, persist: Persist) -> None:
        group = served.group

        def done(error: Error) -> None:
            # The tickets of the group that asked: a deletion that failed has put another group in its place, with its
            # own tickets.
            self.perform(served, group.persisted(persist.ticket, error, self._clock.wall_ms()))
            self._keep_parents(served)

        self._append(group.group_id, persist.value, done)

    def _append(self, group_id: str, value: GroupValue | None, done: Callable[[Error], None]) -> None:
        def appended(error: Error) -> None:
            if error is not Error.NONE:
                log.warning("The record of group %s was not written: %s", group_id, error.name)
            done(error)

        encoded = None if value is None else group_records.group_value(value)
        self._partition.append([(group_records.group_key(group_id), encoded)], appended, GROUP_ERRORS)

    def _keep_parents(self, served: ServedGroup) -> None:
        group = served.group
        if group.state is State.STABLE and group.is_consumer_group and group.subscribed != served.owners_of:
            served.owners_of = group.subscribed
            self._environment.background.run(self._make_parents(served, group.subscribed or ()))

    async def _make_parents(self, served: ServedGroup, topics: Iterable[str]) -> None:
        try:
            await self._environment.znodes.keep_parents(served.group.group_id, topics)
        except ZooKeeperError as problem:
            log.warning("Parents of the offsets of group %s: %s", served.group.group_id, problem)
            served.owners_of = None  # once more when the group has changed

    def set_timer(self, served: ServedGroup) -> None:
        """The group's deadline has changed. A timer that strikes too early is no harm."""
        due = served.group.deadline_ms
        if served.timer is not None and (due is None or served.due_ms is None or due < served.due_ms):
            served.timer.cancel()
            served.timer = None
        served.due_ms = due
        if due is not None and served.timer is None:
            delay = max(due - self._clock.wall_ms(), 0) / 1000
            served.timer = self._reactor.callLater(delay, self._expire, served)

    def _expire(self, served: ServedGroup) -> None:
        served.timer = served.due_ms = None
        self.perform(served, served.group.expire(self._clock.wall_ms()))
        self.drop_if_blank(served)


class MemberDescription(NamedTuple):
    """What DescribeGroups shows of a member."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


class GroupDescription(NamedTuple):
    """What DescribeGroups shows of a group."""

    group_id: str
    error: Error
    state: str = ""
    protocol_type: str = ""
    protocol: str = ""
    members: tuple[MemberDescription, ...] = ()


class GroupListing(NamedTuple):
    """What ListGroups shows of a group."""

    group_id: str
    protocol_type: str
    state: str


def describe(group: Group) -> GroupDescription:
    """The group as DescribeGroups shows it: protocol and assignments while it is stable."""
    stable = group.state is State.STABLE
    members = tuple(
        MemberDescription(
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
    return GroupDescription(group.group_id, Error.NONE, group.state.value, group.protocol_type or "", protocol, members)
