"""Consumer: a member of a group, or a reader of given partitions.

The application calls `poll`; everything happens in that call, except heartbeats: a thread with a connection of its own
sends them, so that a message may take longer than the session timeout. Where a group has no committed offset, the
start position is committed at assignment, so that a restart never depends on the reset policy again.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kafkalike.client import membership
from kafkalike.client.blocking.admin import Admin
from kafkalike.client.blocking.network import Connection, Network, wait_readable
from kafkalike.client.cluster import Partition
from kafkalike.client.errors import Disconnected, NoOffset, TimedOut, error_about, raise_error
from kafkalike.client.fetched import read_records
from kafkalike.client.membership import Membership, State
from kafkalike.client.positions import ConsumerRecord, Positions
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST
from kafkalike.protocol.messages import fetch, heartbeat, join_group, leave_group, sync_group


class Consumer:
    """Reads messages. Not for several threads at once."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        group_id: str | None = None,
        client_id: str = "consumer-1",
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
        request_timeout_ms: int = 30_000,
        allow_auto_create_topics: bool = True,
        on_assigned: Callable[[tuple[Partition, ...]], None] | None = None,
    ) -> None:
        if auto_offset_reset not in ("earliest", "latest", "none"):
            raise ValueError(
                f"Invalid value {auto_offset_reset} for configuration auto.offset.reset: "
                "String must be one of: latest, earliest, none"
            )
        self.network = Network(bootstrap_servers, client_id, request_timeout_ms=request_timeout_ms)
        self.admin = Admin(
            bootstrap_servers, client_id=client_id, request_timeout_ms=request_timeout_ms, tell=self.network.tell
        )
        self.group_id = group_id
        self.auto_offset_reset = auto_offset_reset
        self.enable_auto_commit = enable_auto_commit and group_id is not None
        self.auto_commit_interval_ms = auto_commit_interval_ms
        self.save_start = save_start and group_id is not None
        self.max_poll_records = max_poll_records
        self.fetch_max_wait_ms = fetch_max_wait_ms
        self.fetch_min_bytes = fetch_min_bytes
        self.fetch_max_bytes = fetch_max_bytes
        self.max_partition_fetch_bytes = max_partition_fetch_bytes
        self.isolation_level = 1 if isolation_level == "read_committed" else 0
        self.metadata_max_age_ms = metadata_max_age_ms
        self.allow_auto_create_topics = allow_auto_create_topics
        self.on_assigned = on_assigned
        self.positions = Positions()
        self.fetches: Counter[int] = Counter()
        """Fetch requests sent so far, by the broker that they were sent to."""
        self.start_offsets: dict[Partition, tuple[int, str]] = {}
        """Where each partition was begun, and why: "committed", "earliest", "latest" or "saved"."""
        self._member: Membership | None = None
        self._member_options: dict[str, Any] = {
            "strategies": tuple(strategies),
            "session_timeout_ms": session_timeout_ms,
            "rebalance_timeout_ms": max_poll_interval_ms,
            "group_instance_id": group_instance_id,
        }
        self._heartbeat_interval_ms = min(heartbeat_interval_ms, session_timeout_ms // 3)
        self._heart: _Heart | None = None
        self._lock = threading.RLock()
        self._pattern: re.Pattern[str] | None = None
        self._topics: tuple[str, ...] = ()
        self._counts: Mapping[str, int] = {}
        self._metadata_at = 0.0
        self._effects: list[membership.Effect] = []
        self._group_connection: Connection | None = None
        self._fetching: dict[Connection, dict[Partition, tuple[int, int]]] = {}
        self._committed_at = time.monotonic()
        self._pause_until = 0.0
        self._warned: dict[str, Error] = {}
        self._unreachable_since: float | None = None

    # What to read.

    def subscribe(self, topics: Iterable[str] = (), *, pattern: str | None = None) -> None:
        """Reads these topics, or those whose whole name matches, as a member of the group."""
        if self.group_id is None:
            raise ValueError("To use the group management or offset commit APIs, you must provide a valid group.id")
        self._pattern = re.compile(pattern) if pattern is not None else None
        self._topics = tuple(sorted(topics))
        with self._lock:
            self._member = Membership(self.group_id, self._topics, **self._member_options)
        self._metadata_at = 0.0

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Reads exactly these partitions, outside any group's assignment."""
        self.positions.assign(partitions)

    @property
    def assignment(self) -> list[Partition]:
        """The partitions this consumer has now."""
        return list(self.positions)

    @property
    def member_id(self) -> str:
        """Its id in the group, once it has joined."""
        return self._member.member_id if self._member else ""

    @property
    def generation_id(self) -> int:
        """The group's generation it belongs to."""
        return self._member.generation_id if self._member else -1

    # Where to read.

    def seek(self, partition: Partition, offset: int) -> None:
        """The next message of this partition is the one at `offset`."""
        self.positions[partition].seek(offset)

    def seek_to_beginning(self, partitions: Iterable[Partition] = ()) -> None:
        """Back to the oldest message."""
        self._seek_by_time(partitions, EARLIEST)

    def seek_to_end(self, partitions: Iterable[Partition] = ()) -> None:
        """Behind the newest message."""
        self._seek_by_time(partitions, LATEST)

    def _seek_by_time(self, partitions: Iterable[Partition], timestamp: int) -> None:
        wanted = {partition: timestamp for partition in (tuple(partitions) or self.positions)}
        for partition, found in self.admin.list_offsets(wanted, self.isolation_level).items():
            self.seek(partition, found.offset)

    def position(self, partition: Partition) -> int:
        """The offset of the next message for the application."""
        return self.positions[partition].position

    # Reading.

    def poll(self, timeout_ms: float = 1000) -> list[ConsumerRecord]:
        """The next messages, at most `max_poll_records`; none when the time is over. Outages are waited out."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                if self._settle(deadline):
                    taken = self.positions.take(self.max_poll_records)
                    if taken:
                        return taken
                    self._fetch(deadline)
                    taken = self.positions.take(self.max_poll_records)
                    if taken:
                        return taken
                if self.network.cluster.nodes:
                    self._unreachable_since = None
            except Disconnected:
                self._outage()
            if time.monotonic() >= deadline:
                return []

    def join(self, timeout_ms: float = 10_000) -> bool:
        """Waits until this consumer has its partitions and their positions; reads nothing yet."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                if self._settle(deadline) and not self.positions.unknown():
                    return True
            except Disconnected:
                self._outage()
            if time.monotonic() >= deadline:
                return False

    def __iter__(self) -> Iterator[ConsumerRecord]:
        while True:
            yield from self.poll(1000)

    def put_back(self, records: Iterable[ConsumerRecord]) -> None:
        """Records of the last poll that the application did not use after all."""
        self.positions.put_back(records)

    def _outage(self) -> None:
        """Nobody reachable: at the start that is an error soon, later it is waited out."""
        now = time.monotonic()
        if not self.network.cluster.nodes:
            self._unreachable_since = self._unreachable_since or now
            if now - self._unreachable_since > self.network.bootstrap_timeout_ms / 1000:
                raise TimedOut("Timed out waiting for a node assignment. Call: metadata")
        self.network.forget_topics(list(self.network.cluster.topics))
        time.sleep(self.network.retry_backoff_ms / 1000)

    # The group.

    def _settle(self, deadline: float) -> bool:
        """Membership, assignment and positions are as they should be. False: not before the deadline."""
        if self._member is not None:
            self._look_at_metadata()
            if not self._join(deadline):
                return False
            self._auto_commit()
        unknown = self.positions.unknown()
        if unknown:
            self._find_positions(unknown)
        return True

    def _look_at_metadata(self) -> None:
        """Follows topics that appear, vanish or grow."""
        member = self._member
        assert member is not None
        missing = any(name not in self._counts for name in self._topics)
        age = time.monotonic() - self._metadata_at
        if self._metadata_at and age < (0.5 if missing else self.metadata_max_age_ms / 1000):
            return
        if self._pattern is not None:
            cluster = self.network.refresh(None)
            found = (name for name, topic in cluster.topics.items() if not topic.internal)
            self._topics = tuple(sorted(name for name in found if self._pattern.fullmatch(name)))
        else:
            cluster = self.network.refresh(self._topics, create=self.allow_auto_create_topics)
        for name in self._topics:
            error = cluster.topics[name].error
            if error is not Error.NONE and not error.retriable:
                raise_error(error, about=f"topic {name}")
            self._warn(name, error)
        counts = {
            name: len(cluster.topics[name].partitions)
            for name in self._topics
            if cluster.topics[name].error is Error.NONE
        }
        self._metadata_at = time.monotonic()
        if counts != self._counts:
            self._counts = counts
            with self._lock:
                self._effects += member.want(self._topics)

    def _warn(self, topic: str, error: Error) -> None:
        """A topic that cannot be read for now; told once for each reason, as it may be a typing error."""
        if error is Error.NONE:
            self._warned.pop(topic, None)
        elif self._warned.get(topic) is not error:
            self._warned[topic] = error
            self.network.tell(f"WARN Error while fetching metadata : {{{topic}={error.name}}}")

    def _join(self, deadline: float) -> bool:
        """Goes through JoinGroup and SyncGroup when that is due. False when the answers are still to come."""
        member = self._member
        assert member is not None
        while True:
            self._perform()
            if member.state is State.STABLE:
                return True
            pause = self._pause_until - time.monotonic()
            if pause > 0:
                time.sleep(max(min(pause, deadline - time.monotonic()), 0))
                if time.monotonic() < self._pause_until:
                    return False
            connection = self._group_connection
            try:
                if connection is None or connection.idle:
                    connection = self._send_to_group(member)
                    if connection is None:
                        continue
                if not wait_readable([connection], (deadline - time.monotonic()) * 1000):
                    return False
                response = connection.receive(self.network.request_timeout_ms)
            except Disconnected:
                self._drop_group_connection()
                with self._lock:
                    self._effects += member.unanswered()
                raise
            with self._lock:
                if member.state is State.JOINING:
                    self._effects += member.joined(response, self._partition_counts)
                else:
                    self._effects += member.synced(response)
                if member.state is State.OUT and response.error_code != Error.MEMBER_ID_REQUIRED:
                    self._pause_until = time.monotonic() + self.network.retry_backoff_ms / 1000

    def _send_to_group(self, member: Membership) -> Connection | None:
        """Sends what is due to the coordinator; None when it has to be looked up again later."""
        assert self.group_id is not None
        try:
            node = self.network.coordinator(self.group_id)
        except KafkaError as problem:
            if not problem.error.retriable:
                raise
            self._pause_until = time.monotonic() + self.network.retry_backoff_ms / 1000
            return None
        connection = self.network.connection(node, "group")
        with self._lock:
            request = member.next_request()
        if request is None:
            return None
        self._group_connection = connection
        api = join_group if isinstance(request, join_group.Request) else sync_group
        connection.send(api, request)
        return connection

    def _partition_counts(self, topics: set[str]) -> dict[str, int]:
        cluster = self.network.refresh(sorted(topics))
        return {
            name: len(cluster.topics[name].partitions) for name in topics if cluster.topics[name].error is Error.NONE
        }

    def _drop_group_connection(self) -> None:
        if self._group_connection is not None:
            self.network.drop(self._group_connection)
            self._group_connection = None

    def _perform(self) -> None:
        """Does what the membership asked for."""
        assert self.group_id is not None
        while True:
            with self._lock:
                if not self._effects:
                    return
                effect = self._effects.pop(0)
            if isinstance(effect, membership.Assigned):
                self.positions.assign(effect.partitions)
                self._fetching_off()
                self.start_offsets.clear()
                if self._heart is None:
                    self._heart = _Heart(self)
                    self._heart.start()
                if self.on_assigned is not None:
                    self.on_assigned(effect.partitions)
            elif isinstance(effect, membership.Revoke):
                if self.enable_auto_commit:
                    self._commit_quietly(self.positions.consumed())
                self.positions.assign(())
            elif isinstance(effect, membership.Lost):
                self.positions.assign(())
            elif isinstance(effect, membership.FindCoordinator):
                self.network.forget_coordinator(self.group_id)
            else:
                raise error_about(f"group '{self.group_id}'", effect.error.error)

    # Positions.

    def _find_positions(self, partitions: list[Partition]) -> None:
        """CommittedOffset offset; else by reset policy, and saved."""
        try:
            found = self.admin.committed(self.group_id, partitions) if self.group_id is not None else {}
            for partition, committed in found.items():
                self._begin(partition, committed.offset, "committed")
            missing = [partition for partition in partitions if partition not in found]
            if not missing:
                return
            self._reset(missing)
            if self.save_start:
                self._save_start({partition: self.positions[partition].position for partition in missing})
        except TimedOut:
            return
        except KafkaError as problem:
            if problem.error is not Error.UNKNOWN_TOPIC_OR_PARTITION and not problem.error.retriable:
                raise
            time.sleep(self.network.retry_backoff_ms / 1000)

    def _begin(self, partition: Partition, offset: int, why: str) -> None:
        self.positions[partition].seek(offset)
        self.start_offsets[partition] = (offset, why)

    def _reset(self, partitions: list[Partition]) -> None:
        if self.auto_offset_reset == "none":
            names = ", ".join(f"{topic}-{number}" for topic, number in partitions)
            raise NoOffset(f"Undefined offset with no reset policy for partitions: [{names}]")
        timestamp = EARLIEST if self.auto_offset_reset == "earliest" else LATEST
        wanted = {partition: timestamp for partition in partitions}
        for partition, found in self.admin.list_offsets(wanted, self.isolation_level).items():
            self._begin(partition, found.offset, self.auto_offset_reset)

    def _save_start(self, offsets: dict[Partition, int]) -> None:
        if self._member is not None:
            self._commit_quietly(offsets)

    # Fetching.

    def _fetch(self, deadline: float) -> None:
        """Sends a Fetch to every leader that has none under way, and takes in what arrives until the deadline."""
        wanted = self.positions.wanted()
        under_way = {partition for asked in self._fetching.values() for partition in asked}
        try:
            routes = self.network.by_leader(p for p in wanted if p not in under_way)
        except KafkaError as problem:
            if not problem.error.retriable:
                raise
            self._warn(", ".join(sorted({topic for topic, _ in wanted})), problem.error)
            self.network.forget_topics({topic for topic, _ in wanted})
            time.sleep(self.network.retry_backoff_ms / 1000)
            routes = {}
        for node, partitions in routes.items():
            connection = self.network.connection(node, "fetch")
            if connection in self._fetching:
                continue
            try:
                connection.send(fetch, self._fetch_request({p: wanted[p] for p in partitions}))
            except Disconnected:
                self.network.drop(connection)
                raise
            self.fetches[node.id] += 1
            self._fetching[connection] = {p: wanted[p] for p in partitions}
        left = deadline - time.monotonic()
        if not self._fetching:
            time.sleep(max(min(left, 0.05), 0))
            return
        # Wake up for the group: a rebalance is noticed by the heartbeats meanwhile.
        for connection in wait_readable(self._fetching, min(left, 0.1) * 1000):
            asked = self._fetching.pop(connection)
            try:
                response = connection.receive(self.network.request_timeout_ms)
            except Disconnected:
                self.network.drop(connection)
                raise
            self._fetched(asked, response)

    def _fetching_off(self) -> None:
        """Answers to come concern partitions that may be somebody else's: forget those connections."""
        for connection in list(self._fetching):
            self.network.drop(connection)
        self._fetching.clear()

    def _fetch_request(self, wanted: Mapping[Partition, tuple[int, int]]) -> Any:
        topics: dict[str, list[Any]] = {}
        for (topic, partition), (offset, _) in wanted.items():
            topics.setdefault(topic, []).append(
                fetch.FetchPartition(
                    partition=partition, fetch_offset=offset, partition_max_bytes=self.max_partition_fetch_bytes
                )
            )
        return fetch.Request(
            replica_id=-1,
            max_wait_ms=self.fetch_max_wait_ms,
            min_bytes=self.fetch_min_bytes,
            max_bytes=self.fetch_max_bytes,
            isolation_level=self.isolation_level,
            topics=[fetch.FetchTopic(topic=name, partitions=parts) for name, parts in topics.items()],
        )

    def _fetched(self, asked: Mapping[Partition, tuple[int, int]], response: Any) -> None:
        for topic in response.responses:
            for data in topic.partitions:
                partition = (topic.topic, data.partition_index)
                if partition not in asked or not self.positions.current(partition, asked[partition][1]):
                    continue
                error = Error(data.error_code)
                if error is Error.OFFSET_OUT_OF_RANGE:
                    self._reset([partition])
                elif error is not Error.NONE:
                    if not error.retriable:
                        raise_error(error, about=f"{topic.topic}-{data.partition_index}")
                    self.network.forget_topics([topic.topic])
                    time.sleep(self.network.retry_backoff_ms / 1000)
                elif data.records:
                    records, behind = read_records(
                        partition, data.records, data.aborted_transactions if self.isolation_level else None
                    )
                    self.positions.fetched(partition, records, behind)

    # Acknowledging.

    def commit(self, offsets: Mapping[Partition, int] | None = None) -> None:
        """Commits these offsets, or everything handed out so far; returns when the coordinator has stored them."""
        if self.group_id is None:
            raise ValueError("To use the group management or offset commit APIs, you must provide a valid group.id")
        offsets = self.positions.consumed() if offsets is None else offsets
        member = self._member
        generation = member.generation_id if member else -1
        try:
            self.admin.commit(
                self.group_id,
                offsets,
                member_id=member.member_id if member else "",
                generation_id=generation,
                group_instance_id=member.group_instance_id if member else None,
            )
        except KafkaError as problem:
            if member is not None:
                with self._lock:
                    self._effects += member.heard(problem.error, generation)
            raise
        self._committed_at = time.monotonic()

    def ack(self, record: ConsumerRecord) -> int | None:
        """One message is done. Commits when that completes a contiguous prefix: the offset committed, or None."""
        partition = (record.topic, record.partition)
        prefix = self.positions.acknowledge(partition, record.offset)
        if prefix is not None:
            self.commit({partition: prefix})
        return prefix

    def _commit_quietly(self, offsets: dict[Partition, int]) -> None:
        """A commit whose failure means only that something may be done twice."""
        try:
            self.commit(offsets)
        except (KafkaError, TimedOut, Disconnected):
            return

    def _auto_commit(self) -> None:
        if self.enable_auto_commit and (time.monotonic() - self._committed_at) * 1000 > self.auto_commit_interval_ms:
            self._committed_at = time.monotonic()
            self._commit_quietly(self.positions.consumed())

    # The end.

    def close(self, *, leave: bool = True) -> None:
        """Commits if that is automatic, leaves the group at once, closes the connections."""
        member = self._member
        # An outage must not hold up the end for as long as it may hold up the work.
        routing = self.admin.loop.routing
        routing.default_api_timeout_ms = min(routing.default_api_timeout_ms, 5000)
        heart = self._heart
        if heart is not None:
            heart.stop()
        if member is not None and self.group_id is not None and self.network.cluster.nodes:
            if self.enable_auto_commit and member.state is State.STABLE:
                self._commit_quietly(self.positions.consumed())
            with self._lock:
                request = member.leave() if leave else None
            if request is not None:
                try:
                    node = self.network.coordinator(self.group_id)
                    self.network.call(node, leave_group, request, timeout_ms=5000, purpose="leave")
                except (Disconnected, KafkaError):
                    pass  # The session timeout does it then.
        self.network.close()
        self.admin.close()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Heart(threading.Thread):
    """Heartbeats, on a connection of their own."""

    def __init__(self, consumer: Consumer) -> None:
        super().__init__(name="consumer-heartbeat", daemon=True)
        self.consumer = consumer
        self.stopped = threading.Event()

    def stop(self) -> None:
        """Ends it; an unanswered heartbeat is not waited for."""
        self.stopped.set()

    def run(self) -> None:
        consumer = self.consumer
        assert consumer.group_id is not None
        pause = consumer._heartbeat_interval_ms / 1000
        while not self.stopped.wait(pause):
            pause = consumer._heartbeat_interval_ms / 1000
            with consumer._lock:
                request = consumer._member.heartbeat() if consumer._member else None
            if request is None:
                continue
            try:
                node = consumer.network.coordinator(consumer.group_id)
                response = consumer.network.call(node, heartbeat, request, timeout_ms=10_000, purpose="heartbeat")
                error = Error(response.error_code)
            except Disconnected:
                consumer.network.forget_coordinator(consumer.group_id)
                pause = 0.2
                continue
            except KafkaError as problem:
                error = problem.error
            if error.retriable:
                pause = 0.2
            if self.stopped.is_set():
                return
            with consumer._lock:
                assert consumer._member is not None
                consumer._effects += consumer._member.heard(error, request.generation_id)
