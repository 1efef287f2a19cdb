"""Every partition on this broker: its log, its part in replication, the requests that wait for it.

Appends and reads are plain calls on the reactor thread. `control_requests` brings what the controller says, `follower`
what leaders answer, `log_maintenance` does the periodic work; these and this file are the only callers of `storage/`,
and the only ones that start threads for files. Nothing but a control request changes which partitions are here.

Two keys wake waiting requests of a partition: `key` when its high watermark, log start or leadership changed
(consumers, producers with acks=all), `appended_key` when its log grew (followers).
"""

from __future__ import annotations

import functools
import logging
import operator
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from twisted.internet import defer, threads
from twisted.internet.defer import Deferred

from kafkalike.config import Config, topic_config, usable
from kafkalike.errors import Error, KafkaError
from kafkalike.replication import replica_gauges
from kafkalike.replication.alter_partition import IsrProposals
from kafkalike.replication.control_requests import ControlRequests
from kafkalike.replication.fetch_plan import Following
from kafkalike.replication.fetchers import Ask, Fetchers
from kafkalike.replication.follower import FollowedPartitions
from kafkalike.replication.hosted_partitions import HostedPartition, Read, now_ms
from kafkalike.replication.log_maintenance import LogMaintenance
from kafkalike.replication.partition import NO_LEADER, Partition
from kafkalike.replication.purgatory import Purgatory, Waiter
from kafkalike.replication.refused_batches import RefusedBatches
from kafkalike.replication.repair import Repair
from kafkalike.replication.replication_quota import ReplicationQuota
from kafkalike.replication.topic_traffic import REPLICATION_OUT
from kafkalike.storage.append_path import CLIENT, Appended
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import DirectoryLost, LogDirectory
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.identity import is_other
from kafkalike.storage.log import Log

log = logging.getLogger("kafka.server.ReplicaManager")

READ_UNCOMMITTED, READ_COMMITTED = 0, 1  # isolation levels
DELETE_EPOCHS = (-1, -2)  # leader epochs in StopReplica that override the check: none known, topic being deleted


PRODUCER_ID_EXPIRATION = "producer.id.expiration.ms"  # no topic can set it, but every log needs it
NO_OVERRIDES: Mapping[str, str] = {}


class _TopicConfig(NamedTuple):
    """A topic's effective configuration, whole and for its logs, and the mappings that it was made of."""

    sources: tuple[Mapping[str, str], ...]
    all: Config
    log: LogConfig


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
        self.overrides: dict[str, dict[str, str]] = {}
        self._topic_configs: dict[str, _TopicConfig] = {}
        self._faults: dict[str, list[str]] = {}  # of topics' configurations: the log has a line for them
        self.directories: list[LogDirectory] = []
        self.hosted: dict[tuple[str, int], HostedPartition] = {}
        self.purgatory = Purgatory()
        self._refusals = RefusedBatches()
        self._broker_epoch = -1
        self.known: Callable[[str, int], bool] = lambda topic, index: False  # whether the cluster has this partition
        self.topic_id: Callable[[str], bytes | None] = lambda topic: None  # the id that it has in the cluster
        self.reachable: Callable[[int], bool] = lambda broker_id: True  # whether that broker's address is known
        self.follower_epochs: dict[int, int] = {}  # broker id: the newest broker epoch that its fetches may have
        self.leaving = False  # before a stop: whoever takes over need not wait for us as a follower
        self.before_cut: Callable[[Log], None] = lambda log: None  # ends every unsent range of a log
        self.directory_lost: Callable[[LogDirectory], None] = lambda directory: None  # its disk has failed
        self.replica_refused: Callable[[], None] = lambda: None  # it lacks descriptors or space, for now
        # A veto on who gets in sync.
        self.may_join: Callable[[Partition, int], bool] = lambda partition, broker_id: True
        self._lag_ms: int = config["replica.lag.time.max.ms"]
        self.orders = ControlRequests(self, fetch_overrides, reactor)
        self.upkeep = LogMaintenance(self, config, reactor)
        windows = 1000 * config["replication.quota.window.size.seconds"], config["replication.quota.window.num"]
        self.leader_throttle = ReplicationQuota(lambda: config["leader.replication.throttled.rate"], *windows)
        self.follower_throttle = ReplicationQuota(lambda: config["follower.replication.throttled.rate"], *windows)
        ask = ask or _nobody
        self._fetchers = Fetchers(broker_id, config, reactor, FollowedPartitions(self, broker_id, ask), ask)
        self.mending = Repair(self, broker_id, ask, reactor)
        self._proposals = IsrProposals(broker_id, ask_controller or _nobody, self._isr_changed, reactor)
        self._leadership: dict[str, list[Callable[[int, int, bool], None]]] = {}
        self._alarm: Any = None
        self._alarm_ms = 0
        replica_gauges.watch(self)

    @property
    def broker_epoch(self) -> int:
        """The czxid of this broker's registration."""
        return self._broker_epoch

    @broker_epoch.setter
    def broker_epoch(self, epoch: int) -> None:
        self._broker_epoch = self._proposals.broker_epoch = epoch

    # Starting and stopping

    def load(
        self, cluster_id: str, overrides: Mapping[str, dict[str, str]], directories: Sequence[LogDirectory]
    ) -> Deferred[None]:
        """Opens and recovers every log in these directories, which are locked, in a thread. Errors are lines for the
        operator; directories whose disk fails are gone without, as long as there is another."""
        self.overrides = dict(overrides)
        self.directories = list(directories)

        def open_all() -> None:
            lost: list[DirectoryLost] = []
            for directory in self.directories:
                if directory.offline is not None:
                    continue
                try:
                    directory.open(self._broker_id, cluster_id, self._log_config, now_ms())
                    directory.on_offline = functools.partial(self._directory_failed, directory)
                except DirectoryLost as problem:
                    lost.append(problem)
            if lost and all(directory.offline is not None for directory in self.directories):
                raise lost[0]
            for each in lost:
                log.error("%s", each)

        return threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), open_all)

    def interrupt_load(self) -> None:
        """The broker is to stop: `load` fails as soon as the log that it is at is open."""
        for directory in self.directories:
            directory.interrupted = True

    def stop(self, clean: bool | None = True) -> Deferred[None]:
        """Stops the periodic work, writes everything and closes the logs, in a thread. Without `clean` the next start
        counts as one after an unclean stop; with None it counts as this one did."""
        self._fetchers.close()
        self._proposals.stop()
        self.upkeep.stop()
        self.mending.stop()
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self.upkeep.note_high_watermarks()
        for hosted in self.hosted.values():
            hosted.partition.retire()

        def close_all() -> None:
            for directory in self.directories:
                try:
                    directory.close(directory.clean if clean is None else clean)
                except KafkaError as problem:
                    log.error("%s is not closed cleanly: %s", directory.path, problem)

        return threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), close_all)

    def _log_config(self, topic: str) -> LogConfig:
        return self._configured(topic).log

    def topics_here(self) -> set[str]:
        """Topics of which there is any log, served or not."""
        return {topic for directory in self.directories for topic, _ in directory.logs}

    def topic_config(self, topic: str) -> Config:
        """The effective configuration of a topic."""
        return self._configured(topic).all

    def _configured(self, topic: str) -> _TopicConfig:
        """Made once for all partitions, and anew when what it is made of is another."""
        sources = (self.overrides.get(topic, NO_OVERRIDES), self._config.own, self._config.cluster)
        known = self._topic_configs.get(topic)
        if known is None or not all(map(operator.is_, known.sources, sources)):
            overrides, bad = usable(sources[0])
            if bad and self._faults.get(topic) != bad:
                self._faults[topic] = bad
                log.error("What /config/topics/%s holds is ignored in part: %s", topic, "; ".join(bad))
            values = topic_config(self._config, overrides)
            expiration = {PRODUCER_ID_EXPIRATION: self._config[PRODUCER_ID_EXPIRATION]}
            known = self._topic_configs[topic] = _TopicConfig(sources, values, LogConfig.of(expiration | dict(values)))
        return known

    def configure(self, topic: str, overrides: dict[str, str]) -> None:
        """A topic's own configuration, or a default beneath it, has changed: its logs here follow."""
        self.overrides[topic] = overrides
        for hosted in [hosted for key, hosted in self.hosted.items() if key[0] == topic]:
            hosted.log.config = self._log_config(topic)
            hosted.configure(self.topic_config(topic))
            partition = hosted.partition
            # Fewer replicas may be enough now for what waits.
            if partition.leading:
                partition.advance(hosted.log.log_end_offset, now_ms(), self._lag_ms, self.reachable)
                self.purgatory.wake(hosted.key)

    # Finding partitions

    def _find(self, topic: str, index: int) -> HostedPartition:
        hosted = self.hosted.get((topic, index))
        if hosted is None:
            raise KafkaError(self._absence(topic, index))
        return hosted

    def _absence(self, topic: str, index: int) -> Error:
        """Why a partition is not here."""
        if self._is_lost((topic, index)):
            return Error.KAFKA_STORAGE_ERROR
        return Error.NOT_LEADER_OR_FOLLOWER if self.known(topic, index) else Error.UNKNOWN_TOPIC_OR_PARTITION

    def leader(self, topic: str, index: int, current_leader_epoch: int = -1) -> HostedPartition:
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

    def append_as_leader(
        self, topic: str, index: int, records: memoryview, acks: int, origin: int = CLIENT
    ) -> Appended:
        """Appends what a client or a coordinator sent; `replicated` says when other replicas have it."""
        try:
            hosted = self.hosted.get((topic, index)) or self._find(topic, index)
            partition = hosted.partition
            if partition.leader != partition.broker_id:
                raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
            if acks == -1:
                partition.check_replicas()
            now = now_ms()
            if self._refusals.entries:
                self._refusals.check(topic, index, records, hosted.log.producers, now)
            appended = hosted.log.append(records, partition.leader_epoch, now, origin)
        except KafkaError as problem:
            self._refusals.note(topic, index, records, problem.error, now_ms())
            if (topic, index) in self.hosted:
                self.hosted[topic, index].traffic.refused(len(records), problem.error)
            raise
        traffic = hosted.traffic
        traffic.produce_requests.count += 1
        if not appended.duplicate:
            traffic.messages_in.count += appended.last_offset - appended.base_offset + 1
            traffic.bytes_in.count += len(records)
        if partition.followers:
            self.purgatory.wake(hosted.appended_key)
        # With followers in sync this changes nothing: their next fetches do.
        if partition.advance(hosted.log.log_end_offset, now, self._lag_ms, self.reachable):
            self.purgatory.wake(hosted.key)
        return appended

    def replicated(self, topic: str, index: int, last_offset: int) -> Error | None:
        """For acks=all: None while the record at `last_offset` is not on every in-sync replica, else the outcome."""
        hosted = self.hosted.get((topic, index))
        if hosted is None:
            return Error.KAFKA_STORAGE_ERROR if self._is_lost((topic, index)) else Error.NOT_LEADER_OR_FOLLOWER
        return hosted.partition.replicated(last_offset)

    def append(
        self,
        topic: str,
        index: int,
        records: memoryview,
        acks: int,
        timeout_ms: int,
        done: Callable[[Any], None],
        origin: int = CLIENT,
    ) -> None:
        """Appends and calls `done` with Appended or KafkaError, when `acks` is satisfied."""
        try:
            appended = self.append_as_leader(topic, index, records, acks, origin)
        except KafkaError as problem:
            done(problem)
            return
        waiter = AwaitReplicas(self, topic, index, appended, done)
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
                return Read(mark, stable, source.log_start_offset, None, diverging, traffic=hosted.traffic)
        limit = stable if isolation_level == READ_COMMITTED else mark
        records = source.read(asked.offset, max_bytes, limit, min_one_batch) if max_bytes > 0 else None
        settled = asked.offset >= limit
        return Read(mark, stable, source.log_start_offset, records, settled=settled, traffic=hosted.traffic)

    def read_as_follower(
        self, topic: str, index: int, asked: Any, max_bytes: int, min_one_batch: bool, follower: int, broker_epoch: int
    ) -> Read:
        """A follower's read, up to the log's end. What it asks for tells what it has: the high watermark may move."""
        hosted = self.leader(topic, index, asked.current_leader_epoch)
        partition, source = hosted.partition, hosted.log
        partition.check_follower(follower, broker_epoch, asked.current_leader_epoch)
        if asked.last_fetched_epoch >= 0:
            diverging = self._diverging(source, asked.last_fetched_epoch, asked.offset)
            if diverging is not None:
                # Nothing of this tells what the follower has of our log (KAFKA-13141).
                mark = partition.high_watermark
                return Read(mark, mark, source.log_start_offset, None, diverging)
        end = source.log_end_offset
        known = partition.followers[follower]
        if known.log_end_offset == asked.offset < known.leader_end_at_last_fetch:
            # It was given records from there on, and asks for them again: perhaps their checksums are wrong.
            source.damage.doubt(asked.offset, now_ms())
        records = source.read(asked.offset, max_bytes, end, min_one_batch)
        now = now_ms()
        partition.fetched(follower, asked.offset, broker_epoch, end, now)
        if partition.joiner(follower) and self.may_join(partition, follower):
            self.propose(hosted, (*partition.isr, follower))
        if partition.advance(end, now, self._lag_ms, self.reachable):
            self.purgatory.wake(hosted.key)
        if hosted.leader_throttled and follower not in partition.isr and self.leader_throttle.exceeded(now):
            records = None
        mark = partition.high_watermark
        settled = asked.offset >= end and follower in partition.isr and partition.proposal is None
        return Read(
            mark, mark, source.log_start_offset, records if max_bytes > 0 else None,
            settled=settled, on_stir=partition.followers[follower].asked_until if settled else None,
        )  # fmt: skip

    def sent(self, topic: str, index: int, size: int) -> None:
        """Bytes of a partition have left for a follower."""
        REPLICATION_OUT.count += size
        hosted = self.hosted.get((topic, index))
        if hosted is not None and hosted.leader_throttled:
            self.leader_throttle.record(size, now_ms())

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

    def wait(self, waiter: Waiter, keys: Iterable[tuple[str, int]], timeout_ms: int) -> None:
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

    # In-sync replicas

    def propose(self, hosted: HostedPartition, isr: tuple[int, ...]) -> None:
        """Asks the controller for another ISR."""
        proposal = hosted.partition.propose(isr)
        self._proposals.submit(hosted.log.topic_id or bytes(16), hosted.partition, proposal)

    def _isr_changed(self, partition: Partition) -> None:
        """The controller agreed to an ISR: what waited for the one that left may go on."""
        hosted = self.hosted.get((partition.topic, partition.index))
        if hosted is None or hosted.partition is not partition:
            return
        now = now_ms()
        partition.advance(hosted.log.log_end_offset, now, self._lag_ms, self.reachable)
        self.purgatory.wake(hosted.key)
        for broker_id, follower in partition.followers.items():
            # Who has just left for being behind would join at once again: the high watermark may have stood still.
            behind = now - follower.caught_up_ms > self._lag_ms
            if not behind and partition.joiner(broker_id) and self.may_join(partition, broker_id):
                self.propose(hosted, (*partition.isr, broker_id))
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

    def become(self, topic: str, topic_id: bytes, state: Any, changed: list[HostedPartition]) -> Error:
        """Leads or follows a partition, as LeaderAndIsr says; a change is added to `changed`, to be announced."""
        if self._broker_id not in state.replicas:
            return Error.UNKNOWN_TOPIC_OR_PARTITION
        hosted = self.hosted.get((topic, state.partition_index))
        if self._is_lost((topic, state.partition_index)):
            return Error.KAFKA_STORAGE_ERROR
        try:
            if hosted is None:
                if not state.is_new and self._may_be_elsewhere(topic, state.partition_index):
                    return Error.KAFKA_STORAGE_ERROR
                hosted = self._host(topic, topic_id, state.partition_index)
            if is_other(hosted.log.topic_id, topic_id):
                if hosted.log.topic_id == self.topic_id(topic):
                    return Error.INCONSISTENT_TOPIC_ID
                # Of a topic that was deleted while nobody could tell this broker.
                self.give_up(topic, state.partition_index, DELETE_EPOCHS[0], False)
                hosted = self._host(topic, topic_id, state.partition_index)
            if not hosted.partition.assign(state, hosted.log.log_end_offset, now_ms()):
                return Error.STALE_CONTROLLER_EPOCH
            if hosted.log.topic_id is None and any(topic_id):
                hosted.log.assign_topic_id(topic_id)
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
            if problem.error is Error.KAFKA_STORAGE_ERROR and not isinstance(problem, DirectoryOffline):
                # The controller counts it as gone. What is taken back can be had when it asks again.
                self.give_up(topic, state.partition_index, DELETE_EPOCHS[0], False)
                self.replica_refused()
            return problem.error
        changed.append(hosted)
        return Error.NONE

    def _is_lost(self, key: tuple[str, int]) -> bool:
        """Whether the replica lies in a directory that has failed."""
        return any(directory.offline is not None and key in directory.logs for directory in self.directories)

    def _may_be_elsewhere(self, topic: str, index: int) -> bool:
        """Whether a replica that existed may lie in a directory that is offline: it is not made anew, empty."""
        offline = any(directory.offline is not None for directory in self.directories)
        return offline and not any((topic, index) in directory.logs for directory in self.directories)

    def _lead(self, hosted: HostedPartition) -> None:
        partition = hosted.partition
        hosted.log.assign_epoch(partition.leader_epoch, hosted.log.log_end_offset)
        partition.advance(hosted.log.log_end_offset, now_ms(), self._lag_ms)

    def _follow(self, hosted: HostedPartition) -> None:
        partition, source = hosted.partition, hosted.log
        if partition.leader == NO_LEADER:
            return
        if source.latest_epoch() < 0 and source.log_end_offset > partition.high_watermark:
            # Without epochs nothing tells where our log left the leader's: only what was committed is sure.
            self.cut(hosted, partition.high_watermark)
        if self.leaving:
            return
        if self.reachable(partition.leader):
            following = Following(
                partition.topic, source.topic_id or bytes(16), partition.index, partition.leader_epoch
            )
            self._fetchers.follow(partition.leader, following)
        else:
            log.warning("%s-%d waits for the address of its leader %d", *hosted.key, partition.leader)

    def log_moved(self, hosted: HostedPartition) -> None:
        """A log begins or ends elsewhere now, and it was neither records nor a new leader that did it."""
        self.purgatory.wake(hosted.key)
        self._fetchers.stir(*hosted.key)

    def cut(self, hosted: HostedPartition, offset: int) -> None:
        """Drops what the leader does not have."""
        if offset < hosted.log.log_end_offset:
            log.info("Truncating %s-%d from %d to %d", *hosted.key, hosted.log.log_end_offset, offset)
            self.before_cut(hosted.log)
        hosted.log.truncate(offset)
        hosted.partition.truncated(hosted.log.log_end_offset)

    def _host(self, topic: str, topic_id: bytes, index: int) -> HostedPartition:
        """The replica of a partition that was not known yet: its log, loaded at the start or new."""
        key = (topic, index)
        log_config = self._log_config(topic)
        config = self.topic_config(topic)
        home = next((d for d in self.directories if key in d.logs), None)
        if home is not None and is_other(home.logs[key].topic_id, topic_id):
            # It was here before the topic was deleted, perhaps while this broker was away.
            home.set_aside(home.logs[key])
            home = None
        if home is None:
            home = min((d for d in self.directories if d.offline is None), key=lambda d: len(d.logs))
            opened = home.create(topic, index, topic_id if any(topic_id) else None, log_config, now_ms())
            log.info("Created log for partition %s-%d in %s", topic, index, home.path)
        else:
            opened = home.logs[key]
            opened.config = log_config
        opened.damage.on_suspicion = self.mending.hurry
        self.mending.add(topic, index)
        mark = min(max(home.high_watermarks.get(key, 0), opened.log_start_offset), opened.log_end_offset)
        partition = Partition(self._broker_id, topic, index, mark, config["min.insync.replicas"])
        hosted = self.hosted[key] = HostedPartition(partition, opened, config)
        return hosted

    def carried_out(self, changed: list[HostedPartition]) -> None:
        """An order is done, or a part of it: what changed is announced, leaders are asked for what is followed anew."""
        for hosted in changed:
            self.announce(hosted)
        self._fetchers.begin()

    def announce(self, hosted: HostedPartition) -> None:
        """Wakes and tells everybody whom a change of leadership concerns."""
        partition = hosted.partition
        self.purgatory.wake(hosted.key)
        self.purgatory.wake(hosted.appended_key)
        for callback in self._leadership.get(partition.topic, ()):
            callback(partition.index, partition.leader_epoch, partition.leading)

    def give_up(self, topic: str, index: int, leader_epoch: int, delete: bool) -> Error:
        """Hosts a partition no more, as StopReplica says, and takes its log away if told so."""
        key = (topic, index)
        hosted = self.hosted.get(key)
        if hosted is not None:
            if leader_epoch not in DELETE_EPOCHS and leader_epoch < hosted.partition.leader_epoch:
                return Error.FENCED_LEADER_EPOCH
            del self.hosted[key]
            self._fetchers.leave(topic, index)
            hosted.partition.retire()
            self.announce(hosted)
        if self._is_lost(key):
            return Error.KAFKA_STORAGE_ERROR
        if delete:
            for directory in self.directories:
                found = directory.logs.get(key)
                if found is not None:
                    try:
                        directory.delete(found, now_ms())
                    except KafkaError as problem:
                        log.error("Replica of %s-%d cannot be deleted: %s", topic, index, problem)
                        return Error.KAFKA_STORAGE_ERROR
                    log.info("Log for partition %s-%d is scheduled for deletion in %s", topic, index, directory.path)
            if not any(topic == name for name, _ in self.hosted):
                self.overrides.pop(topic, None)
                self._topic_configs.pop(topic, None)
                self._faults.pop(topic, None)
        return Error.NONE

    def left_out(self, topic: str, state: Any) -> None:
        """A partition state of UpdateMetadata that is newer than ours and has us for no replica: nothing is served here
        any more. Usually StopReplica comes as well; it does not when its controller died before it was sent, and the
        next one knows of the new replicas only. The log stays."""
        hosted = self.hosted.get((topic, state.partition_index))
        if (
            hosted is not None
            and self._broker_id not in state.replicas
            and state.replicas
            and state.leader_epoch > hosted.partition.leader_epoch
        ):
            log.info("%s-%d has moved to %s", topic, state.partition_index, state.replicas)
            self.give_up(topic, state.partition_index, state.leader_epoch, False)

    # Log directories that fail

    def _directory_failed(self, directory: LogDirectory, offline: DirectoryOffline) -> None:
        """May be called in a thread, or in the middle of what a log does."""
        self._reactor.callFromThread(self._lose, directory)

    def _lose(self, directory: LogDirectory) -> None:
        """The partitions in this directory are not served any more; the others are."""
        lost = [hosted for key, hosted in self.hosted.items() if directory.logs.get(key) is hosted.log]
        log.warning(
            "Stopped serving %d replicas in dir %s: %s",
            len(lost),
            directory.path,
            ", ".join(f"{topic}-{index}" for topic, index in sorted(hosted.key for hosted in lost)[:10]),
        )
        for hosted in lost:
            del self.hosted[hosted.key]
            self._fetchers.leave(*hosted.key)
            hosted.partition.retire()
        for hosted in lost:
            self.announce(hosted)
        directory.abandon()
        self.directory_lost(directory)


def _nobody(*_: Any) -> Deferred[Any]:
    """The way to other brokers for who has none."""
    return defer.fail(ConnectionError("this broker is alone"))


class AwaitReplicas:
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
        # Who is told may append again, which wakes whoever still waits.
        self._replicas.purgatory.forget(self)
        self._done(self._appended if outcome is Error.NONE else KafkaError(outcome))
        return True

    def expire(self) -> None:
        self._done(KafkaError(Error.REQUEST_TIMED_OUT))
