"""What producers, consumers and followers ask of the partitions here: append, read, delete records, wait for replicas.

As in Kafka's ReplicaManager. All are plain calls on the reactor thread: the path of every Produce and Fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import READ_COMMITTED
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.replication.isr import InSyncReplicas
from kafkalike.replication.refused_batches import RefusedBatches
from kafkalike.replication.replication_quota import ReplicationQuota
from kafkalike.replication.timed_purgatory import TimedPurgatory
from kafkalike.replication.topic_traffic import REPLICATION_OUT, TopicTraffic
from kafkalike.storage.append_path import CLIENT, Appended
from kafkalike.storage.file_ranges import FileRange
from kafkalike.storage.log import Log


class Read(NamedTuple):
    """What a read found: the offsets that go with it, and the range of the file (None: nothing there yet).

    `diverging` is (epoch, end offset) when the reader's log diverges from the leader's and must be cut first.
    `caught_up` says that the same read finds the same until a key of the partition is woken; then `on_wake` is called
    with the time until which the reader has asked. `traffic` counts what is sent of the records.
    """

    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: FileRange | None
    diverging: tuple[int, int] | None = None
    caught_up: bool = False
    on_wake: Callable[[int], None] | None = None
    traffic: TopicTraffic | None = None


class Replicas:
    """Serves every partition of which this broker has a replica."""

    def __init__(
        self,
        partitions: HostedPartitions,
        purgatory: TimedPurgatory,
        isr: InSyncReplicas,
        quota: ReplicationQuota,
        cluster: ClusterView,
    ) -> None:
        """`quota` is that of leaders."""
        self._partitions = partitions
        self._purgatory = purgatory
        self._isr = isr
        self._quota = quota
        self._clock = cluster.clock
        self._is_reachable = cluster.is_reachable
        self._refused_batches = RefusedBatches()

    # Records in

    def append_as_leader(
        self, topic: str, index: int, records: memoryview, acks: int, origin: int = CLIENT
    ) -> Appended:
        """Appends what a client or a coordinator sent; `replicated` says when other replicas have it."""
        try:
            hosted = self._partitions.hosted.get((topic, index)) or self._partitions.find(topic, index)
            partition = hosted.partition
            if partition.leader != partition.broker_id:
                raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
            if acks == -1:
                partition.check_replicas()
            now_ms = self._clock.wall_ms()
            if self._refused_batches.entries:
                self._refused_batches.check(topic, index, records, hosted.log.producers, now_ms)
            appended = hosted.log.append(records, partition.leader_epoch, now_ms, origin)
        except KafkaError as problem:
            self._refused_batches.note(topic, index, records, problem.error, self._clock.wall_ms())
            if (topic, index) in self._partitions.hosted:
                self._partitions.hosted[topic, index].traffic.refused(len(records), problem.error)
            raise
        traffic = hosted.traffic
        traffic.produce_requests.count += 1
        if not appended.duplicate:
            traffic.messages_in.count += appended.last_offset - appended.base_offset + 1
            traffic.bytes_in.count += len(records)
        if partition.followers:
            self._purgatory.wake(hosted.appended_key)
        # While followers are in sync the high watermark moves with their next fetches only. (This is
        # InSyncReplicas.advance,
        # written in line.)
        if partition.advance(hosted.log.log_end_offset, now_ms, self._isr.lag_ms, self._is_reachable):
            self._purgatory.wake(hosted.key)
        return appended

    def append(
        self,
        topic: str,
        index: int,
        records: memoryview,
        acks: int,
        timeout_ms: int,
        done: Callable[[Appended | KafkaError], None],
        origin: int = CLIENT,
    ) -> None:
        """Appends and calls `done` with Appended or KafkaError, when `acks` is satisfied."""
        try:
            appended = self.append_as_leader(topic, index, records, acks, origin)
        except KafkaError as problem:
            done(problem)
            return

        def replicated(outcomes: Sequence[Error]) -> None:
            done(appended if outcomes[0] is Error.NONE else KafkaError(outcomes[0]))

        outcome = self.replicated(topic, index, appended.last_offset) if acks == -1 else Error.NONE
        if outcome is None:
            self.await_replicas([(topic, index, appended.last_offset)], timeout_ms, replicated)
        else:
            replicated([outcome])

    # Acknowledgements

    def replicated(self, topic: str, index: int, last_offset: int) -> Error | None:
        """The outcome of acks=all: None while the record at `last_offset` is not on every in-sync replica."""
        hosted = self._partitions.hosted.get((topic, index))
        if hosted is None:
            lost = self._partitions.is_lost((topic, index))
            return Error.KAFKA_STORAGE_ERROR if lost else Error.NOT_LEADER_OR_FOLLOWER
        return hosted.partition.replicated(last_offset)

    def await_replicas(
        self, batches: Sequence[tuple[str, int, int]], timeout_ms: int, done: Callable[[Sequence[Error]], None]
    ) -> None:
        """For acks=all: calls `done` later with an outcome for each of these batches, (topic, partition, last offset),
        which `replicated` does not know yet. When the time is over, that of those still missing is REQUEST_TIMED_OUT.
        """
        waiter = AwaitReplicas(self, batches, done)
        self._purgatory.wait(waiter, [batch[:2] for batch in batches], timeout_ms)

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
        hosted = self._partitions.hosted.get((topic, index)) or self._partitions.find(topic, index)
        partition, source = hosted.partition, hosted.log
        partition.check_epoch(asked.current_leader_epoch)
        if not from_follower:
            partition.check_leading()
        mark = partition.high_watermark
        stable = source.last_stable_offset(mark)
        if asked.last_fetched_epoch >= 0:
            diverging = _diverging(source, asked.last_fetched_epoch, asked.offset)
            if diverging is not None:
                return Read(mark, stable, source.log_start_offset, None, diverging, traffic=hosted.traffic)
        limit = stable if isolation_level == READ_COMMITTED else mark
        records = source.read(asked.offset, max_bytes, limit, min_one_batch) if max_bytes > 0 else None
        caught_up = asked.offset >= limit
        return Read(mark, stable, source.log_start_offset, records, caught_up=caught_up, traffic=hosted.traffic)

    def read_as_follower(
        self, topic: str, index: int, asked: Any, max_bytes: int, min_one_batch: bool, follower: int, broker_epoch: int
    ) -> Read:
        """A follower's read, up to the log's end. What it asks for tells what it has: the high watermark may move."""
        hosted = self._partitions.leader(topic, index, asked.current_leader_epoch)
        partition, source = hosted.partition, hosted.log
        partition.check_follower(follower, broker_epoch, asked.current_leader_epoch)
        if asked.last_fetched_epoch >= 0:
            diverging = _diverging(source, asked.last_fetched_epoch, asked.offset)
            if diverging is not None:
                # Nothing of this tells what the follower has of our log (KAFKA-13141).
                mark = partition.high_watermark
                return Read(mark, mark, source.log_start_offset, None, diverging)
        end = source.log_end_offset
        known = partition.followers[follower]
        if known.log_end_offset == asked.offset < known.leader_end_at_last_fetch:
            # The follower was sent records from there on, and asks for them again: perhaps their checksums are wrong.
            source.corruption.asked_again(asked.offset, self._clock.wall_ms())
        records = source.read(asked.offset, max_bytes, end, min_one_batch)
        now_ms = self._clock.wall_ms()
        if asked.follower_start_offset >= 0:
            known.log_start_offset = asked.follower_start_offset
        partition.fetched(follower, asked.offset, broker_epoch, end, now_ms)
        self._isr.expand(hosted, follower)
        self._isr.advance(hosted, now_ms)
        if hosted.leader_throttled and follower not in partition.isr and self._quota.exceeded(now_ms):
            records = None
        mark = partition.high_watermark
        caught_up = asked.offset >= end and follower in partition.isr and partition.proposal is None
        return Read(
            mark, mark, source.log_start_offset, records if max_bytes > 0 else None,
            caught_up=caught_up, on_wake=partition.followers[follower].asked_until if caught_up else None,
        )  # fmt: skip

    def sent(self, topic: str, index: int, size: int) -> None:
        """Counts bytes of a partition that have left for a follower."""
        REPLICATION_OUT.count += size
        hosted = self._partitions.hosted.get((topic, index))
        if hosted is not None and hosted.leader_throttled:
            self._quota.record(size, self._clock.wall_ms())

    def delete_records(self, topic: str, index: int, offset: int) -> int:
        """Moves the log start up to `offset` (-1: the high watermark) and returns the low watermark."""
        hosted = self._partitions.leader(topic, index)
        target = hosted.partition.high_watermark if offset == -1 else offset
        if target < 0 or target > hosted.partition.high_watermark:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE)
        if "delete" not in hosted.config["cleanup.policy"]:
            raise KafkaError(Error.POLICY_VIOLATION)
        hosted.log.advance_log_start(target)
        self._purgatory.wake(hosted.key)
        return hosted.log.log_start_offset


def _diverging(source: Log, epoch: int, offset: int) -> tuple[int, int] | None:
    """Whether a reader whose last record is of `epoch` and who wants `offset` has what we have before it."""
    known, end = source.end_offset_for_epoch(epoch)
    if end < 0:
        raise KafkaError(Error.OFFSET_OUT_OF_RANGE)
    return (known, end) if known < epoch or end < offset else None


class AwaitReplicas:
    """Batches that were appended with acks=all, until they are on every in-sync replica: Kafka's DelayedProduce."""

    __slots__ = ("_replicas", "_batches", "_outcomes", "_done")

    def __init__(
        self, replicas: Replicas, batches: Sequence[tuple[str, int, int]], done: Callable[[Sequence[Error]], None]
    ) -> None:
        self._replicas = replicas
        self._batches = batches
        self._outcomes: list[Error | None] = [None] * len(batches)
        self._done: Callable[[Sequence[Any]], None] | None = done

    def try_finish(self) -> bool:
        """Tells the outcomes if every batch has one. Who is told may append again, which wakes whoever waits."""
        outcomes, done = self._outcomes, self._done
        if done is None:
            return True
        for at, (topic, index, last_offset) in enumerate(self._batches):
            if outcomes[at] is None:
                outcomes[at] = self._replicas.replicated(topic, index, last_offset)
        if None in outcomes:
            return False
        self._done = None
        done(outcomes)
        return True

    def expire(self) -> None:
        """Tells the outcomes when the replicas have taken too long."""
        done, self._done = self._done, None
        if done is not None:
            done([Error.REQUEST_TIMED_OUT if each is None else each for each in self._outcomes])
