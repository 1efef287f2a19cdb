"""What can be looked up of the controller at any moment: Kafka's KafkaController and ControllerEventManager.

A broker that is not the controller shows zeroes, so that the sum over all brokers is the cluster's number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from kafkalike.controller.context import Context, PartitionState
from kafkalike.metrics import Gauge

ACTIVE = Gauge("kafka.controller:type=KafkaController,name=ActiveControllerCount")
QUEUE_SIZE = Gauge("kafka.controller:type=ControllerEventManager,name=EventQueueSize")
OF_CONTEXT: dict[Gauge, Callable[[Context], int]] = {
    Gauge("kafka.controller:type=KafkaController,name=OfflinePartitionsCount"): lambda context: offline(context),
    Gauge("kafka.controller:type=KafkaController,name=PreferredReplicaImbalanceCount"): (
        lambda context: misplaced_leaders(context)
    ),
    Gauge("kafka.controller:type=KafkaController,name=GlobalTopicCount"): lambda context: len(context.assignments),
    Gauge("kafka.controller:type=KafkaController,name=GlobalPartitionCount"): (
        lambda context: sum(map(len, context.assignments.values()))
    ),
    Gauge("kafka.controller:type=KafkaController,name=TopicsToDeleteCount"): (
        lambda context: len(context.topics_to_delete)
    ),
    Gauge("kafka.controller:type=KafkaController,name=TopicsIneligibleToDeleteCount"): (
        lambda context: len(context.deletion_ineligible)
    ),
    Gauge("kafka.controller:type=KafkaController,name=ReplicasToDeleteCount"): (
        lambda context: sum(
            len(assignment.replicas)
            for topic in context.topics_to_delete
            for assignment in context.assignments.get(topic, {}).values()
        )
    ),
}


class Holder(Protocol):
    """The controller."""

    @property
    def active(self) -> bool: ...

    @property
    def queue_size(self) -> int: ...

    @property
    def context(self) -> Context | None: ...


def watch(controller: Holder) -> None:
    """Tells these numbers of the controller as long as it exists."""
    ACTIVE.watch(controller, lambda each: int(each.active))
    QUEUE_SIZE.watch(controller, lambda each: each.queue_size)
    for gauge, number in OF_CONTEXT.items():
        gauge.watch(controller, partial(_of_context, number))


def _of_context(number: Callable[[Context], int], controller: Holder) -> int:
    return 0 if controller.context is None else number(controller.context)


def offline(context: Context) -> int:
    """How many partitions, without those of topics that are being deleted, have no leader."""
    return sum(
        state is not PartitionState.ONLINE and topic not in context.topics_to_delete
        for (topic, _), state in context.partition_states.items()
    )


def misplaced_leaders(context: Context) -> int:
    """How many partitions of topics that stay are not led by the first of their replicas."""
    leaderships = context.leaderships
    return sum(
        (topic, index) in leaderships and leaderships[topic, index].leader != assignment.replicas[0]
        for topic, partitions in context.assignments.items()
        if topic not in context.topics_to_delete
        for index, assignment in partitions.items()
        if assignment.replicas
    )
