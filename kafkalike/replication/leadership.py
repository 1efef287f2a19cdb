"""Which partitions this broker leads and follows: as the controller says, and until a log directory is lost.

Nothing but these two changes which partitions are hosted here. `control_requests.py` brings what the controller says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kafkalike.cluster.znodes.topics import NO_LEADER
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import leader_and_isr, update_metadata
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.fetch_plan import Following
from kafkalike.replication.fetchers import Fetchers
from kafkalike.replication.follower import FollowedPartitions
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.replication.partition import Partition
from kafkalike.replication.purgatory import Purgatory
from kafkalike.replication.repair import Repair
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.partition_metadata import is_other

log = logging.getLogger("kafka.server.ReplicaManager")

DELETE_EPOCHS = (-1, -2)  # leader epochs in StopReplica that override the check: none known, topic being deleted


class Leadership:
    """The leadership of every partition of which this broker has a replica."""

    def __init__(
        self,
        partitions: HostedPartitions,
        purgatory: Purgatory,
        followed: FollowedPartitions,
        fetchers: Fetchers,
        repair: Repair,
        cluster: ClusterView,
        reactor: Any,
    ) -> None:
        self.leaving = False  # before a stop: the next leader need not wait for this broker as a follower
        self._partitions = partitions
        self._purgatory = purgatory
        self._followed = followed
        self._fetchers = fetchers
        self._repair = repair
        self._cluster = cluster
        self._reactor = reactor
        self._listeners: dict[str, list[Callable[[int, int, bool], None]]] = {}

    def on_change(self, topic: str, callback: Callable[[int, int, bool], None]) -> None:
        """Calls back with (partition, leader epoch, leading) for each change in this topic."""
        self._listeners.setdefault(topic, []).append(callback)

    # What the controller says

    def become(
        self,
        topic: str,
        topic_id: bytes,
        state: leader_and_isr.LeaderAndIsrPartitionState,
        changed: list[HostedPartition],
    ) -> Error:
        """Leads or follows a partition, as LeaderAndIsr says; a change is added to `changed`, to be announced."""
        key = (topic, state.partition_index)
        if self._cluster.broker_id not in state.replicas:
            return Error.UNKNOWN_TOPIC_OR_PARTITION
        hosted = self._partitions.hosted.get(key)
        if self._partitions.is_lost(key):
            return Error.KAFKA_STORAGE_ERROR
        try:
            if hosted is None:
                if not state.is_new and self._partitions.may_be_lost(key):
                    return Error.KAFKA_STORAGE_ERROR
                hosted = self._host(topic, topic_id, state.partition_index)
            if is_other(hosted.log.topic_id, topic_id):
                if hosted.log.topic_id == self._cluster.topic_id(topic):
                    return Error.INCONSISTENT_TOPIC_ID
                # The log is of a topic that was deleted while the controller could not tell this broker.
                self.give_up(topic, state.partition_index, DELETE_EPOCHS[0], False)
                hosted = self._host(topic, topic_id, state.partition_index)
            if not hosted.partition.assign(state, hosted.log.log_end_offset, self._cluster.clock.wall_ms()):
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
                self._cluster.replica_refused()
            return problem.error
        changed.append(hosted)
        return Error.NONE

    def _host(self, topic: str, topic_id: bytes, index: int) -> HostedPartition:
        """The replica of a partition that was not known yet: its log, loaded at the start or new."""
        key = (topic, index)
        directories = self._partitions.directories
        log_config = self._partitions.topic_configs.of_logs(topic)
        config = self._partitions.topic_configs.of(topic)
        home = next((d for d in directories if key in d.logs), None)
        if home is not None and is_other(home.logs[key].topic_id, topic_id):
            # The log was here before the topic was deleted, perhaps while this broker was down.
            home.set_aside(home.logs[key])
            home = None
        if home is None:
            home = min((d for d in directories if d.offline is None), key=lambda d: len(d.logs))
            now_ms = self._cluster.clock.wall_ms()
            opened = home.create(topic, index, topic_id if any(topic_id) else None, log_config, now_ms)
            log.info("Created log for partition %s-%d in %s", topic, index, home.path)
        else:
            opened = home.logs[key]
            opened.config = log_config
        opened.corruption.on_suspicion = self._repair.check_next
        self._repair.add(topic, index)
        mark = min(max(home.high_watermarks.get(key, 0), opened.log_start_offset), opened.log_end_offset)
        partition = Partition(self._cluster.broker_id, topic, index, mark, config["min.insync.replicas"])
        hosted = self._partitions.hosted[key] = HostedPartition(partition, opened, config)
        return hosted

    def _lead(self, hosted: HostedPartition) -> None:
        partition = hosted.partition
        hosted.log.assign_epoch(partition.leader_epoch, hosted.log.log_end_offset)
        partition.advance(hosted.log.log_end_offset, self._cluster.clock.wall_ms())

    def _follow(self, hosted: HostedPartition) -> None:
        partition, source = hosted.partition, hosted.log
        if partition.leader == NO_LEADER:
            return
        if source.latest_epoch() < 0 and source.log_end_offset > partition.high_watermark:
            # Without leader epochs the follower cannot find where its log left the leader's: only committed records are
            # sure.
            self._followed.truncate(hosted, partition.high_watermark)
        if self.leaving:
            return
        if self._cluster.is_reachable(partition.leader):
            following = Following(
                partition.topic, source.topic_id or bytes(16), partition.index, partition.leader_epoch
            )
            self._fetchers.follow(partition.leader, following)
        else:
            log.warning("%s-%d waits for the address of its leader %d", *hosted.key, partition.leader)

    def carried_out(self, changed: list[HostedPartition]) -> None:
        """LeaderAndIsr is carried out, or a part of it: what changed is announced, leaders are asked for what is
        followed anew."""
        for hosted in changed:
            self._announce(hosted)
        self._fetchers.begin()

    def _announce(self, hosted: HostedPartition) -> None:
        """Wakes the requests, and calls the parts, that a change of leadership concerns."""
        partition = hosted.partition
        self._purgatory.wake(hosted.key)
        self._purgatory.wake(hosted.appended_key)
        for callback in self._listeners.get(partition.topic, ()):
            callback(partition.index, partition.leader_epoch, partition.leading)

    def give_up(self, topic: str, index: int, leader_epoch: int, delete: bool) -> Error:
        """Hosts a partition no more, as StopReplica says, and takes its log away if told so."""
        key = (topic, index)
        hosted = self._partitions.hosted.get(key)
        if hosted is not None:
            if leader_epoch not in DELETE_EPOCHS and leader_epoch < hosted.partition.leader_epoch:
                return Error.FENCED_LEADER_EPOCH
            self._unhost(hosted)
            self._announce(hosted)
        if self._partitions.is_lost(key):
            return Error.KAFKA_STORAGE_ERROR
        if delete:
            for directory in self._partitions.directories:
                found = directory.logs.get(key)
                if found is not None:
                    try:
                        directory.delete(found, self._cluster.clock.wall_ms())
                    except KafkaError as problem:
                        log.error("Replica of %s-%d cannot be deleted: %s", topic, index, problem)
                        return Error.KAFKA_STORAGE_ERROR
                    log.info("Log for partition %s-%d is scheduled for deletion in %s", topic, index, directory.path)
            if not any(topic == name for name, _ in self._partitions.hosted):
                self._partitions.topic_configs.forget(topic)
        return Error.NONE

    def _unhost(self, hosted: HostedPartition) -> None:
        del self._partitions.hosted[hosted.key]
        self._fetchers.leave(*hosted.key)
        hosted.partition.retire()

    def left_out(self, topic: str, state: update_metadata.UpdateMetadataPartitionState) -> None:
        """A partition state of UpdateMetadata that is newer than ours and has us for no replica: nothing is served here
        any more. Usually StopReplica comes as well; it does not when its controller died before it was sent, and the
        next one knows of the new replicas only. The log stays."""
        hosted = self._partitions.hosted.get((topic, state.partition_index))
        if (
            hosted is not None
            and self._cluster.broker_id not in state.replicas
            and state.replicas
            and state.leader_epoch > hosted.partition.leader_epoch
        ):
            log.info("%s-%d has moved to %s", topic, state.partition_index, state.replicas)
            self.give_up(topic, state.partition_index, state.leader_epoch, False)

    # Log directories that fail

    def directory_failed(self, directory: LogDirectory, _: DirectoryOffline) -> None:
        """May be called in a thread, or in the middle of what a log does."""
        self._reactor.callFromThread(self._lose, directory)

    def _lose(self, directory: LogDirectory) -> None:
        """The partitions in this directory are not served any more; the others are."""
        lost = [hosted for key, hosted in self._partitions.hosted.items() if directory.logs.get(key) is hosted.log]
        log.warning(
            "Stopped serving %d replicas in dir %s: %s",
            len(lost),
            directory.path,
            ", ".join(f"{topic}-{index}" for topic, index in sorted(hosted.key for hosted in lost)[:10]),
        )
        for hosted in lost:
            self._unhost(hosted)
        for hosted in lost:
            self._announce(hosted)
        directory.abandon()
        self._cluster.directory_lost(directory)
