"""The consumer without I/O: a member of a group, or a reader of given partitions.

The application's calls are steps (`poll`, `join`, `commit`, ...). Rebalances happen in them, so that nothing is taken
away behind its back; heartbeats and fetches go on beside them, so that a message may take longer than the
session timeout, and the next messages come while it is processed. Where a group has no committed offset, the start
position is committed at assignment, so that a restart never depends on the reset policy again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from kafkalike.client import membership
from kafkalike.client.admin import groups, offsets
from kafkalike.client.assigned_partitions import AssignedPartitions, ConsumerRecord
from kafkalike.client.cluster import Partition
from kafkalike.client.effects import Fork, Signal, Sleep, Steps, Task, Wait
from kafkalike.client.errors import Disconnected, NoOffset, TimedOut, error_about, raise_error
from kafkalike.client.fetcher import Fetcher
from kafkalike.client.membership import Membership, State
from kafkalike.client.routing import Routing
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST, READ_COMMITTED, READ_UNCOMMITTED
from kafkalike.protocol.messages import heartbeat, join_group, leave_group, sync_group

# Connections by purpose: each of these waits at the broker, and would hold up the others.
GROUP, HEARTBEAT, LEAVE = "group", "heartbeat", "leave"

HEARTBEAT_TIMEOUT_MS = 10_000
CLOSE_TIMEOUT_MS = 5000  # an outage must not hold up the end for as long as it may hold up the work
HEARTBEAT_RETRY_MS = 200
MISSING_TOPICS_AGE_MS = 500
ATTENTION_MS = 100  # how often a poll that waits for messages looks whether metadata or a commit are due


class ConsumerCore:
    """Decides everything of one consumer."""

    def __init__(
        self,
        routing: Routing,
        *,
        group_id: str | None = None,
        auto_offset_reset: str = "latest",
        enable_auto_commit: bool = False,
        auto_commit_interval_ms: int = 5000,
        save_start: bool = True,
        session_timeout_ms: int = 45_000,
        heartbeat_interval_ms: int = 3000,
        max_poll_interval_ms: int = 300_000,
        max_poll_records: int = 500,
        group_instance_id: str | None = None,
        strategies: Iterable[str] = ("range", "roundrobin"),
        fetch_max_wait_ms: int = 100,
        fetch_min_bytes: int = 1,
        fetch_max_bytes: int = 50 << 20,
        max_partition_fetch_bytes: int = 1 << 20,
        isolation_level: str = "read_uncommitted",
        metadata_max_age_ms: int = 300_000,
        allow_auto_create_topics: bool = True,
    ) -> None:
        if auto_offset_reset not in ("earliest", "latest", "none"):
            raise ValueError(
                f"Invalid value {auto_offset_reset} for configuration auto.offset.reset: "
                "String must be one of: latest, earliest, none"
            )
        self.routing = routing
        self.group_id = group_id
        self.auto_offset_reset = auto_offset_reset
        self.enable_auto_commit = enable_auto_commit and group_id is not None
        self.auto_commit_interval_ms = auto_commit_interval_ms
        self.save_start = save_start and group_id is not None
        self.isolation_level = READ_COMMITTED if isolation_level == "read_committed" else READ_UNCOMMITTED
        self.metadata_max_age_ms = metadata_max_age_ms
        self.allow_auto_create_topics = allow_auto_create_topics
        self.partitions = AssignedPartitions()
        self.fetcher = Fetcher(
            routing,
            self.partitions,
            isolation_level=self.isolation_level,
            max_poll_records=max_poll_records,
            max_wait_ms=fetch_max_wait_ms,
            min_bytes=fetch_min_bytes,
            max_bytes=fetch_max_bytes,
            max_partition_bytes=max_partition_fetch_bytes,
        )
        self.start_offsets: dict[Partition, tuple[int, str]] = {}
        """Where each partition was begun, and why: "committed", "earliest", "latest" or "saved"."""
        self.newly_assigned: deque[tuple[Partition, ...]] = deque()
        """Assignments that the application has not been told of yet; `poll` and `join` return when there is one."""
        self.member: Membership | None = None
        self._member_options: dict[str, Any] = {
            "strategies": tuple(strategies),
            "session_timeout_ms": session_timeout_ms,
            "rebalance_timeout_ms": max_poll_interval_ms,
            "group_instance_id": group_instance_id,
        }
        self._heartbeat_interval_ms = min(heartbeat_interval_ms, session_timeout_ms // 3)
        self._join_timeout_ms = max(routing.request_timeout_ms, max_poll_interval_ms + 5000)
        self._pattern: re.Pattern[str] | None = None
        self._topics: tuple[str, ...] = ()
        self._counts: Mapping[str, int] = {}
        self._metadata_at: float | None = None
        self._effects: list[membership.Effect] = []
        self._group_task: Task[Any] | None = None
        self._committed_at = self._now()
        self._join_not_before = 0.0
        self._closing = False
        self._heart: Task[None] | None = None
        self._group_changed = Signal()
        self._fetching: Task[None] | None = None

    def _now(self) -> int:
        return self.routing.clock.monotonic_ms()

    # What to read.

    def subscribe(self, topics: Iterable[str] = (), *, pattern: str | None = None) -> None:
        """Reads these topics, or those whose whole name matches, as a member of the group."""
        self.member = Membership(self.demand_group(), sorted(topics), **self._member_options)
        self._topics = self.member.topics
        self._pattern = re.compile(pattern) if pattern is not None else None
        self._metadata_at = None

    def demand_group(self) -> str:
        """The group's id; ValueError without one."""
        if self.group_id is None:
            raise ValueError("To use the group management or offset commit APIs, you must provide a valid group.id")
        return self.group_id

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Reads exactly these partitions."""
        self.partitions.assign(partitions)
        self.fetcher.start_anew()

    # Where to read.

    def seek(self, partition: Partition, offset: int) -> None:
        """The next message of this partition is the one at `offset`."""
        self.partitions[partition].seek(offset)
        self.fetcher.wanted.give()

    def seek_by_time(self, partitions: Iterable[Partition], timestamp: int) -> Steps[None]:
        """The next messages are those at that time; of all partitions if none is given."""
        wanted = {partition: timestamp for partition in (tuple(partitions) or self.partitions)}
        found = yield from offsets.list_offsets(self.routing, wanted, self.isolation_level)
        for partition, at in found.items():
            self.seek(partition, at.offset)

    # Reading.

    def poll(self, timeout_ms: float) -> Steps[list[ConsumerRecord]]:
        """The next messages, at most `max_poll_records`; none when the time is over. Outages are waited out."""
        deadline = self._now() + timeout_ms
        while True:
            self.fetcher.raise_crash()
            try:
                if (yield from self._get_ready(deadline, tell_first=True)):
                    taken = [] if self.newly_assigned else self.fetcher.take()
                    if taken or self.newly_assigned:
                        return taken
                    if self._fetching is None:
                        self._fetching = yield Fork(self.fetcher.run(), self.fetcher.crashed)
                    left = deadline - self._now()
                    if left > 0:
                        yield Wait((self.fetcher.arrived, self._group_changed), min(left, ATTENTION_MS))
                        taken = self.fetcher.take()
                        if taken:
                            return taken
            except Disconnected:
                yield from self.routing.wait_out()
            if self._now() >= deadline:
                return []

    def join(self, timeout_ms: float) -> Steps[bool]:
        """Waits until this consumer has its partitions and their positions; reads nothing yet."""
        deadline = self._now() + timeout_ms
        while True:
            self.fetcher.raise_crash()
            try:
                if (yield from self._get_ready(deadline)) and not self.partitions.unknown():
                    return True
            except Disconnected:
                yield from self.routing.wait_out()
            if self._now() >= deadline:
                return False

    def put_back(self, records: Iterable[ConsumerRecord]) -> None:
        """Records of the last poll that the application did not use after all."""
        self.partitions.put_back(records)

    # The group.

    def _get_ready(self, deadline: float, tell_first: bool = False) -> Steps[bool]:
        """Membership, assignment and positions are as they should be. False: not before the deadline. With `tell_first`
        positions are not looked for before the application knows of an assignment: it may choose them itself."""
        if self.member is not None:
            yield from self._look_at_metadata(self.member)
            if not (yield from self._join(self.member, deadline)):
                return False
            if tell_first and self.newly_assigned:
                return True
            if self.enable_auto_commit and self._now() - self._committed_at > self.auto_commit_interval_ms:
                self._committed_at = self._now()
                yield from self._commit_quietly(self.partitions.consumed())
        unknown = self.partitions.unknown()
        if unknown or self.fetcher.out_of_range:
            yield from self._find_positions(unknown)
        return True

    def _look_at_metadata(self, member: Membership) -> Steps[None]:
        """Follows topics that appear, vanish or grow."""
        missing = any(name not in self._counts for name in self._topics)
        if self._metadata_at is not None:
            age = self._now() - self._metadata_at
            if age < (MISSING_TOPICS_AGE_MS if missing else self.metadata_max_age_ms):
                return
        if self._pattern is not None:
            cluster = yield from self.routing.refresh(None)
            found = (name for name, topic in cluster.topics.items() if not topic.internal)
            self._topics = tuple(sorted(name for name in found if self._pattern.fullmatch(name)))
        else:
            cluster = yield from self.routing.refresh(self._topics, create=self.allow_auto_create_topics)
        for name in self._topics:
            error = cluster.topics[name].error
            if error is not Error.NONE and not error.retriable:
                raise_error(error, about=f"topic {name}")
            self.routing.tell_topic_error(name, error)
        counts = cluster.partition_counts(self._topics)
        self._metadata_at = self._now()
        if counts != self._counts:
            self._counts = counts
            self._effects += member.want(self._topics)

    def _join(self, member: Membership, deadline: float) -> Steps[bool]:
        """Goes through JoinGroup and SyncGroup when that is due. False when the answers are still to come: the request
        goes on beside, and the next call waits for its answer."""
        while True:
            yield from self._perform()
            if member.state is State.STABLE:
                return True
            if self._join_not_before > self._now():
                yield Sleep(max(min(self._join_not_before, deadline) - self._now(), 0))
                if self._now() < self._join_not_before:
                    return False
            if self._group_task is None and not (yield from self._ask_group(member)):
                continue
            task = self._group_task
            assert task is not None
            if not task.done:
                yield Wait((task.finished,), max(deadline - self._now(), 0))
                if not task.done:
                    return False
            self._group_task = None
            try:
                response = task.result()
                if member.state is State.JOINING:
                    effects = yield from self._joined(member, response)
                else:
                    effects = member.synced(response)
            except Disconnected:
                self._effects += member.unanswered()
                raise
            self._effects += effects
            if member.state is State.OUT and response.error_code != Error.MEMBER_ID_REQUIRED:
                self._join_not_before = self._now() + self.routing.retry_backoff_ms

    def _ask_group(self, member: Membership) -> Steps[bool]:
        """Sends what is due to the coordinator. False when it has to be looked up again later."""
        try:
            node = yield from self.routing.coordinator(member.group_id)
        except KafkaError as problem:
            if not problem.error.retriable:
                raise
            self._join_not_before = self._now() + self.routing.retry_backoff_ms
            return False
        request = member.next_request()
        assert request is not None
        api = join_group if isinstance(request, join_group.Request) else sync_group
        asking = self.routing.ask(node, api, request, timeout_ms=self._join_timeout_ms, purpose=GROUP)
        self._group_task = yield Fork(asking)
        return True

    def _joined(self, member: Membership, response: Any) -> Steps[list[membership.Effect]]:
        """JoinGroup was answered. The leader needs the partition counts of all topics that somebody wants."""
        topics = member.topics_to_share(response)
        counts: Mapping[str, int] = {}
        if topics:
            cluster = yield from self.routing.refresh(sorted(topics))
            counts = cluster.partition_counts(topics)
        return member.joined(response, counts)

    def _perform(self) -> Steps[None]:
        """Does what the membership asked for."""
        while self._effects:
            effect = self._effects.pop(0)
            if isinstance(effect, membership.Assigned):
                self.assign(effect.partitions)
                self.start_offsets.clear()
                self.newly_assigned.append(effect.partitions)
                if self._heart is None:
                    self._heart = yield Fork(self._send_heartbeats(), self.fetcher.crashed)
            elif isinstance(effect, membership.Revoke):
                if self.enable_auto_commit:
                    yield from self._commit_quietly(self.partitions.consumed())
                self.assign(())
            elif isinstance(effect, membership.Lost):
                self.assign(())
            elif isinstance(effect, membership.FindCoordinator):
                self.routing.forget_coordinator(self.demand_group())
            else:
                raise error_about(f"group '{self.group_id}'", effect.error.error)

    def _send_heartbeats(self) -> Steps[None]:
        """Keeps the membership, whatever the application does meanwhile."""
        group_id, pause = self.demand_group(), self._heartbeat_interval_ms
        while True:
            yield Sleep(pause)
            if self._closing:
                return
            pause = self._heartbeat_interval_ms
            request = self.member.heartbeat() if self.member else None
            if request is None:
                continue
            try:
                node = yield from self.routing.coordinator(group_id)
                response = yield from self.routing.ask(
                    node, heartbeat, request, timeout_ms=HEARTBEAT_TIMEOUT_MS, purpose=HEARTBEAT
                )
                error = Error(response.error_code)
            except Disconnected:
                self.routing.forget_coordinator(group_id)
                pause = HEARTBEAT_RETRY_MS
                continue
            except KafkaError as problem:
                error = problem.error
            if error.retriable:
                pause = HEARTBEAT_RETRY_MS
            if self._closing or self.member is None:
                return
            self._effects += self.member.heard(error, request.generation_id)
            if self._effects:
                self._group_changed.give()

    # Positions.

    def _find_positions(self, partitions: list[Partition]) -> Steps[None]:
        """Committed offset; else by reset policy, and saved. By reset policy where the offset is out of range."""
        try:
            if self.fetcher.out_of_range:
                yield from self._reset(sorted(self.fetcher.out_of_range))
                self.fetcher.out_of_range.clear()
            if not partitions:
                return
            found = {}
            if self.group_id is not None:
                found = yield from groups.committed(self.routing, self.group_id, partitions)
            for partition, committed in found.items():
                self._begin(partition, committed.offset, "committed")
            missing = [partition for partition in partitions if partition not in found]
            if not missing:
                return
            yield from self._reset(missing)
            if self.save_start and self.member is not None:
                yield from self._commit_quietly(
                    {partition: self.partitions[partition].position for partition in missing}
                )
        except TimedOut:
            return
        except KafkaError as problem:
            if problem.error is not Error.UNKNOWN_TOPIC_OR_PARTITION and not problem.error.retriable:
                raise
            yield Sleep(self.routing.retry_backoff_ms)

    def _begin(self, partition: Partition, offset: int, why: str) -> None:
        self.seek(partition, offset)
        self.start_offsets[partition] = (offset, why)

    def _reset(self, partitions: list[Partition]) -> Steps[None]:
        if self.auto_offset_reset == "none":
            names = ", ".join(f"{topic}-{number}" for topic, number in partitions)
            raise NoOffset(f"Undefined offset with no reset policy for partitions: [{names}]")
        timestamp = EARLIEST if self.auto_offset_reset == "earliest" else LATEST
        wanted = dict.fromkeys(partitions, timestamp)
        found = yield from offsets.list_offsets(self.routing, wanted, self.isolation_level)
        for partition, at in found.items():
            self._begin(partition, at.offset, self.auto_offset_reset)

    # Acknowledging.

    def commit(self, offsets: Mapping[Partition, int] | None = None) -> Steps[None]:
        """Commits these offsets, or everything handed out so far; ends when the coordinator has stored them."""
        group_id, member = self.demand_group(), self.member
        generation = member.generation_id if member else -1
        try:
            yield from groups.commit(
                self.routing,
                group_id,
                self.partitions.consumed() if offsets is None else offsets,
                member_id=member.member_id if member else "",
                generation_id=generation,
                group_instance_id=member.group_instance_id if member else None,
            )
        except KafkaError as problem:
            if member is not None:
                self._effects += member.heard(problem.error, generation)
            raise
        self._committed_at = self._now()

    def ack(self, record: ConsumerRecord) -> Steps[int | None]:
        """One message is done. Commits when that completes a contiguous prefix: the offset committed, or None."""
        partition = (record.topic, record.partition)
        prefix = self.partitions.acknowledge(partition, record.offset)
        if prefix is not None:
            yield from self.commit({partition: prefix})
        return prefix

    def _commit_quietly(self, offsets: Mapping[Partition, int]) -> Steps[None]:
        """A commit whose failure means only that something may be done twice."""
        try:
            yield from self.commit(offsets)
        except (KafkaError, TimedOut, Disconnected):
            return

    # The end.

    def close(self, leave: bool = True) -> Steps[None]:
        """Commits if that is automatic, and leaves the group at once; gives that up after CLOSE_TIMEOUT_MS."""
        self._closing = True
        self.fetcher.stop()
        if self.member is None or not self.routing.cluster.nodes:
            return
        farewell: Task[None] = yield Fork(self._leave(self.member, leave))
        yield Wait((farewell.finished,), CLOSE_TIMEOUT_MS)
        if farewell.done:
            farewell.result()

    def _leave(self, member: Membership, leave: bool) -> Steps[None]:
        if self.enable_auto_commit and member.state is State.STABLE:
            yield from self._commit_quietly(self.partitions.consumed())
        request = member.leave() if leave else None
        if request is not None:
            try:
                node = yield from self.routing.coordinator(member.group_id)
                yield from self.routing.ask(node, leave_group, request, timeout_ms=CLOSE_TIMEOUT_MS, purpose=LEAVE)
            except (Disconnected, KafkaError):
                return  # The session timeout does it then.
