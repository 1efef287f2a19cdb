"""What can be looked up at any moment of the partitions of this broker: Kafka's ReplicaManager, Partition and Log.

A leader tells what it knows of a partition's replicas; so the numbers of all brokers add up to those of the cluster.
The kafka_topic_partition_* are what kafka_exporter would ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from kafkalike.metrics import Gauge
from kafkalike.replication.hosted_partitions import HostedPartition
from kafkalike.replication.partition import Partition

LEADERS = Gauge("kafka.server:type=ReplicaManager,name=LeaderCount")
PARTITIONS = Gauge("kafka.server:type=ReplicaManager,name=PartitionCount")
OFFLINE = Gauge("kafka.server:type=ReplicaManager,name=OfflineReplicaCount")
UNDER_REPLICATED = Gauge("kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions")
UNDER_MIN_ISR = Gauge("kafka.server:type=ReplicaManager,name=UnderMinIsrPartitionCount")
AT_MIN_ISR = Gauge("kafka.server:type=ReplicaManager,name=AtMinIsrPartitionCount")
REASSIGNING = Gauge("kafka.server:type=ReplicaManager,name=ReassigningPartitions")
PRODUCER_IDS = Gauge("kafka.server:type=ReplicaManager,name=ProducerIdCount")
OFFLINE_DIRECTORIES = Gauge("kafka.log:type=LogManager,name=OfflineLogDirectoryCount")

OF_LEADER: dict[Gauge, Callable[[HostedPartition], float]] = {
    Gauge("kafka.cluster:type=Partition,name=UnderReplicated", "topic", "partition"): (
        lambda hosted: int(is_under_replicated(hosted.partition))
    ),
    Gauge("kafka.cluster:type=Partition,name=UnderMinIsr", "topic", "partition"): (
        lambda hosted: int(is_under_min_isr(hosted.partition))
    ),
    Gauge("kafka.cluster:type=Partition,name=InSyncReplicasCount", "topic", "partition"): (
        lambda hosted: len(hosted.partition.isr)
    ),
    Gauge("kafka.cluster:type=Partition,name=ReplicasCount", "topic", "partition"): (
        lambda hosted: len(hosted.partition.replicas)
    ),
    Gauge("kafka_topic_partition_leader", "topic", "partition"): lambda hosted: hosted.partition.leader,
    Gauge("kafka_topic_partition_current_offset", "topic", "partition"): (
        lambda hosted: hosted.partition.high_watermark
    ),
    Gauge("kafka_topic_partition_oldest_offset", "topic", "partition"): lambda hosted: hosted.log.log_start_offset,
    Gauge("kafka_topic_partition_replicas", "topic", "partition"): lambda hosted: len(hosted.partition.replicas),
    Gauge("kafka_topic_partition_in_sync_replica", "topic", "partition"): lambda hosted: len(hosted.partition.isr),
    Gauge("kafka_topic_partition_under_replicated_partition", "topic", "partition"): (
        lambda hosted: int(is_under_replicated(hosted.partition))
    ),
    Gauge("kafka_topic_partition_leader_is_preferred", "topic", "partition"): (
        lambda hosted: int(hosted.partition.leader == hosted.partition.replicas[0])
    ),
}
OF_REPLICA: dict[Gauge, Callable[[HostedPartition], float]] = {
    Gauge("kafka.log:type=Log,name=Size", "topic", "partition"): lambda hosted: hosted.log.size_bytes,
    Gauge("kafka.log:type=Log,name=NumLogSegments", "topic", "partition"): lambda hosted: hosted.log.segment_count,
    Gauge("kafka.log:type=Log,name=LogStartOffset", "topic", "partition"): lambda hosted: hosted.log.log_start_offset,
    Gauge("kafka.log:type=Log,name=LogEndOffset", "topic", "partition"): lambda hosted: hosted.log.log_end_offset,
}


class Holder(Protocol):
    """The object that has the partitions."""

    @property
    def hosted(self) -> Mapping[tuple[str, int], HostedPartition]: ...

    @property
    def directories(self) -> list[Any]: ...


def watch(holder: Holder) -> None:
    """Tells these numbers of the holder's partitions as long as it exists."""
    PARTITIONS.watch(holder, lambda each: len(each.hosted))
    LEADERS.watch(holder, lambda each: _count(each, lambda partition: partition.leading))
    UNDER_REPLICATED.watch(holder, lambda each: _count(each, is_under_replicated))
    UNDER_MIN_ISR.watch(holder, lambda each: _count(each, is_under_min_isr))
    AT_MIN_ISR.watch(holder, lambda each: _count(each, is_at_min_isr))
    REASSIGNING.watch(holder, lambda each: _count(each, lambda partition: partition.leading and partition.reassigning))
    PRODUCER_IDS.watch(holder, lambda each: sum(len(hosted.log.producers.entries) for hosted in each.hosted.values()))
    OFFLINE.watch(holder, lambda each: sum(len(lost.logs) for lost in each.directories if lost.offline is not None))
    OFFLINE_DIRECTORIES.watch(holder, lambda each: sum(lost.offline is not None for lost in each.directories))
    for gauge, number in OF_LEADER.items():
        gauge.watch(holder, partial(_of_each, number, only_leaders=True))
    for gauge, number in OF_REPLICA.items():
        gauge.watch(holder, partial(_of_each, number, only_leaders=False))


def _count(holder: Holder, counts: Callable[[Partition], bool]) -> int:
    return sum(counts(hosted.partition) for hosted in holder.hosted.values())


def _of_each(
    number: Callable[[HostedPartition], float], holder: Holder, only_leaders: bool
) -> Iterator[tuple[tuple[str, str], float]]:
    for (topic, index), hosted in list(holder.hosted.items()):
        if hosted.partition.leading or not only_leaders:
            yield (topic, str(index)), number(hosted)


def is_under_replicated(partition: Partition) -> bool:
    """Whether this broker leads and lacks a replica in the ISR."""
    return partition.leading and not set(partition.replicas) <= set(partition.isr)


def is_under_min_isr(partition: Partition) -> bool:
    """Whether this broker leads and must refuse acks=all."""
    return partition.leading and len(partition.isr) < partition.effective_min_isr


def is_at_min_isr(partition: Partition) -> bool:
    """Whether this broker leads and must refuse acks=all when one more replica fails."""
    return partition.leading and len(partition.isr) == partition.effective_min_isr
