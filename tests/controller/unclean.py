"""Brokers that were not stopped cleanly, in the world of world.py."""

from __future__ import annotations

from typing import Any

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.controller.context import Context
from kafkalike.protocol.messages import list_offsets
from tests.controller.world import World


def world_of(*broker_ids: int) -> tuple[World, Context]:
    """Topic t with one partition on all of them, led by the first."""
    world = World()
    for broker_id in broker_ids:
        world.broker(broker_id)
    world.topic("t", {0: broker_ids})
    context = world.controller(broker_ids[0])
    return world, context


def crashed(world: World, broker_id: int) -> None:
    """Registers the broker as one that was not stopped cleanly."""
    world.remove(BrokerNode.path(broker_id))
    endpoint = Endpoint("PLAINTEXT", "PLAINTEXT", f"h{broker_id}", 9092)
    extra = {BrokerNode.OFFSETS_STORAGE: "zookeeper", BrokerNode.UNCLEAN: True}
    world.put(BrokerNode.path(broker_id), BrokerNode((endpoint,), extra=extra).encode())


def marked(world: World, broker_id: int) -> bool:
    return BrokerNode.decode(world.nodes[BrokerNode.path(broker_id)].data, broker_id).unclean


def questions(world: World) -> list[int]:
    """The brokers that were asked for the ends of logs since the last call."""
    asked = [(b, r) for b, r in world.sent if isinstance(r, list_offsets.Request)]
    world.sent = []
    return [broker_id for broker_id, _ in asked]


def has(world: World, **fields: Any) -> None:
    state = world.state("t", 0)
    assert fields == {key: state.get(key) for key in fields}
