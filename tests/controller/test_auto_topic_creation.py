"""Topics that are created because somebody needs them."""

from __future__ import annotations

import pytest

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error, KafkaError
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients


@on_reactor
async def test_a_topic_that_is_needed_is_there_when_create_is_done(clients: Clients) -> None:
    cluster = Cluster(clients)
    member = await cluster.add(1, offsets_topic_replication_factor=1, offsets_topic_num_partitions=5)
    await auto_topic_creation.create(member, "t", 2, 1, {"cleanup.policy": "compact"})
    assert 2 == len(member.metadata.image.topics["t"].partitions)
    await auto_topic_creation.create(member, "t", 2, 1)
    await auto_topic_creation.create_automatically(member, "__consumer_offsets")
    assert 5 == len(member.metadata.image.topics["__consumer_offsets"].partitions)
    data, _ = await member.zk.get("/config/topics/__consumer_offsets")
    expected = {"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}
    assert expected == EntityConfig.decode(data, "topics", "__consumer_offsets")
    with pytest.raises(KafkaError) as caught:
        await auto_topic_creation.create(member, "u", 1, 2)
    assert Error.INVALID_REPLICATION_FACTOR == caught.value.error
    cluster.members.clear()
    with pytest.raises(KafkaError) as caught:
        await auto_topic_creation.create(member, "late", 1, 1, timeout_ms=50)
    assert Error.REQUEST_TIMED_OUT == caught.value.error
