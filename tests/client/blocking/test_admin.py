"""Admin calls against a broker."""

import pytest

from kafkalike.client.blocking.admin import Admin
from kafkalike.client.blocking.producer import Producer
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST, MAX_TIMESTAMP
from tests.servers import Kafka, wait_until


@pytest.fixture
def admin(kafka: Kafka):
    with Admin(kafka.bootstrap) as admin:
        yield admin


def test_a_topic_is_created_described_extended_and_deleted(admin: Admin, name: str) -> None:
    admin.create_topic(name, 2, configs={"retention.ms": "3600000"})
    topic = wait_until(lambda: admin.topics().get(name))
    assert [0, 1] == [p.partition for p in topic.partitions]
    assert 16 == len(topic.id)
    configs = {c.name: c for c in admin.describe_configs([name])[name]}
    assert ("3600000", False) == (configs["retention.ms"].value, configs["retention.ms"].is_default)
    assert configs["segment.bytes"].is_default
    admin.create_partitions({name: 3})
    wait_until(lambda: len(admin.describe_topics([name])[name].partitions) == 3)
    admin.delete_topics([name])
    wait_until(lambda: name not in admin.topics())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"replication_factor": 9}, Error.INVALID_REPLICATION_FACTOR),
        ({"partitions": 0}, Error.INVALID_PARTITIONS),
        ({"configs": {"no.such": "1"}}, Error.INVALID_CONFIG),
        ({"assignments": {0: [0, 0]}}, Error.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_what_cannot_be_created_is_refused(admin: Admin, name: str, options: dict, error: Error) -> None:
    with pytest.raises(KafkaError) as caught:
        admin.create_topic(name, **options)
    assert error is caught.value.error


def test_unknown_topics_are_told_at_once(admin: Admin, name: str) -> None:
    for ask in (lambda: admin.describe_topics([name]), lambda: admin.list_offsets({(name, 0): LATEST})):
        with pytest.raises(KafkaError) as caught:
            ask()
        assert Error.UNKNOWN_TOPIC_OR_PARTITION is caught.value.error


def test_offsets_by_time(kafka: Kafka, admin: Admin, topic: str) -> None:
    with Producer(kafka.bootstrap) as producer:
        for timestamp in (1000, 3000, 2000):
            producer.send(topic, b"v", partition=0, timestamp_ms=timestamp)
    where = {spec: admin.list_offsets({(topic, 0): spec})[topic, 0].offset for spec in (EARLIEST, LATEST, 1500, 9999)}
    assert {EARLIEST: 0, LATEST: 3, 1500: 1, 9999: -1} == where
    newest = admin.list_offsets({(topic, 0): MAX_TIMESTAMP})[topic, 0]
    assert (1, 3000) == (newest.offset, newest.timestamp)


def test_records_are_deleted_up_to_an_offset(kafka: Kafka, admin: Admin, topic: str) -> None:
    with Producer(kafka.bootstrap) as producer:
        for _ in range(3):
            producer.send(topic, b"v", partition=0)
    assert {(topic, 0): 2} == admin.delete_records({(topic, 0): 2})
    assert 2 == admin.list_offsets({(topic, 0): EARLIEST})[topic, 0].offset


def test_offsets_of_a_group_without_members(kafka: Kafka, admin: Admin, topic: str, name: str) -> None:
    admin.commit(name, {(topic, 0): 5, (topic, 1): 7})
    kafka.assert_committed(name, topic, {0: 5, 1: 7})
    assert {0: 5, 1: 7} == {p: c.offset for (_, p), c in admin.committed(name).items()}
    assert [7] == [c.offset for c in admin.committed(name, [(topic, 1)]).values()]
    assert "Empty" == admin.describe_group(name).state
    assert name in [g.group_id for g in admin.groups()]
    assert {(topic, 0): Error.NONE} == admin.delete_offsets(name, [(topic, 0)])
    assert [1] == [p for _, p in admin.committed(name)]
    admin.delete_group(name)
    assert {} == admin.committed(name)
    assert "Dead" == admin.describe_group(name).state
    with pytest.raises(KafkaError) as caught:
        admin.delete_group(name)
    assert Error.GROUP_ID_NOT_FOUND is caught.value.error


def test_every_broker_tells_its_versions(admin: Admin) -> None:
    for node in admin.cluster().nodes.values():
        versions = admin.api_versions(node)
        assert versions[3][1] >= 9, "Metadata"
        assert 0 == versions[0][0], "Produce from version 0, or librdkafka turns compression off"
