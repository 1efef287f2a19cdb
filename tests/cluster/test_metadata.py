"""The image after UpdateMetadata."""

from __future__ import annotations

from typing import Any

from kafkalike.cluster.metadata import Broker, Image, PartitionState
from kafkalike.cluster.znodes.topics import NO_TOPIC_ID
from kafkalike.protocol.messages import update_metadata as um

ID, OTHER_ID = b"i" * 16, b"j" * 16


def state(index: int, leader: int = 1, **fields: Any) -> um.UpdateMetadataPartitionState:
    return um.UpdateMetadataPartitionState(
        partition_index=index, leader=leader, leader_epoch=0, isr=[1, 2], replicas=[1, 2], **fields
    )


def update(*states: Any, topic: str = "t", topic_id: bytes = ID, brokers: Any = (), controller: int = 1) -> um.Request:
    topics = [um.UpdateMetadataTopicState(topic_name=topic, topic_id=topic_id, partition_states=list(states))]
    return um.Request(controller_id=controller, topic_states=topics if states else [], live_brokers=list(brokers))


def broker(broker_id: int, port: int = 9092) -> um.UpdateMetadataBroker:
    endpoint = um.UpdateMetadataEndpoint(port=port, host="h", listener="INSIDE", security_protocol=1)
    return um.UpdateMetadataBroker(id=broker_id, endpoints=[endpoint], rack="r")


def test_partitions_are_merged_and_brokers_replaced() -> None:
    image = Image("c").apply(update(state(0), state(1), brokers=[broker(1), broker(2)]))
    later = image.apply(update(state(1, leader=2), brokers=[broker(2, 9093)], controller=2))
    assert [1, 2] == [later.partition("t", 0).leader, later.partition("t", 1).leader]  # type: ignore[union-attr]
    assert {2: Broker(2, "r", {"INSIDE": ("h", 9093, "SSL")})} == later.brokers
    assert ("c", 2, {ID: "t"}) == (later.cluster_id, later.controller_id, later.names)
    assert 1 == image.partition("t", 1).leader, "an image never changes"  # type: ignore[union-attr]
    assert ("h", 9093, "SSL") == later.endpoint(2, "INSIDE")
    assert later.endpoint(2, "OUTSIDE") is None and later.endpoint(3, "INSIDE") is None


def test_everything_of_a_partition_is_kept() -> None:
    request = update(state(0, controller_epoch=7, zk_version=5, offline_replicas=[2]))
    assert PartitionState(1, 0, (1, 2), (1, 2), (2,), 5, 7) == Image().apply(request).partition("t", 0)


def test_a_leader_of_minus_2_removes_the_partition_and_at_last_the_topic() -> None:
    image = Image().apply(update(state(0), state(1)))
    image = image.apply(update(state(0, leader=-2)))
    assert [1] == list(image.topics["t"].partitions)
    image = image.apply(update(state(1, leader=-2)))
    assert ({}, {}) == (image.topics, image.names)
    assert image.partition("t", 0) is None


def test_a_full_request_leaves_nothing_of_what_it_does_not_name() -> None:
    """The end of t2 and of partition 1 was told while this broker had no session."""
    image = Image().apply(update(state(0), state(1))).apply(update(state(0), topic="t2", topic_id=OTHER_ID))
    full = update(state(0, leader=2))
    full.type = um.FULL
    image = image.apply(full)
    assert ["t"] == list(image.topics)
    assert [0] == list(image.topics["t"].partitions)
    assert {ID: "t"} == image.names


def test_B14_a_topic_made_anew_forgets_the_old_one() -> None:
    image = Image().apply(update(state(0), state(1))).apply(update(state(0), topic_id=OTHER_ID))
    assert [0] == list(image.topics["t"].partitions)
    assert {OTHER_ID: "t"} == image.names


def test_a_topic_keeps_its_id_when_an_old_controller_sends_none() -> None:
    image = Image().apply(update(state(0))).apply(update(state(0), topic_id=NO_TOPIC_ID))
    assert ID == image.topics["t"].id


def test_every_version_of_the_request_is_understood() -> None:
    whole = update(state(0, topic_name="t"), brokers=[broker(1)])
    for version in range(9):
        request = um.Request(controller_id=1, live_brokers=[broker(1)])
        if version < 5:
            request.ungrouped_partition_states = [state(0, topic_name="t")]
        else:
            request.topic_states = whole.topic_states
        if version == 0:
            request.live_brokers = [um.UpdateMetadataBroker(id=1, v0_host="h", v0_port=9092)]
        image = Image().apply(um.Request.decode(version, request.encode(version)))
        assert 1 == image.partition("t", 0).leader  # type: ignore[union-attr]
        listener = "PLAINTEXT" if version == 0 else "SSL" if version < 3 else "INSIDE"
        assert ("h", 9092) == image.endpoint(1, listener)[:2]  # type: ignore[index]
        assert (ID if version >= 7 else NO_TOPIC_ID) == image.topics["t"].id
