"""Every partition on this broker: its log, its part in replication, the requests that wait for it.

The only caller of `storage/`, and the only place where threads are started for files: loading, fsync of checkpoints,
deletion and retention. Appends and reads are plain calls on the reactor thread. The controller's LeaderAndIsr and
StopReplica are carried out one after the other; nothing else changes which partitions are here.

Two keys wake waiting requests of a partition: `key` when its high watermark, log start or leadership changed
(consumers, producers with acks=all), `appended_key` when its log grew (followers).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from twisted.internet import defer, task, threads
from twisted.internet.defer import Deferred

from kafkalike.config import Config, ConfigException, topic_config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import read_header
from kafkalike.protocol.messages import leader_and_isr, list_offsets, stop_replica
from kafkalike.replication.fetchers import Ask, Fetchers
from kafkalike.replication.follower import Following, Position, truncation
from kafkalike.replication.partition import NO_LEADER, Partition
from kafkalike.replication.proposals import Proposals
from kafkalike.replication.purgatory import Purgatory, Waiter
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Appended, Flush, Log

log = logging.getLogger("kafka.server.ReplicaManager")

READ_COMMITTED = 1
EARLIEST, LATEST = -2, -1  # timestamps of ListOffsets
LIST_OFFSETS_VERSION = 9  # what inter.broker.protocol.version 3.9 means
TOPIC_ID_VERSION = 5  # LeaderAndIsr's first version whose response groups errors by topic id
DELETE_EPOCHS = (-1, -2)  # leader epochs in StopReplica that override the check: none known, topic being deleted


def now_ms() -> int:
    """Wall-clock time in milliseconds, as records carry it."""
    return int(time.time() * 1000)


class Hosted:
    """A partition of which this broker has a replica: its state and its log."""

    __slots__ = ("partition", "log", "key", "appended_key", "config")

    def __init__(self, partition: Partition, log: Log, config: Config) -> None:
        self.partition = partition
        self.log = log
        self.key = (partition.topic, partition.index)
        self.appended_key = (partition.topic, partition.index, "appended")
        self.config = config


class Read(NamedTuple):
    """What a read found: the offsets that go with it, and the range of the file (None: nothing there yet).

    `diverging` is (epoch, end offset) when the reader's log has left ours: it must be cut before it goes on.
    """

    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: Any
    diverging: tuple[int, int] | None = None


class Replicas:
    """All of them. `overrides` holds each topic's own configuration, as text."""

    def __init__(
        self,
        broker_id: int,
        config: Config,
        reactor: Any,
        fetch_overrides: Callable[[str], Any],
        ask: Ask | None = None,
        ask_controller: Callable[[Any], Deferred[Any]] | None = None,
    ) -> None:
        """`ask(broker id, message module, version, request)` and `ask_controller(request)` send to other brokers."""
        self._broker_id = broker_id
        self._config = config
        self._reactor = reactor
        self._fetch_overrides = fetch_overrides  # topic -> Deferred of its overrides
        self.overrides: dict[str, dict[str, str]] = {}
        self.directories: list[LogDirectory] = []
        self.hosted: dict[tuple[str, int], Hosted] = {}
        self.purgatory = Purgatory()
        self.controller_epoch = -1
        self._broker_epoch = -1
        self.known: Callable[[str, int], bool] = lambda topic, index: False  # whether the cluster has this partition
        self.reachable: Callable[[int], bool] = lambda broker_id: True  # whether that broker's address is known
        self.leaving = False  # before a stop: whoever takes over need not wait for us as a follower
        self.before_cut: Callable[[Log], None] = lambda log: None  # ends every unsent range of a log
        self._lag_ms: int = config["replica.lag.time.max.ms"]
        self._ask = ask or _nobody
        self._fetchers = Fetchers(broker_id, config, reactor, self, self._ask)
        self._proposals = Proposals(broker_id, ask_controller or _nobody, self._isr_changed, reactor)
        self._leadership: dict[str, list[Callable[[int, int, bool], None]]] = {}
        self._control = defer.DeferredLock()
        self._alarm: Any = None
        self._alarm_ms = 0
        self._loops: list[task.LoopingCall] = []

    @property
    def broker_epoch(self) -> int:
        """The czxid of this broker's registration."""
        return self._broker_epoch

    @broker_epoch.setter
    def broker_epoch(self, epoch: int) -> None:
        self._broker_epoch = self._proposals.broker_epoch = epoch

    # Starting and stopping

    def load(self, cluster_id: str, overrides: Mapping[str, dict[str, str]]) -> Deferred[None]:
        """Opens and recovers every log, in a thread. Errors are lines for the operator."""
        self.overrides = dict(overrides)
        self.directories = [LogDirectory(path) for path in self._config.log_dirs]

        def open_all() -> None:
            for directory in self.directories:
                directory.open(self._broker_id, cluster_id, self._log_config, now_ms())

        return threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), open_all)

    def start(self) -> None:
        """Starts the periodic work: retention, checkpoints, flushes, removal of deleted files."""
        config = self._config
        self._every(config["replica.high.watermark.checkpoint.interval.ms"], self.checkpoint)
        self._every(config["log.flush.offset.checkpoint.interval.ms"], self._checkpoint_recovery_points)
        self._every(config["log.retention.check.interval.ms"], self._retain)
        self._every(config["producer.id.expiration.check.interval.ms"], self._expire_producers)
        # Also segments that a roll finished and files of new logs become due, whatever the flush policy.
        self._every(min(config["log.flush.scheduler.interval.ms"], 1000), self._flush_old)
        self._every(1000, self._housekeep)
        self._every(self._lag_ms // 2, self._shrink)

    def stop(self) -> Deferred[None]:
        """Stops the periodic work, writes everything and closes the logs, in a thread."""
        self._fetchers.close()
        self._proposals.stop()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        marks = self._high_watermarks()

        def close_all() -> None:
            for directory in self.directories:
                directory.checkpoint(marks[directory.path])
                directory.close()

        return threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), close_all)

    def _every(self, interval_ms: int, work: Callable[[], Any]) -> None:
        if not 0 < interval_ms < 2**40:
            return
        loop = task.LoopingCall(work)
        loop.clock = self._reactor
        loop.start(interval_ms / 1000, now=False).addErrback(
            lambda failure: log.error("Periodic work ended: %s", failure.getTraceback())
        )
        self._loops.append(loop)

    def _in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        def failed(failure: Any) -> None:
            log.error("Work on the log directories failed: %s", failure.value)

        deferred = threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)
        return deferred.addErrback(failed)

    def _log_config(self, topic: str) -> LogConfig:
        try:
            return LogConfig.of(self.topic_config(topic))
        except ConfigException as problem:
            log.error("The configuration of topic %s in ZooKeeper is ignored: %s", topic, problem)
            self.overrides[topic] = {}
            return LogConfig.of(self.topic_config(topic))

    def topic_config(self, topic: str) -> Config:
        """The effective configuration of a topic."""
        return topic_config(self._config, self.overrides.get(topic, {}))

    def _high_watermarks(self) -> dict[str, dict[tuple[str, int], int]]:
        marks: dict[str, dict[tuple[str, int], int]] = {}
        for directory in self.directories:
            known = marks[directory.path] = dict(directory.high_watermarks)
            for key in directory.logs:
                if key in self.hosted:
                    known[key] = self.hosted[key].partition.high_watermark
        return marks

    def checkpoint(self) -> Deferred[Any]:
        """Writes the high watermarks."""
        marks = self._high_watermarks()

        def write() -> None:
            for directory in self.directories:
                directory.checkpoint(marks[directory.path])

        return self._in_thread(write)

    def _checkpoint_recovery_points(self) -> Deferred[Any]:
        def write() -> None:
            for directory in self.directories:
                directory.checkpoint_recovery_points()
                directory.checkpoint_log_starts()

        return self._in_thread(write)

    def _flush_old(self) -> None:
        now = now_ms()
        for hosted in self.hosted.values():
            if hosted.log.flush_due(now):
                flush = hosted.log.begin_flush(now)
                if flush is not None:
                    self._flush(flush)

    def _flush(self, flush: Flush) -> None:
        """The fsyncs in a thread, the outcome here."""

        def failed(failure: Any) -> None:
            flush.finish(failure.value)

        deferred = threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), flush.run)
        deferred.addCallbacks(lambda _: flush.finish(), failed)
        deferred.addErrback(lambda failure: log.error("Flush failed: %s", failure.value))

    def _retain(self) -> Deferred[Any]:
        def steps() -> Iterator[None]:
            for hosted in list(self.hosted.values()):
                hosted.log.retain(now_ms(), hosted.partition.high_watermark)
                yield

        return task.coiterate(steps())

    def _expire_producers(self) -> None:
        for hosted in self.hosted.values():
            hosted.log.expire_producers(now_ms())

    def _housekeep(self) -> Deferred[Any]:
        """Looks at the free space and removes what was deleted a while ago."""

        def work() -> None:
            for directory in self.directories:
                directory.watch_space()
                directory.purge(now_ms())

        return self._in_thread(work)

    # Finding partitions

    def _find(self, topic: str, index: int) -> Hosted:
        hosted = self.hosted.get((topic, index))
        if hosted is None:
            if self.known(topic, index):
                raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
            raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION)
        return hosted

    def leader(self, topic: str, index: int, current_leader_epoch: int = -1) -> Hosted:
        """The partition, led by this broker; else KafkaError 3, 6, 74 or 75."""
        hosted = self._find(topic, index)
        hosted.partition.check_epoch(current_leader_epoch)
        hosted.partition.check_leading()
        return hosted

    def partition(self, topic: str, index: int) -> Partition:
        """The state of a partition that is here."""
        return self._find(topic, index).partition

    def log(self, topic: str, index: int) -> Log:
        """The log of a partition that is here."""
        return self._find(topic, index).log

    # Records in

    def append_as_leader(self, topic: str, index: int, records: memoryview, acks: int) -> Appended:
        """Appends what a client sent. Waiting for other replicas is up to the caller (`replicated`)."""
        hosted = self.hosted.get((topic, index)) or self._find(topic, index)
        partition = hosted.partition
        if partition.leader != partition.broker_id:
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
        if acks == -1:
            partition.check_replicas()
        appended = hosted.log.append(records, partition.leader_epoch, now_ms())
        if partition.followers:
            self.purgatory.wake(hosted.appended_key)
        elif partition.advance(hosted.log.log_end_offset):
            self.purgatory.wake(hosted.key)
        return appended

    def replicated(self, topic: str, index: int, last_offset: int) -> Error | None:
        """For acks=all: None while the record at `last_offset` is not on every in-sync replica, else the outcome."""
        hosted = self.hosted.get((topic, index))
        return Error.NOT_LEADER_OR_FOLLOWER if hosted is None else hosted.partition.replicated(last_offset)

    def append(
        self,
        topic: str,
        index: int,
        records: memoryview,
        acks: int,
        timeout_ms: int,
        done: Callable[[Any], None],
        internal: bool = False,
    ) -> None:
        """Appends and calls `done` with Appended or KafkaError, when `acks` is satisfied."""
        try:
            appended = self.append_as_leader(topic, index, records, acks)
        except KafkaError as problem:
            done(problem)
            return
        waiter = _AwaitReplicas(self, topic, index, appended, done)
        if acks != -1:
            done(appended)
        elif not waiter.try_finish():
            self.wait(waiter, [(topic, index)], timeout_ms)

    # Records out

    def read(
        self,
        topic: str,
        index: int,
        asked: Any,
        max_bytes: int,
        isolation_level: int,
        min_one_batch: bool,
        from_follower: bool = False,
    ) -> Read:
        """A consumer's read, up to the high watermark, or the last stable offset for read_committed.

        `asked` has offset, current_leader_epoch and last_fetched_epoch. With `from_follower` a replica that does not
        lead answers too, as far as it knows (KIP-392).
        """
        hosted = self.hosted.get((topic, index)) or self._find(topic, index)
        partition, source = hosted.partition, hosted.log
        partition.check_epoch(asked.current_leader_epoch)
        if not from_follower:
            partition.check_leading()
        mark = partition.high_watermark
        stable = source.last_stable_offset(mark)
        if asked.last_fetched_epoch >= 0:
            diverging = self._diverging(source, asked.last_fetched_epoch, asked.offset)
            if diverging is not None:
                return Read(mark, stable, source.log_start_offset, None, diverging)
        limit = stable if isolation_level == READ_COMMITTED else mark
        records = source.read(asked.offset, max_bytes, limit, min_one_batch) if max_bytes > 0 else None
        return Read(mark, stable, source.log_start_offset, records)

    def read_as_follower(
        self, topic: str, index: int, asked: Any, max_bytes: int, min_one_batch: bool, follower: int, broker_epoch: int
    ) -> Read:
        """A follower's read, up to the log's end. What it asks for tells what it has: the high watermark may move."""
        hosted = self.leader(topic, index, asked.current_leader_epoch)
        partition, source = hosted.partition, hosted.log
        partition.check_follower(follower, broker_epoch)
        if asked.last_fetched_epoch >= 0:
            diverging = self._diverging(source, asked.last_fetched_epoch, asked.offset)
            if diverging is not None:
                # Nothing of this tells what the follower has of our log (KAFKA-13141).
                mark = partition.high_watermark
                return Read(mark, mark, source.log_start_offset, None, diverging)
        end = source.log_end_offset
        records = source.read(asked.offset, max_bytes, end, min_one_batch)
        now = now_ms()
        partition.fetched(follower, asked.offset, broker_epoch, end, now)
        if partition.joiner(follower):
            self._propose(hosted, (*partition.isr, follower))
        if partition.advance(end, now, self._lag_ms, self.reachable):
            self.purgatory.wake(hosted.key)
        mark = partition.high_watermark
        return Read(mark, mark, source.log_start_offset, records if max_bytes > 0 else None)

    @staticmethod
    def _diverging(source: Log, epoch: int, offset: int) -> tuple[int, int] | None:
        """Whether a reader whose last record is of `epoch` and who wants `offset` has what we have before it."""
        known, end = source.end_offset_for_epoch(epoch)
        if end < 0:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE)
        return (known, end) if known < epoch or end < offset else None

    def delete_records(self, topic: str, index: int, offset: int) -> int:
        """Moves the log start up to `offset` (-1: the high watermark) and returns the low watermark."""
        hosted = self.leader(topic, index)
        target = hosted.partition.high_watermark if offset == -1 else offset
        if target < 0 or target > hosted.partition.high_watermark:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE)
        if "delete" not in hosted.config["cleanup.policy"]:
            raise KafkaError(Error.POLICY_VIOLATION)
        hosted.log.advance_log_start(target)
        self.purgatory.wake(hosted.key)
        return hosted.log.log_start_offset

    # Waiting

    def wait(self, waiter: Waiter, keys: list[tuple[str, int]], timeout_ms: int) -> None:
        """Keeps a request until one of `keys` is woken and it can answer, or its time is over."""
        deadline = int(time.monotonic() * 1000) + max(timeout_ms, 0)
        self.purgatory.watch(waiter, keys, deadline)
        if self._alarm is None or deadline < self._alarm_ms:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        due = self.purgatory.next_deadline_ms
        if due is None:
            self._alarm = None
            return
        self._alarm_ms = due
        self._alarm = self._reactor.callLater(max(due / 1000 - time.monotonic(), 0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.purgatory.expire(int(time.monotonic() * 1000))
        self._set_alarm()

    # Following

    def position_of(self, following: Following) -> Position | None:
        """Where a followed partition goes on; None when it is not followed any more."""
        hosted = self.hosted.get((following.topic, following.index))
        if hosted is None or hosted.partition.leader_epoch != following.leader_epoch:
            return None
        source = hosted.log
        return Position(following.leader_epoch, source.log_end_offset, source.latest_epoch(), source.log_start_offset)

    def take(self, following: Following, position: Position, data: Any) -> Error:
        """What the leader answered for a partition, after `position`. The error decides when it is asked again."""
        hosted = self.hosted.get((following.topic, following.index))
        if hosted is None or self.position_of(following) != position:
            return Error.NONE  # The answer is about what was: the next one is not.
        error = Error(data.error_code)
        try:
            if error is Error.NONE:
                self._take(hosted, data)
            elif error is Error.OFFSET_OUT_OF_RANGE:
                self._find_range(hosted, following)
        except KafkaError as problem:
            log.error("Following %s-%d: %s", *hosted.key, problem)
            return problem.error
        return error

    def _take(self, hosted: Hosted, data: Any) -> None:
        partition, source = hosted.partition, hosted.log
        if data.diverging_epoch is not None and data.diverging_epoch.epoch >= 0:
            end = source.log_end_offset
            found = data.diverging_epoch
            mark = partition.high_watermark
            self._cut(hosted, truncation(source.end_offset_for_epoch, end, mark, found.epoch, found.end_offset))
            return
        if data.records is not None and len(data.records):
            if source.log_start_offset == source.log_end_offset:
                # The leader's log may begin inside a batch, which comes whole: our empty log begins with that batch.
                first = read_header(data.records, 0).base_offset
                if first < source.log_end_offset:
                    source.truncate_fully(first)
            source.append_as_follower(data.records, now_ms())
            self.purgatory.wake(hosted.appended_key)
        if data.log_start_offset > source.log_start_offset:
            source.advance_log_start(min(data.log_start_offset, source.log_end_offset))
        if partition.follow(data.high_watermark, source.log_end_offset):
            self.purgatory.wake(hosted.key)

    def _find_range(self, hosted: Hosted, following: Following) -> None:
        """Our end is not in the leader's log: asks where that begins and ends."""
        leader = hosted.partition.leader

        def found(offsets: tuple[int, int]) -> None:
            earliest, latest = offsets
            if self.hosted.get(hosted.key) is not hosted or hosted.partition.leader_epoch != following.leader_epoch:
                return
            end = hosted.log.log_end_offset
            if latest < end:
                self._cut(hosted, latest)
            elif earliest > end:
                log.warning("%s-%d begins anew at %d: the leader has nothing before", *hosted.key, earliest)
                self.before_cut(hosted.log)
                hosted.log.truncate_fully(earliest)
                hosted.partition.high_watermark = earliest

        deferred = self._leader_range(leader, following)
        deferred.addCallbacks(found, lambda failure: log.warning("%s", failure.getErrorMessage()))
        deferred.addErrback(lambda failure: log.error("%s", failure.getTraceback()))

    def _leader_range(self, leader: int, following: Following) -> Deferred[tuple[int, int]]:
        """(earliest, latest) offset of the leader's log."""

        async def ask() -> tuple[int, int]:
            offsets = []
            for timestamp in (EARLIEST, LATEST):
                asked = list_offsets.ListOffsetsPartition(
                    partition_index=following.index,
                    current_leader_epoch=following.leader_epoch,
                    timestamp=timestamp,
                )
                request = list_offsets.Request(
                    replica_id=self._broker_id,
                    topics=[list_offsets.ListOffsetsTopic(name=following.topic, partitions=[asked])],
                )
                response = await self._ask(leader, list_offsets, LIST_OFFSETS_VERSION, request)
                answer = response.topics[0].partitions[0]
                if answer.error_code:
                    raise KafkaError(Error(answer.error_code))
                offsets.append(answer.offset)
            return offsets[0], offsets[1]

        return Deferred.fromCoroutine(ask())

    # In-sync replicas

    def _propose(self, hosted: Hosted, isr: tuple[int, ...]) -> None:
        proposal = hosted.partition.propose(isr)
        self._proposals.submit(hosted.log.topic_id or bytes(16), hosted.partition, proposal)

    def _shrink(self) -> None:
        """Takes followers that have been behind for too long out of their ISR."""
        now = now_ms()
        for hosted in self.hosted.values():
            partition = hosted.partition
            gone = partition.laggards(hosted.log.log_end_offset, now, self._lag_ms)
            if gone:
                log.info("Shrinking ISR of %s-%d: %s is behind", *hosted.key, ",".join(map(str, gone)))
                self._propose(hosted, tuple(b for b in partition.isr if b not in gone))

    def _isr_changed(self, partition: Partition) -> None:
        """The controller agreed to an ISR: what waited for the one that left may go on."""
        hosted = self.hosted.get((partition.topic, partition.index))
        if hosted is None or hosted.partition is not partition:
            return
        partition.advance(hosted.log.log_end_offset, now_ms(), self._lag_ms, self.reachable)
        self.purgatory.wake(hosted.key)
        for broker_id in partition.followers:
            if partition.joiner(broker_id):
                self._propose(hosted, (*partition.isr, broker_id))
                break

    def brokers_gone(self, broker_ids: Collection[int]) -> None:
        """Brokers that the cluster has lost: followers there are not waited for any more."""
        for hosted in self.hosted.values():
            partition = hosted.partition
            if not partition.followers.keys().isdisjoint(broker_ids) and partition.advance(
                hosted.log.log_end_offset, now_ms(), self._lag_ms, self.reachable
            ):
                self.purgatory.wake(hosted.key)

    # What the controller says

    def on_leadership(self, topic: str, callback: Callable[[int, int, bool], None]) -> None:
        """Calls back with (partition, leader epoch, leading) for each change in this topic."""
        self._leadership.setdefault(topic, []).append(callback)

    def leader_and_isr(self, request: Any, version: int = leader_and_isr.VERSIONS[1]) -> Deferred[Any]:
        """Carries out LeaderAndIsr and returns its response, shaped for `version`."""
        return self._control.run(lambda: Deferred.fromCoroutine(self._leader_and_isr(request, version)))

    def stop_replica(self, request: Any) -> Deferred[Any]:
        """Carries out StopReplica and returns its response."""
        return self._control.run(lambda: self._stop_replica(request))

    def check_controller(self, request: Any) -> Error:
        """The broker epoch and controller epoch of a control request against ours; remembers a newer controller."""
        if request.broker_epoch != -1 and request.broker_epoch < self.broker_epoch:
            return Error.STALE_BROKER_EPOCH
        if request.controller_epoch < self.controller_epoch:
            return Error.STALE_CONTROLLER_EPOCH
        self.controller_epoch = request.controller_epoch
        return Error.NONE

    async def _leader_and_isr(self, request: Any, version: int) -> Any:
        error = self.check_controller(request)
        if error:
            return leader_and_isr.Response(error_code=error)
        states = list(_topic_states(request))
        for topic in dict.fromkeys(topic for topic, _, _ in states if topic not in self.overrides):
            self.overrides[topic] = await self._fetch_overrides(topic)
        changed: list[Hosted] = []
        codes = [
            (topic, topic_id, state.partition_index, self._become(topic, topic_id, state, changed))
            for topic, topic_id, state in states
        ]
        for hosted in changed:
            self.purgatory.wake(hosted.key)
            self.purgatory.wake(hosted.appended_key)
            self._announce(hosted)
        outcome = leader_and_isr.LeaderAndIsrPartitionError
        if version < TOPIC_ID_VERSION:
            return leader_and_isr.Response(
                partition_errors=[
                    outcome(topic_name=topic, partition_index=index, error_code=code) for topic, _, index, code in codes
                ]
            )
        by_topic: dict[bytes, list[Any]] = {}
        for _, topic_id, index, code in codes:
            by_topic.setdefault(topic_id, []).append(outcome(partition_index=index, error_code=code))
        return leader_and_isr.Response(
            topics=[
                leader_and_isr.LeaderAndIsrTopicError(topic_id=topic_id, partition_errors=errors)
                for topic_id, errors in by_topic.items()
            ]
        )

    def _become(self, topic: str, topic_id: bytes, state: Any, changed: list[Hosted]) -> Error:
        if self._broker_id not in state.replicas:
            return Error.UNKNOWN_TOPIC_OR_PARTITION
        hosted = self.hosted.get((topic, state.partition_index))
        try:
            if hosted is None:
                if not state.is_new and self._may_be_elsewhere(topic, state.partition_index):
                    return Error.KAFKA_STORAGE_ERROR
                hosted = self._host(topic, topic_id, state.partition_index)
            if hosted.log.topic_id and topic_id.strip(b"\0") and hosted.log.topic_id != topic_id:
                return Error.INCONSISTENT_TOPIC_ID
            if not hosted.partition.assign(state, hosted.log.log_end_offset, now_ms()):
                return Error.STALE_CONTROLLER_EPOCH
            self._fetchers.leave(topic, state.partition_index)
            if hosted.partition.leading:
                self._lead(hosted)
            else:
                self._follow(hosted)
        except OSError as problem:
            log.error("Replica of %s-%d cannot be opened: %s", topic, state.partition_index, problem)
            return Error.KAFKA_STORAGE_ERROR
        except KafkaError as problem:
            log.error("Replica of %s-%d: %s", topic, state.partition_index, problem)
            return problem.error
        changed.append(hosted)
        return Error.NONE

    def _may_be_elsewhere(self, topic: str, index: int) -> bool:
        """Whether a replica that existed may lie in a directory that is offline: it is not made anew, empty."""
        offline = any(directory.offline is not None for directory in self.directories)
        return offline and not any((topic, index) in directory.logs for directory in self.directories)

    def _lead(self, hosted: Hosted) -> None:
        partition = hosted.partition
        hosted.log.assign_epoch(partition.leader_epoch, hosted.log.log_end_offset)
        partition.advance(hosted.log.log_end_offset, now_ms(), self._lag_ms)

    def _follow(self, hosted: Hosted) -> None:
        partition, source = hosted.partition, hosted.log
        if partition.leader == NO_LEADER:
            return
        if source.latest_epoch() < 0 and source.log_end_offset > partition.high_watermark:
            # Without epochs nothing tells where our log left the leader's: only what was committed is sure.
            self._cut(hosted, partition.high_watermark)
        if self.leaving:
            return
        if self.reachable(partition.leader):
            following = Following(
                partition.topic, source.topic_id or bytes(16), partition.index, partition.leader_epoch
            )
            self._fetchers.follow(partition.leader, following)
        else:
            log.warning("%s-%d waits for the address of its leader %d", *hosted.key, partition.leader)

    def _cut(self, hosted: Hosted, offset: int) -> None:
        """Drops what the leader does not have."""
        if offset < hosted.log.log_end_offset:
            log.info("Truncating %s-%d from %d to %d", *hosted.key, hosted.log.log_end_offset, offset)
            self.before_cut(hosted.log)
        hosted.log.truncate(offset)
        hosted.partition.truncated(hosted.log.log_end_offset)

    def _host(self, topic: str, topic_id: bytes, index: int) -> Hosted:
        """The replica of a partition that was not known yet: its log, loaded at the start or new."""
        key = (topic, index)
        config = self.topic_config(topic)
        home = next((d for d in self.directories if key in d.logs), None)
        if home is None:
            home = min(self.directories, key=lambda d: len(d.logs))
            opened = home.create(topic, index, topic_id, self._log_config(topic), now_ms())
            log.info("Created log for partition %s-%d in %s", topic, index, home.path)
        else:
            opened = home.logs[key]
            opened.config = self._log_config(topic)
        mark = min(max(home.high_watermarks.get(key, 0), opened.log_start_offset), opened.log_end_offset)
        partition = Partition(self._broker_id, topic, index, mark, config["min.insync.replicas"])
        hosted = self.hosted[key] = Hosted(partition, opened, config)
        return hosted

    def _announce(self, hosted: Hosted) -> None:
        partition = hosted.partition
        for callback in self._leadership.get(partition.topic, ()):
            callback(partition.index, partition.leader_epoch, partition.leading)

    def _stop_replica(self, request: Any) -> Any:
        error = self.check_controller(request)
        if error:
            return stop_replica.Response(error_code=error)
        errors = []
        for topic, index, leader_epoch, delete in _stops(request):
            code = self._stop(topic, index, leader_epoch, delete)
            errors.append(
                stop_replica.StopReplicaPartitionError(topic_name=topic, partition_index=index, error_code=code)
            )
        return stop_replica.Response(error_code=0, partition_errors=errors)

    def _stop(self, topic: str, index: int, leader_epoch: int, delete: bool) -> Error:
        key = (topic, index)
        hosted = self.hosted.get(key)
        if hosted is not None:
            if leader_epoch not in DELETE_EPOCHS and leader_epoch < hosted.partition.leader_epoch:
                return Error.FENCED_LEADER_EPOCH
            del self.hosted[key]
            self._fetchers.leave(topic, index)
            hosted.partition.leader = NO_LEADER
            self._announce(hosted)
            self.purgatory.wake(key)
            self.purgatory.wake(hosted.appended_key)
        if delete:
            for directory in self.directories:
                found = directory.logs.get(key)
                if found is not None:
                    try:
                        directory.delete(found, now_ms())
                    except OSError as problem:
                        log.error("Replica of %s-%d cannot be deleted: %s", topic, index, problem)
                        return Error.KAFKA_STORAGE_ERROR
                    log.info("Log for partition %s-%d is scheduled for deletion in %s", topic, index, directory.path)
            if not any(topic == name for name, _ in self.hosted):
                self.overrides.pop(topic, None)
        return Error.NONE


def _nobody(*_: Any) -> Deferred[Any]:
    """The way to other brokers for who has none."""
    return defer.fail(ConnectionError("this broker is alone"))


class _AwaitReplicas:
    """An internal append that waits for the other replicas."""

    def __init__(self, replicas: Replicas, topic: str, index: int, appended: Appended, done: Callable) -> None:
        self._replicas = replicas
        self._topic = topic
        self._index = index
        self._appended = appended
        self._done = done

    def try_finish(self) -> bool:
        outcome = self._replicas.replicated(self._topic, self._index, self._appended.last_offset)
        if outcome is None:
            return False
        self._done(self._appended if outcome is Error.NONE else KafkaError(outcome))
        return True

    def expire(self) -> None:
        self._done(KafkaError(Error.REQUEST_TIMED_OUT))


def _topic_states(request: Any) -> Iterator[tuple[str, bytes, Any]]:
    """(topic, topic id, partition state) of a LeaderAndIsr request of any version."""
    for state in request.ungrouped_partition_states:
        yield state.topic_name, bytes(16), state
    for topic in request.topic_states:
        for state in topic.partition_states:
            yield topic.topic_name, topic.topic_id, state


def _stops(request: Any) -> Iterator[tuple[str, int, int, bool]]:
    """(topic, partition, leader epoch, delete) of a StopReplica request of any version."""
    for partition in request.ungrouped_partitions:
        yield partition.topic_name, partition.partition_index, -1, request.delete_partitions
    for topic in request.topics:
        for index in topic.partition_indexes:
            yield topic.name, index, -1, request.delete_partitions
    for topic in request.topic_states:
        for state in topic.partition_states:
            yield topic.topic_name, state.partition_index, state.leader_epoch, state.delete_partition
