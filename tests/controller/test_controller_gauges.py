"""The controller's numbers; whoever is not the controller has zeroes."""

from __future__ import annotations

from types import SimpleNamespace

from kafkalike.controller import controller_gauges
from kafkalike.metrics import Gauge
from tests.controller.world import World


class Controller(SimpleNamespace):
    __hash__ = object.__hash__


def numbers(controller: Controller) -> dict[str, int]:
    controller_gauges.watch(controller)
    gauges: list[Gauge] = [controller_gauges.ACTIVE, controller_gauges.QUEUE_SIZE, *controller_gauges.OF_CONTEXT]
    return {gauge.name.rpartition("=")[2]: gauge._watched[controller](controller) for gauge in gauges}


def test_a_controller_counts_topics_partitions_and_what_is_wrong_with_them() -> None:
    world = World()
    for broker_id in (1, 2):
        world.broker(broker_id)
    world.topic("well", {0: (1, 2), 1: (2, 1)})
    world.topic("badly", {0: (1, 2), 1: (3,)})
    context = world.controller()
    moved = context.leaderships["badly", 0]
    context.leaderships["badly", 0] = type(moved)(2, 1, moved.isr, 1, 1)
    assert {
        "ActiveControllerCount": 1,
        "EventQueueSize": 4,
        "OfflinePartitionsCount": 1,
        "PreferredReplicaImbalanceCount": 1,
        "GlobalTopicCount": 2,
        "GlobalPartitionCount": 4,
        "TopicsToDeleteCount": 0,
        "TopicsIneligibleToDeleteCount": 0,
        "ReplicasToDeleteCount": 0,
    } == numbers(Controller(active=True, queue_size=4, context=context))
    context.topics_to_delete.add("badly")
    found = numbers(Controller(active=True, queue_size=4, context=context))
    assert (0, 0, 1, 3) == tuple(
        found[name]
        for name in (
            "OfflinePartitionsCount", "PreferredReplicaImbalanceCount", "TopicsToDeleteCount", "ReplicasToDeleteCount",
        )
    )  # fmt: skip


def test_another_broker_has_zeroes() -> None:
    assert {0} == set(numbers(Controller(active=False, queue_size=0, context=None)).values())
