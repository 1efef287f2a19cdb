"""The partitions of an internal topic that this broker leads: from the order to lead one until that is over.

A coordinator keeps in memory what the logs of its topic say. When this broker becomes a partition's leader, the whole
log of it is read into its `Contents`; until then, and as long as it cannot be read, nobody is served. What a
coordinator appends reaches the log only in the leadership in which it was decided: afterwards its successor, which may
be this same broker, has read the log already. The end of the leadership unloads the contents.

What is in the records is the coordinator's matter. It makes one `Contents` for each partition, finds the partition of
a key with `serving`, and writes with `InternalPartition.append`. The group coordinator (group_partition.py) does so
with __consumer_offsets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Generic, TypeVar

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from kafkalike.clock import Clock
from kafkalike.cluster import zookeeper
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.coordinator.background import Background
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.control_records import EndTxnMarker, read_marker
from kafkalike.protocol.record import Record
from kafkalike.replication.replication import Replication
from kafkalike.storage.append_path import COORDINATOR, Appended
from kafkalike.storage.log import Log
from zk.client import ConnectionLoss, SessionExpired, ZkClient, ZooKeeperError

log = logging.getLogger(__name__)

# Read in one turn of the reactor while a partition is loaded.
SLICE_BYTES = 256 * 1024
RETRY_SECONDS = 1.0  # until something is tried again that ZooKeeper or the log refused
LONGEST_RETRY_SECONDS = 60.0  # what takes long is tried less and less often

# What a failed append means to the client whose request wanted it.
APPEND_ERRORS = {
    Error.UNKNOWN_TOPIC_OR_PARTITION: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_ENOUGH_REPLICAS: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Error.COORDINATOR_NOT_AVAILABLE,
    Error.NOT_LEADER_OR_FOLLOWER: Error.NOT_COORDINATOR,
    Error.KAFKA_STORAGE_ERROR: Error.NOT_COORDINATOR,
}

KeyValue = tuple[bytes, bytes | None]
AppendDone = Callable[[Error], None]


class Contents:
    """What a coordinator keeps in memory of one partition, as a subclass has it.

    `load` and `unload` are all that a coordinator needs. The others are for those that have to ask somebody before they
    load or serve.
    """

    async def may_load(self) -> bool:
        """Whether this broker leads the partition, as far as anybody else is to be asked about it."""
        return True

    def clear(self) -> None:
        """The log is about to be read, from its beginning; perhaps once more."""

    def load(self, header: batch.BatchHeader, records: list[Record]) -> None:
        """Takes over the next batch of the log."""
        raise NotImplementedError

    def end_transaction(self, producer_id: int, marker: EndTxnMarker) -> None:
        """The log says how a transaction has ended that wrote into this partition."""

    async def loaded(self) -> None:
        """The whole log has been read. No request is served before this returns."""

    def activate(self, took_ms: int) -> None:
        """Requests are served as soon as this returns; loading took this long."""

    def leads_on(self, leader_epoch: int) -> bool:
        """This broker leads the partition in the next epoch, too, and nobody did between: the contents are right.
        False: they are to be loaded anew all the same."""
        return True

    def unload(self) -> None:
        """The leadership is over. Whoever waits is sent to look for the new coordinator."""
        raise NotImplementedError


C = TypeVar("C", bound=Contents)


class Status(Enum):
    """How far a partition is. The value is what calls are answered until it is ACTIVE."""

    LOADING = Error.COORDINATOR_LOAD_IN_PROGRESS
    BROKEN = Error.COORDINATOR_NOT_AVAILABLE
    ACTIVE = Error.NONE


class InternalPartition(Generic[C]):
    """One partition of an internal topic, led here since `leader_epoch`."""

    def __init__(self, topic: InternalTopic[C], index: int, leader_epoch: int) -> None:
        self._topic = topic
        self.index = index
        self.leader_epoch = leader_epoch
        self.status = Status.LOADING
        self.contents: C

    def __str__(self) -> str:
        return f"{self._topic.name}-{self.index}"

    @property
    def is_led(self) -> bool:
        """Whether this object still serves the partition."""
        return self._topic.partitions.get(self.index) is self

    @property
    def isr(self) -> tuple[int, ...]:
        """The in-sync replicas."""
        return self._topic.replication.partitions.find(self._topic.name, self.index).partition.isr

    def append(
        self, pairs: Sequence[KeyValue], done: AppendDone, errors: Mapping[Error, Error] = APPEND_ERRORS
    ) -> None:
        """Writes (key, value) records as one batch, with acks=all, as long as this is what is served. `done` is told
        NONE when all in-sync replicas have it, else what `errors` makes of the log's error."""
        topic = self._topic

        def appended(result: Appended | KafkaError) -> None:
            done(errors.get(result.error, result.error) if isinstance(result, KafkaError) else Error.NONE)

        try:
            self._check_leadership()
        except KafkaError as problem:
            appended(problem)
            return
        now_ms = topic.clock.wall_ms()
        record = batch.build([(key, value, now_ms, ()) for key, value in pairs])
        topic.replication.replicas.append(
            topic.name, self.index, memoryview(record), -1, topic.append_timeout_ms, appended, origin=COORDINATOR
        )

    def _check_leadership(self) -> None:
        """KafkaError unless this is still what is served of the partition. Who was given up writes no more: its
        successor, which may be on this same broker, has read the log already.

        While an order of the controller is carried out, the partition has its new leader epoch before this object has.
        If that is the next epoch, this one goes on in it: Contents.leads_on.
        """
        hosted = self._topic.replication.partitions.find(self._topic.name, self.index)
        ahead = hosted.partition.leader_epoch - self.leader_epoch
        if not self.is_led or ahead not in (0, 1):
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER, f"{self} has moved")


class InternalTopic(Generic[C]):
    """The partitions of one internal topic that this broker leads."""

    def __init__(
        self,
        name: str,
        configured_partitions: int,
        append_timeout_ms: int,
        contents: Callable[[InternalPartition[C]], C],
        replication: Replication,
        metadata: MetadataCache,
        zk: ZkClient,
        reactor: IReactorTime,
        clock: Clock,
        background: Background,
    ) -> None:
        """`configured_partitions`: how many the topic will have when it is made. `contents(partition)` makes what its
        log will be read into."""
        self.name = name
        self._configured_partitions = configured_partitions
        self.append_timeout_ms = append_timeout_ms
        self._contents = contents
        self.replication = replication
        self._metadata = metadata
        self._zk = zk
        self._reactor = reactor
        self.clock = clock
        self._background = background
        self.partitions: dict[int, InternalPartition[C]] = {}
        self._count = 0  # of the topic's partitions, as ZooKeeper had it
        self._stopped = False
        replication.leadership.on_change(name, self._leadership)

    def stop(self) -> None:
        """Unloads every partition, and begins to lead no other."""
        self._stopped = True
        for partition in list(self.partitions.values()):
            self._unload(partition)

    # The partition that a key belongs to.

    def partition_for(self, key: str) -> int:
        """The number of the partition whose leader coordinates what has this key: a group id, a transactional id."""
        topic = self._metadata.image.topics.get(self.name)
        if topic is None:
            return partition_of(key, self._configured_partitions)
        return partition_of(key, max(len(topic.partitions), self._count))

    def find(self, key: str) -> InternalPartition[C] | None:
        """The partition of this key, if this broker leads it, served already or not."""
        return self.partitions.get(self.partition_for(key))

    def serving(self, key: str) -> C:
        """The contents of the partition of this key; KafkaError if they are not served here, or not yet."""
        partition = self.partitions.get(self.partition_for(key))
        if partition is None:
            raise KafkaError(Error.NOT_COORDINATOR)
        if partition.status is not Status.ACTIVE:
            raise KafkaError(partition.status.value)
        return partition.contents

    def error_of(self, key: str) -> Error:
        """NONE if what has this key is served here, else what to answer."""
        partition = self.find(key)
        return Error.NOT_COORDINATOR if partition is None else partition.status.value

    def active(self) -> list[C]:
        """The contents of all partitions that are served."""
        return [each.contents for each in self.partitions.values() if each.status is Status.ACTIVE]

    @property
    def is_loading(self) -> bool:
        """Whether some partition is not served yet."""
        return any(each.status is Status.LOADING for each in self.partitions.values())

    # Leadership.

    def _leadership(self, index: int, leader_epoch: int, leading: bool) -> None:
        partition = self.partitions.get(index)
        if partition is not None and not leading:
            self._unload(partition)
        elif leading and not self._stopped and (partition is None or leader_epoch != partition.leader_epoch):
            if partition is not None:
                # No other broker has led between two neighbouring epochs of this one.
                if leader_epoch == partition.leader_epoch + 1 and partition.contents.leads_on(leader_epoch):
                    partition.leader_epoch = leader_epoch
                    return
                self._unload(partition)
            partition = self.partitions[index] = InternalPartition(self, index, leader_epoch)
            partition.contents = self._contents(partition)
            self._background.run(self._load(partition))

    def _unload(self, partition: InternalPartition[C]) -> None:
        if partition.is_led:
            del self.partitions[partition.index]
        partition.contents.unload()

    # Loading.

    async def _load(self, partition: InternalPartition[C]) -> None:
        began_ms = self.clock.monotonic_ms()
        if not await partition.contents.may_load():
            if partition.is_led:
                del self.partitions[partition.index]
            return
        await self._count_partitions(partition)
        await self._read(partition)
        await partition.contents.loaded()
        if partition.is_led:
            # What fails here stays unserved: a part of the contents would pass for the whole.
            partition.contents.activate(self.clock.monotonic_ms() - began_ms)
            partition.status = Status.ACTIVE

    async def _count_partitions(self, partition: InternalPartition[C]) -> None:
        """Partitions that have never had a leader are in no metadata: if there may be such, ZooKeeper is asked, as
        often as it takes: with a wrong number keys are looked for where they do not belong."""
        topic = self._metadata.image.topics.get(self.name)
        if topic is not None and len(topic.partitions) >= self._configured_partitions:
            return
        while partition.is_led:
            try:
                node = await zookeeper.read(self._zk, TopicNode, self.name)
                if node is not None:
                    self._count = len(node.partitions)
                return
            except (ConnectionLoss, SessionExpired) as problem:
                log.warning("The number of partitions of %s is not known yet: %s", self.name, type(problem).__name__)
                await task.deferLater(self._reactor, RETRY_SECONDS)
            except ZooKeeperError as problem:
                log.warning("The number of partitions of %s is not known: %s", self.name, problem)
                return

    async def _read(self, partition: InternalPartition[C]) -> None:
        """Reads the log once it can be read, which a replica's copy or another disk may bring."""
        delay = RETRY_SECONDS
        while partition.is_led:
            try:
                partition.contents.clear()
                source = self.replication.partitions.find(self.name, partition.index).log
                await self._read_log(partition, source)
                return
            except Exception:
                if partition.is_led and partition.status is not Status.BROKEN:
                    # Serving what could be read would make the rest disappear.
                    log.exception("%s cannot be read: nothing in it is served until it can", partition)
                    partition.status = Status.BROKEN
            await task.deferLater(self._reactor, delay)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)

    async def _read_log(self, partition: InternalPartition[C], source: Log) -> None:
        """Gives every batch to the contents, a slice in each turn of the reactor; KafkaError if one is damaged."""
        offset = source.log_start_offset
        while offset < source.log_end_offset and partition.is_led:
            found = source.read(offset, SLICE_BYTES, source.log_end_offset, True)
            if found is None:
                break
            for header, data in batch.split(found.read()):
                if not batch.crc_ok(data):
                    raise KafkaError(Error.CORRUPT_MESSAGE, f"the batch at {header.base_offset} is damaged")
                if not header.is_control:
                    partition.contents.load(header, list(batch.records(data)))
                elif (marker := read_marker(data)) is not None:
                    partition.contents.end_transaction(header.producer_id, marker)
                offset = header.last_offset + 1
            await task.deferLater(self._reactor, 0)


def java_hash(text: str) -> int:
    """String.hashCode(): over UTF-16 units, 32 bits, signed."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + units[index] * 256 + units[index + 1]) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


@lru_cache(maxsize=10_000)
def partition_of(key: str, count: int) -> int:
    """The partition, of so many, that a group id or a transactional id belongs to."""
    value = java_hash(key)
    # Java has no positive counterpart of the smallest number; Kafka takes 0.
    return 0 if value == -(1 << 31) else abs(value) % count
