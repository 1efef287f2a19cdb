"""Offsets by time, and deleted records; against a broker."""

from typing import Any

import pytest

from kafkalike.client.blocking.producer import Producer
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST, MAX_TIMESTAMP
from tests.servers import Kafka


def test_offsets_by_time(kafka: Kafka, admin: Any, topic: str) -> None:
    with Producer(kafka.bootstrap) as producer:
        for timestamp in (1000, 3000, 2000):
            producer.send(topic, b"v", partition=0, timestamp_ms=timestamp)
    where = {spec: admin.list_offsets({(topic, 0): spec})[topic, 0].offset for spec in (EARLIEST, LATEST, 1500, 9999)}
    assert {EARLIEST: 0, LATEST: 3, 1500: 1, 9999: -1} == where
    newest = admin.list_offsets({(topic, 0): MAX_TIMESTAMP})[topic, 0]
    assert (1, 3000) == (newest.offset, newest.timestamp)


def test_records_are_deleted_up_to_an_offset(kafka: Kafka, admin: Any, topic: str) -> None:
    with Producer(kafka.bootstrap) as producer:
        for _ in range(3):
            producer.send(topic, b"v", partition=0)
    assert {(topic, 0): 2} == admin.delete_records({(topic, 0): 2})
    assert 2 == admin.list_offsets({(topic, 0): EARLIEST})[topic, 0].offset


def test_unknown_topics_are_told_at_once(admin: Any, name: str) -> None:
    for ask in (lambda: admin.list_offsets({(name, 0): LATEST}), lambda: admin.delete_records({(name, 0): 0})):
        with pytest.raises(KafkaError) as caught:
            ask()
        assert Error.UNKNOWN_TOPIC_OR_PARTITION is caught.value.error
