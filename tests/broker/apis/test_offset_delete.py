"""OffsetDelete."""

import pytest

from kafkalike.broker.apis import offset_delete
from kafkalike.errors import Error, KafkaError
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable

messages = offset_delete.messages
A, B = group_in(0), group_in(1)


def request(group: str, **topics: list[int]) -> object:
    return messages.Request(
        group_id=group,
        topics=[
            messages.OffsetDeleteRequestTopic(
                name=name,
                partitions=[messages.OffsetDeleteRequestPartition(partition_index=each) for each in partitions],
            )
            for name, partitions in topics.items()
        ],
    )


def test_each_partition_has_its_error() -> None:
    broker = FakeBroker()
    stable(broker)
    answer = broker.call(offset_delete, 0, request(A, t=[0, 7], u=[1], v=[0]))
    assert {
        (topic.name, each.partition_index): each.error_code for topic in answer.topics for each in topic.partitions
    } == {
        ("t", 0): Error.GROUP_SUBSCRIBED_TO_TOPIC,
        ("t", 7): Error.UNKNOWN_TOPIC_OR_PARTITION,
        ("u", 1): Error.NONE,
        ("v", 0): Error.UNKNOWN_TOPIC_OR_PARTITION,
    }


def test_an_unknown_group_is_an_error_of_the_whole() -> None:
    with pytest.raises(KafkaError) as raised:
        FakeBroker().call(offset_delete, 0, request(B, t=[0]))
    assert raised.value.error is Error.GROUP_ID_NOT_FOUND
