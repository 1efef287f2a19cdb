"""The controller deletes a request znode when it is done with it, and no other that came to stand at its path."""

from __future__ import annotations

from kafkalike.controller.admin_znodes import delete_if_unchanged, delete_names
from kafkalike.controller.effects import Steps, Write
from tests.controller.world import World

PATH, BARE = "/admin/reassign_partitions", "/admin/delete_topics/t"


def test_a_request_that_is_as_the_controller_read_it_is_deleted() -> None:
    world = World()
    world.put(PATH, b"request")
    world.put(BARE)
    world.perform(delete_if_unchanged({PATH: world.nodes[PATH]}))
    world.perform(delete_names([BARE]))
    assert not {PATH, BARE} & set(world.nodes)


def test_a_request_that_was_changed_since_the_controller_read_it_stays() -> None:
    world = World()
    world.put(PATH, b"request")
    read = world.nodes[PATH]
    world.put(PATH, b"another")
    world.perform(delete_if_unchanged({PATH: read}))
    assert b"another" == world.nodes[PATH].data


def test_the_next_request_stays_when_the_deletion_of_the_last_is_sent_again() -> None:
    world = World()
    world.put(PATH, b"request")
    world.put(BARE)
    world.perform(delete_if_unchanged({PATH: world.nodes[PATH]}))
    world.perform(delete_names([BARE]))
    deletions = [effect for effect in world.asked if isinstance(effect, Write)][1::2]
    world.put(PATH, b"request")
    world.put(BARE)
    for deletion in deletions:
        world.perform(_again(deletion))
    assert {PATH, BARE} <= set(world.nodes)


def test_a_request_that_somebody_else_deleted_is_no_trouble() -> None:
    world = World()
    world.put(PATH, b"request")
    read = world.nodes[PATH]
    world.remove(PATH)
    world.perform(delete_if_unchanged({PATH: read}))
    world.perform(delete_names([BARE]))
    assert not {PATH, BARE} & set(world.nodes)


def _again(effect: Write) -> Steps[None]:
    yield effect
