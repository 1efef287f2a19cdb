"""Groups and their committed offsets; against a broker."""

from typing import Any

import pytest

from kafkalike.client.blocking.consumer import Consumer
from kafkalike.errors import Error, KafkaError
from tests.servers import Kafka


def test_offsets_of_a_group_without_members(kafka: Kafka, admin: Any, topic: str, name: str) -> None:
    admin.commit(name, {(topic, 0): 5, (topic, 1): 7})
    kafka.assert_committed(name, topic, {0: 5, 1: 7})
    assert {0: 5, 1: 7} == {p: c.offset for (_, p), c in admin.committed(name).items()}
    assert [7] == [c.offset for c in admin.committed(name, [(topic, 1)]).values()]
    assert "Empty" == admin.describe_group(name).state
    assert name in [g.group_id for g in admin.list_groups()]
    assert {(topic, 0): Error.NONE} == admin.delete_offsets(name, [(topic, 0)])
    assert [1] == [p for _, p in admin.committed(name)]
    admin.delete_group(name)
    assert {} == admin.committed(name)
    assert "Dead" == admin.describe_group(name).state
    with pytest.raises(KafkaError) as caught:
        admin.delete_group(name)
    assert Error.GROUP_ID_NOT_FOUND is caught.value.error


def test_members_are_described_and_removed(kafka: Kafka, admin: Any, topic: str, name: str) -> None:
    consumer = Consumer(kafka.bootstrap, group_id=name, heartbeat_interval_ms=60_000, session_timeout_ms=60_000)
    consumer.subscribe([topic])
    assert consumer.join(20_000)
    (member,) = admin.describe_group(name).members
    assert (consumer.member_id, {(topic, 0), (topic, 1)}) == (member.member_id, set(member.partitions))
    admin.remove_members(name, [member.member_id])
    assert ("Empty", ()) == (admin.describe_group(name).state, admin.describe_group(name).members)
    consumer.close(leave=False)
