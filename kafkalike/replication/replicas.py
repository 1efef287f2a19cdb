"""Every partition on this broker: its log, its part in replication, the requests that wait for it.

The only caller of `storage/`, and the only place where threads are started for files: loading, fsync of checkpoints,
deletion and retention. Appends and reads are plain calls on the reactor thread. The controller's LeaderAndIsr and
StopReplica are carried out one after the other; nothing else changes which partitions are here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from twisted.internet import defer, task, threads
from twisted.internet.defer import Deferred

from kafkalike.config import Config, ConfigException, topic_config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import leader_and_isr, stop_replica
from kafkalike.replication.partition import Partition
from kafkalike.replication.purgatory import Purgatory, Waiter
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.config import LogConfig
from kafkalike.storage.log import Appended, Flush, Log

log = logging.getLogger("kafka.server.ReplicaManager")

READ_COMMITTED = 1
TOPIC_ID_VERSION = 5  # LeaderAndIsr's first version whose response groups errors by topic id
DELETE_EPOCHS = (-1, -2)  # leader epochs in StopReplica that override the check: none known, topic being deleted


def now_ms() -> int:
    """Wall-clock time in milliseconds, as records carry it."""
    return int(time.time() * 1000)


class Hosted:
    """A partition of which this broker has a replica: its state and its log."""

    __slots__ = ("partition", "log", "key", "config", "min_insync_replicas")

    def __init__(self, partition: Partition, log: Log, config: Config) -> None:
        self.partition = partition
        self.log = log
        self.key = (partition.topic, partition.index)
        self.config = config
        self.min_insync_replicas: int = config["min.insync.replicas"]


class Read(NamedTuple):
    """What a read found: the offsets that go with it, and the range of the file (None: nothing there yet)."""

    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: Any


class Replicas:
    """All of them. `overrides` holds each topic's own configuration, as text."""

    def __init__(self, broker_id: int, config: Config, reactor: Any, fetch_overrides: Callable[[str], Any]) -> None:
        self._broker_id = broker_id
        self._config = config
        self._reactor = reactor
        self._fetch_overrides = fetch_overrides  # topic -> Deferred of its overrides
        self.overrides: dict[str, dict[str, str]] = {}
        self.directories: list[LogDirectory] = []
        self.hosted: dict[tuple[str, int], Hosted] = {}
        self.purgatory = Purgatory()
        self.controller_epoch = -1
        self.broker_epoch = -1
        self.known: Callable[[str, int], bool] = lambda topic, index: False  # whether the cluster has this partition
        self._leadership: dict[str, list[Callable[[int, int, bool], None]]] = {}
        self._control = defer.DeferredLock()
        self._alarm: Any = None
        self._alarm_ms = 0
        self._loops: list[task.LoopingCall] = []

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
        self._every(config["log.flush.scheduler.interval.ms"], self._flush_old)
        self._every(1000, self._housekeep)

    def stop(self) -> Deferred[None]:
        """Stops the periodic work, writes everything and closes the logs, in a thread."""
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
        return self._in_thread(lambda: [d.checkpoint(marks[d.path]) for d in self.directories])

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
            partition.check_replicas(hosted.min_insync_replicas)
        appended = hosted.log.append(records, partition.leader_epoch, now_ms())
        if partition.advance(hosted.log.log_end_offset):
            self.purgatory.wake(hosted.key)
        return appended

    def replicated(self, topic: str, index: int, last_offset: int) -> bool:
        """Whether every in-sync replica has the record at `last_offset`."""
        hosted = self.hosted.get((topic, index))
        return hosted is not None and hosted.partition.high_watermark > last_offset

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
        if acks != -1 or self.replicated(topic, index, appended.last_offset):
            done(appended)
        else:
            self.wait(_AwaitReplicas(self, topic, index, appended, done), [(topic, index)], timeout_ms)

    # Records out

    def read(
        self,
        topic: str,
        index: int,
        offset: int,
        max_bytes: int,
        current_leader_epoch: int,
        isolation_level: int,
        min_one_batch: bool,
    ) -> Read:
        """A consumer's read, up to the high watermark, or the last stable offset for read_committed."""
        hosted = self.leader(topic, index, current_leader_epoch)
        source, mark = hosted.log, hosted.partition.high_watermark
        stable = source.last_stable_offset(mark)
        limit = stable if isolation_level == READ_COMMITTED else mark
        records = source.read(offset, max_bytes, limit, min_one_batch) if max_bytes > 0 else None
        return Read(mark, stable, source.log_start_offset, records)

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
        key = (topic, state.partition_index)
        hosted = self.hosted.get(key)
        try:
            if hosted is None:
                hosted = self._host(topic, topic_id, state.partition_index)
            if hosted.log.topic_id and topic_id.strip(b"\0") and hosted.log.topic_id != topic_id:
                return Error.INCONSISTENT_TOPIC_ID
            partition = hosted.partition
            if not partition.assign(state):
                return Error.STALE_CONTROLLER_EPOCH
            if partition.leading:
                hosted.log.assign_epoch(partition.leader_epoch, hosted.log.log_end_offset)
                partition.advance(hosted.log.log_end_offset)
        except OSError as problem:
            log.error("Replica of %s-%d cannot be opened: %s", topic, state.partition_index, problem)
            return Error.KAFKA_STORAGE_ERROR
        except KafkaError as problem:
            return problem.error
        changed.append(hosted)
        return Error.NONE

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
        hosted = self.hosted[key] = Hosted(Partition(self._broker_id, topic, index, mark), opened, config)
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
            hosted.partition.leader = -1
            self._announce(hosted)
            self.purgatory.wake(key)
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


class _AwaitReplicas:
    """An internal append that waits for the other replicas."""

    def __init__(self, replicas: Replicas, topic: str, index: int, appended: Appended, done: Callable) -> None:
        self._replicas = replicas
        self._topic = topic
        self._index = index
        self._appended = appended
        self._done = done

    def try_finish(self) -> bool:
        hosted = self._replicas.hosted.get((self._topic, self._index))
        if hosted is None or not hosted.partition.leading:
            self._done(KafkaError(Error.NOT_LEADER_OR_FOLLOWER))
            return True
        if hosted.partition.high_watermark > self._appended.last_offset:
            self._done(self._appended)
            return True
        return False

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
