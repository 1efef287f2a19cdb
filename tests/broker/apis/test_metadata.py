"""Metadata, from an image and with auto creation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from kafkalike.broker.apis import metadata
from kafkalike.cluster.metadata import Broker, Image, PartitionState, Topic
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.errors import Error
from kafkalike.protocol.messages import metadata as messages
from kafkalike.protocol.messages import update_metadata
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients

ID = b"0123456789abcdef"


def broker() -> Any:
    """Broker 1 has two listeners, 2 only one; 3 is dead and led t-1; t-2 has no leader."""
    cache = MetadataCache("cluster", Clock())
    plain, inside = ("a", 1, "PLAINTEXT"), ("b", 2, "PLAINTEXT")
    cache.image = Image(
        "cluster",
        1,
        {1: Broker(1, "r1", {"PLAINTEXT": plain, "INSIDE": inside}), 2: Broker(2, None, {"PLAINTEXT": plain})},
        {
            "t": Topic(
                "t",
                ID,
                {
                    0: PartitionState(2, 5, (2, 1), (2, 1, 3), (3,)),
                    1: PartitionState(3, 1, (3,), (3,), (3,)),
                    2: PartitionState(-1, 2, (1,), (1,)),
                },
            ),
            "__consumer_offsets": Topic("__consumer_offsets", bytes(16), {}),
        },
        {ID: "t"},
    )
    return SimpleNamespace(metadata=cache, config={"auto.create.topics.enable": True})


def topics(*names: str) -> list[Any]:
    return [messages.MetadataRequestTopic(name=name) for name in names]


@pytest.mark.parametrize("version", range(13))
@on_reactor
async def test_every_version_shows_brokers_and_partitions(version: int) -> None:
    request = messages.Request(topics=topics("t"), allow_auto_topic_creation=version < 4)
    answer = await ask(broker(), "metadata", request, version)
    assert [(1, "a", 1), (2, "a", 1)] == [(b.node_id, b.host, b.port) for b in answer.brokers]
    (topic,) = answer.topics
    first, dead, none = topic.partitions
    if version == 0:
        # Replicas that cannot be reached are an error to clients that old.
        assert (Error.REPLICA_NOT_AVAILABLE, [2, 1], [2, 1]) == (first.error_code, first.replica_nodes, first.isr_nodes)
    else:
        assert (Error.NONE, [2, 1, 3], [2, 1]) == (first.error_code, first.replica_nodes, first.isr_nodes)
        assert 1 == answer.controller_id
        assert ["r1", None] == [b.rack for b in answer.brokers]
    assert 2 == first.leader_id
    assert {(Error.LEADER_NOT_AVAILABLE, -1)} == {(p.error_code, p.leader_id) for p in (dead, none)}
    assert ("cluster" if version >= 2 else None) == answer.cluster_id
    assert ([3] if version >= 5 else []) == first.offline_replicas
    assert (5 if version >= 7 else -1) == first.leader_epoch
    assert (ID if version >= 10 else bytes(16)) == topic.topic_id


@on_reactor
async def test_nobody_is_told_of_no_brokers_before_the_controller_has_spoken() -> None:
    starting = broker()
    whole, starting.metadata.image = starting.metadata.image, Image("cluster")
    request = messages.Request(topics=topics("t"), allow_auto_topic_creation=False)
    answer = ensureDeferred(ask(starting, "metadata", request))
    endpoint = update_metadata.UpdateMetadataEndpoint(port=1, host="a", listener="PLAINTEXT")
    live = [update_metadata.UpdateMetadataBroker(id=i, endpoints=[endpoint]) for i in whole.brokers]
    assert not answer.called
    starting.metadata.apply(update_metadata.Request(controller_id=1, controller_epoch=1, live_brokers=live))
    assert [1, 2] == [b.node_id for b in (await answer).brokers]


@on_reactor
async def test_a_controller_that_says_nothing_is_not_waited_for_forever() -> None:
    starting = broker()
    starting.metadata.image = Image("cluster")
    request = messages.Request(topics=topics("t"), allow_auto_topic_creation=False)
    answer = ensureDeferred(ask(starting, "metadata", request))
    starting.metadata._reactor.advance(5)
    assert [] == (await answer).brokers


@pytest.mark.parametrize(("version", "error"), [(5, Error.LEADER_NOT_AVAILABLE), (6, Error.LISTENER_NOT_FOUND)])
@on_reactor
async def test_only_brokers_with_the_callers_listener_are_shown(version: int, error: Error) -> None:
    answer = await ask(broker(), "metadata", messages.Request(topics=topics("t")), version, "INSIDE")
    assert [(1, "b", 2)] == [(b.node_id, b.host, b.port) for b in answer.brokers]
    assert (error, -1) == (answer.topics[0].partitions[0].error_code, answer.topics[0].partitions[0].leader_id)


@on_reactor
async def test_all_topics() -> None:
    for version, everything in ((0, []), (1, None), (12, None)):
        answer = await ask(broker(), "metadata", messages.Request(topics=everything), version)
        assert ["t", "__consumer_offsets"] == [topic.name for topic in answer.topics]
    answer = await ask(broker(), "metadata", messages.Request(topics=[]), 12)
    assert [] == answer.topics
    assert 2 == len(answer.brokers)
    answer = await ask(broker(), "metadata", messages.Request(topics=None), 12)
    assert [False, True] == [topic.is_internal for topic in answer.topics]


@on_reactor
async def test_topics_by_id() -> None:
    wanted = [messages.MetadataRequestTopic(name=None, topic_id=i) for i in (ID, b"x" * 16)]
    answer = await ask(broker(), "metadata", messages.Request(topics=wanted), 12)
    assert [(Error.NONE, "t"), (Error.UNKNOWN_TOPIC_ID, None)] == [(t.error_code, t.name) for t in answer.topics]
    answer = await ask(broker(), "metadata", messages.Request(topics=wanted), 11)
    assert [Error.INVALID_REQUEST] * 2 == [topic.error_code for topic in answer.topics]


@on_reactor
async def test_authorized_operations_are_all_of_them_when_asked_for() -> None:
    request = messages.Request(topics=topics("t"), include_topic_authorized_operations=True)
    request.include_cluster_authorized_operations = True
    answer = await ask(broker(), "metadata", request, 10)
    assert (0b1101_1111_1000, 0b1_1111_1010_0000) == (
        answer.topics[0].topic_authorized_operations,
        answer.cluster_authorized_operations,
    )
    answer = await ask(broker(), "metadata", messages.Request(topics=topics("t")), 10)
    assert {-(2**31)} == {answer.topics[0].topic_authorized_operations, answer.cluster_authorized_operations}


@on_reactor
async def test_what_does_not_exist_and_may_not_be_created_is_an_error() -> None:
    request = messages.Request(topics=topics("none", "a b", "none"), allow_auto_topic_creation=False)
    answer = await ask(broker(), "metadata", request, 12)
    assert [(Error.UNKNOWN_TOPIC_OR_PARTITION, "none"), (Error.INVALID_TOPIC_EXCEPTION, "a b")] == [
        (topic.error_code, topic.name) for topic in answer.topics
    ]
    forbidding = broker()
    forbidding.config["auto.create.topics.enable"] = False
    answer = await ask(forbidding, "metadata", messages.Request(topics=topics("none")), 12)
    assert [Error.UNKNOWN_TOPIC_OR_PARTITION] == [topic.error_code for topic in answer.topics]


@on_reactor
async def test_a_topic_is_created_because_it_is_asked_for(clients: Clients) -> None:
    member = await Cluster(clients).add(1, num_partitions=3)
    answer = await ask(member, "metadata", messages.Request(topics=topics("new", "other")), 12)
    assert [(Error.NONE, 3, 1)] * 2 == [
        (topic.error_code, len(topic.partitions), topic.partitions[0].leader_id) for topic in answer.topics
    ]


@on_reactor
async def test_creation_that_cannot_be_says_why(clients: Clients) -> None:
    member = await Cluster(clients).add(1, default_replication_factor=3)
    answer = await ask(member, "metadata", messages.Request(topics=topics("new")), 12)
    assert [(Error.INVALID_REPLICATION_FACTOR, "new")] == [(t.error_code, t.name) for t in answer.topics]


@on_reactor
async def test_creation_that_takes_longer_is_leader_not_available(clients: Clients) -> None:
    cluster = Cluster(clients)
    member = await cluster.add(1)
    cluster.members.clear()
    answer = await ask(member, "metadata", messages.Request(topics=topics("new")), 12)
    assert [(Error.LEADER_NOT_AVAILABLE, "new")] == [(t.error_code, t.name) for t in answer.topics]


NEVER_LED = {
    "its only broker is gone": b'{"version": 2, "partitions": {"0": [9]}}',
    "it has no partitions": b'{"version": 2, "partitions": {}}',
    "nobody can read it": b"garbage",
}


@pytest.mark.parametrize("why", NEVER_LED)
@on_reactor
async def test_an_existing_topic_that_can_get_no_leader_is_not_waited_for(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(metadata, "CREATION_WAIT_MS", 600_000)
    member = await Cluster(clients).add(1)
    await member.zk.create("/brokers/topics/old", NEVER_LED[why])
    answer = await ask(member, "metadata", messages.Request(topics=topics("old")), 12)
    assert [(Error.LEADER_NOT_AVAILABLE, "old")] == [(t.error_code, t.name) for t in answer.topics]


@on_reactor
async def test_a_topic_whose_deletion_is_stuck_is_not_waited_for(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion waits for brokers that have a replica and are away."""
    monkeypatch.setattr(metadata, "CREATION_WAIT_MS", 600_000)
    cluster = Cluster(clients)
    member = await cluster.add(1)
    cluster.members.clear()  # so that nobody carries the order out
    await member.zk.create("/brokers/topics/old", b'{"version": 2, "partitions": {"0": [1]}}')
    await member.zk.create("/admin/delete_topics/old", b"")
    answer = await ask(member, "metadata", messages.Request(topics=topics("old")), 12)
    assert [(Error.LEADER_NOT_AVAILABLE, "old")] == [(t.error_code, t.name) for t in answer.topics]


@on_reactor
async def test_who_led_when_it_was_lost_is_shown_for_a_while_and_leads_nothing() -> None:
    asked = broker()
    brokers = dict(asked.metadata.image.brokers)
    gone = Broker(3, None, {"PLAINTEXT": ("c", 3, "PLAINTEXT")})
    asked.metadata.image = replace(asked.metadata.image, brokers=brokers | {3: gone})
    live = [
        update_metadata.UpdateMetadataBroker(
            id=known.id,
            endpoints=[
                update_metadata.UpdateMetadataEndpoint(host=host, port=port, listener=name)
                for name, (host, port, _) in known.endpoints.items()
            ],
        )
        for known in brokers.values()
    ]
    asked.metadata.apply(update_metadata.Request(controller_id=1, live_brokers=live))
    answer = await ask(asked, "metadata", messages.Request(topics=topics("t")), 9)
    assert [1, 2, 3] == [b.node_id for b in answer.brokers]
    assert [2, -1, -1] == [p.leader_id for p in answer.topics[0].partitions]
