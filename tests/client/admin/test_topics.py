"""Topics are created, described, listed, extended, deleted; against a broker."""

from typing import Any

import pytest

from kafkalike.errors import Error, KafkaError
from tests.servers import wait_until


def test_a_topic_is_created_described_extended_and_deleted(admin: Any, name: str) -> None:
    admin.create_topic(name, 2, configs={"retention.ms": "3600000"})
    topic = wait_until(lambda: admin.list_topics().get(name))
    assert [0, 1] == [p.partition for p in topic.partitions]
    assert 16 == len(topic.id)
    configs = {c.name: c for c in admin.describe_configs([name])[name]}
    assert ("3600000", False) == (configs["retention.ms"].value, configs["retention.ms"].is_default)
    assert configs["segment.bytes"].is_default
    admin.create_partitions({name: 3})
    wait_until(lambda: len(admin.describe_topics([name])[name].partitions) == 3)
    admin.delete_topics([name])
    wait_until(lambda: name not in admin.list_topics())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"replication_factor": 9}, Error.INVALID_REPLICATION_FACTOR),
        ({"partitions": 0}, Error.INVALID_PARTITIONS),
        ({"configs": {"no.such": "1"}}, Error.INVALID_CONFIG),
        ({"assignments": {0: [0, 0]}}, Error.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_what_cannot_be_created_is_refused(admin: Any, name: str, options: dict, error: Error) -> None:
    with pytest.raises(KafkaError) as caught:
        admin.create_topic(name, **options)
    assert error is caught.value.error


def test_unknown_topics_are_told_at_once(admin: Any, name: str) -> None:
    with pytest.raises(KafkaError) as caught:
        admin.describe_topics([name])
    assert Error.UNKNOWN_TOPIC_OR_PARTITION is caught.value.error
