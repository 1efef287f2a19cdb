"""How many groups a broker coordinates: Kafka's GroupMetadataManager."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kafkalike.coordinator.group import State
from kafkalike.coordinator.group_partition import GroupPartition, ServedGroup
from kafkalike.coordinator.internal_topic import InternalTopic
from kafkalike.metrics import Gauge

GROUPS = Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroups")
IN_STATE = {
    State.STABLE: Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroupsStable"),
    State.EMPTY: Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroupsEmpty"),
    State.DEAD: Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroupsDead"),
    State.PREPARING: Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroupsPreparingRebalance"),
    State.COMPLETING: Gauge("kafka.coordinator.group:type=GroupMetadataManager,name=NumGroupsCompletingRebalance"),
}
MEMBERS = Gauge("kafka_consumergroup_members", "consumergroup")  # as kafka_exporter calls it


def watch(topic: InternalTopic[GroupPartition]) -> None:
    """Counts the groups of this topic's partitions as long as it exists."""
    GROUPS.watch(topic, lambda each: sum(1 for _ in _groups(each)))
    for state, gauge in IN_STATE.items():
        gauge.watch(topic, partial(_count, state))
    MEMBERS.watch(
        topic, lambda each: [((served.group.group_id,), len(served.group.members)) for served in _groups(each)]
    )


def _count(state: State, topic: InternalTopic[GroupPartition]) -> int:
    return sum(served.group.state is state for served in _groups(topic))


def _groups(topic: InternalTopic[GroupPartition]) -> Iterator[ServedGroup]:
    for partition in topic.partitions.values():
        yield from partition.contents.groups.values()
