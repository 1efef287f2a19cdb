"""Who waits for the metadata to show something."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from kafkalike.cluster.metadata import LEADER_DURING_DELETE
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.protocol.messages import update_metadata as um


def controller(number: int) -> um.Request:
    return um.Request(controller_id=number)


def test_a_wait_ends_when_the_image_shows_it() -> None:
    clock = Clock()
    cache = MetadataCache("c", clock)
    answers: list[Any] = []
    cache.wait(lambda image: image.controller_id == 2, 1000).addCallback(answers.append)
    cache.apply(controller(1))
    assert [] == answers
    cache.apply(controller(2))
    assert [True] == answers
    assert [] == clock.getDelayedCalls()
    cache.wait(lambda image: image.controller_id == 2, 0).addCallback(answers.append)
    assert [True, True] == answers


def test_a_wait_ends_with_its_time() -> None:
    clock = Clock()
    cache = MetadataCache("c", clock)
    answers: list[Any] = []
    cache.wait(lambda image: False, 1000).addCallback(answers.append)
    cache.wait(lambda image: False, 0).addCallback(answers.append)
    assert [False] == answers
    clock.advance(1)
    assert [False, False] == answers
    cache.apply(controller(1))


def test_listeners_hear_before_those_who_wait_and_one_that_fails_harms_nobody() -> None:
    cache = MetadataCache("c", Clock())
    order: list[Any] = []
    cache.on_change(lambda old, new: 1 // 0)
    cache.on_change(lambda old, new: order.append((old.controller_id, new.controller_id)))
    cache.wait(lambda image: image.controller_id == 1, 1000).addCallback(order.append)
    cache.apply(controller(1))
    assert [(-1, 1), True] == order


def test_who_is_woken_may_wait_again() -> None:
    cache = MetadataCache("c", Clock())
    seen: list[Any] = []

    def again(_: Any) -> None:
        cache.wait(lambda image: image.controller_id == 2, 1000).addCallback(seen.append)

    cache.wait(lambda image: image.controller_id == 1, 1000).addCallback(again)
    cache.apply(controller(1))
    assert [] == seen
    cache.apply(controller(2))
    assert [True] == seen


def led(leader: int, brokers: tuple[int, ...]) -> um.Request:
    state = um.UpdateMetadataPartitionState(topic_name="t", leader=leader)
    topic = um.UpdateMetadataTopicState(topic_name="t", topic_id=b"t" * 16, partition_states=[state])
    live = [um.UpdateMetadataBroker(id=broker_id) for broker_id in brokers]
    return um.Request(controller_id=1, topic_states=[topic], live_brokers=live)


def test_an_answer_can_wait_until_nobody_who_is_suspected_leads() -> None:
    clock = Clock()
    cache = MetadataCache("", clock)
    cache.apply(led(2, (1, 2)))
    assert cache.leaders_trusted(500).result is True  # type: ignore[attr-defined]
    for end in ("replaced", "gone", "trusted", "late"):
        cache.apply(led(2, (1, 2)))
        cache.suspect_dead(2)
        cache.suspect_dead(9)
        waiting = cache.leaders_trusted(500)
        assert not waiting.called
        if end == "replaced":
            cache.apply(led(1, (1, 2)))
        elif end == "gone":
            cache.apply(led(2, (1,)))
        elif end == "trusted":
            cache.trust_alive(2)
        else:
            clock.advance(0.5)
        assert (end != "late") is waiting.result  # type: ignore[attr-defined]
        cache.trust_alive(2)
    assert [] == clock.getDelayedCalls()


def test_who_led_when_it_was_lost_is_remembered_for_a_while() -> None:
    clock = Clock()
    cache = MetadataCache("c", clock)
    cache.apply(led(2, (1, 2, 3)))
    cache.apply(led(1, (1, 3)))
    assert [2] == [broker.id for broker in cache.departed()]
    cache.apply(led(1, (1,)))
    assert [2] == [broker.id for broker in cache.departed()], "3 led nothing"
    clock.advance(5)
    assert [] == cache.departed()
    cache.apply(led(2, (1, 2)))
    cache.apply(led(1, (1,)))
    cache.apply(led(1, (1, 2)))
    assert [] == cache.departed()


def topic(name: str, leader: int, topic_id: int) -> um.Request:
    state = um.UpdateMetadataPartitionState(topic_name=name, partition_index=0, leader=leader)
    states = um.UpdateMetadataTopicState(topic_name=name, topic_id=bytes([topic_id] * 16), partition_states=[state])
    return um.Request(controller_id=1, topic_states=[states])


def told_by(cache: MetadataCache) -> list[tuple[set[str], set[str]]]:
    told: list[tuple[set[str], set[str]]] = []
    cache.on_topics(lambda deleted, made: told.append((set(deleted), set(made))))
    return told


def test_a_deletion_is_told_as_often_as_the_controller_says_so() -> None:
    cache = MetadataCache("c", Clock())
    told = told_by(cache)
    cache.apply(topic("t", 1, 7))
    cache.apply(topic("t", 2, 7))
    assert [(set(), {"t"})] == told
    for _ in range(3):
        cache.apply(topic("t", LEADER_DURING_DELETE, 7))
    assert [({"t"}, set())] * 3 == told[1:]


def test_a_topic_made_anew_is_told_as_both() -> None:
    cache = MetadataCache("c", Clock())
    told = told_by(cache)
    for topic_id in (7, 8, 8):
        cache.apply(topic("t", 1, topic_id))
    assert [(set(), {"t"}), ({"t"}, {"t"})] == told


def test_a_topic_that_is_given_an_id_is_not_deleted() -> None:
    cache = MetadataCache("c", Clock())
    told = told_by(cache)
    for topic_id in (0, 0, 7):
        cache.apply(topic("t", 1, topic_id))
    assert [set(), set()] == [deleted for deleted, _ in told]
