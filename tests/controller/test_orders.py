"""Orders in znodes end, and only those that were read."""

from __future__ import annotations

from kafkalike.controller.effects import Steps, Write
from kafkalike.controller.orders import end_bare_orders, end_orders
from tests.controller.world import World

PATH, BARE = "/admin/reassign_partitions", "/admin/delete_topics/t"


def test_an_order_is_deleted_as_it_was_read() -> None:
    world = World()
    world.put(PATH, b"order")
    world.put(BARE)
    world.perform(end_orders({PATH: world.nodes[PATH]}))
    world.perform(end_bare_orders([BARE]))
    assert not {PATH, BARE} & set(world.nodes)


def test_an_order_that_was_changed_since_it_was_read_stays() -> None:
    world = World()
    world.put(PATH, b"order")
    read = world.nodes[PATH]
    world.put(PATH, b"another")
    world.perform(end_orders({PATH: read}))
    assert b"another" == world.nodes[PATH].data


def test_the_next_order_stays_when_the_answer_was_lost_and_the_deletion_is_sent_again() -> None:
    world = World()
    world.put(PATH, b"order")
    world.put(BARE)
    world.perform(end_orders({PATH: world.nodes[PATH]}))
    world.perform(end_bare_orders([BARE]))
    deletions = [effect for effect in world.asked if isinstance(effect, Write)][1::2]
    world.put(PATH, b"order")
    world.put(BARE)
    for deletion in deletions:
        world.perform(_again(deletion))
    assert {PATH, BARE} <= set(world.nodes)


def test_an_order_that_is_gone_is_no_trouble() -> None:
    world = World()
    world.put(PATH, b"order")
    read = world.nodes[PATH]
    world.remove(PATH)
    world.perform(end_orders({PATH: read}))
    world.perform(end_bare_orders([BARE]))
    assert not {PATH, BARE} & set(world.nodes)


def _again(effect: Write) -> Steps[None]:
    yield effect
