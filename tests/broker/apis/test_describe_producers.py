"""DescribeProducers: the same on Apache's broker (--on apache) and on ours."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer

from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_producers, init_producer_id
from tests.broker.raw_client import Connection
from tests.servers import Kafka


def described(kafka: Kafka, topic: str, *partitions: int) -> list[describe_producers.PartitionResponse]:
    """What is answered about the partitions of one topic."""
    asked = describe_producers.TopicRequest(name=topic, partition_indexes=list(partitions))
    with Connection(kafka.broker.port) as connection:
        response = connection.ask(describe_producers, describe_producers.Request(topics=[asked]), 0)
    (answer,) = response.topics
    assert topic == answer.name
    return answer.partitions


def test_an_idempotent_producer_is_shown_with_its_last_sequence(kafka: Kafka, topic: str) -> None:
    assert [] == described(kafka, topic, 0)[0].active_producers
    with Connection(kafka.broker.port) as connection:
        last_id = connection.ask(init_producer_id, init_producer_id.Request(transactional_id=None), 4).producer_id
    before = int(time.time() * 1000)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True, "linger.ms": 0})
    for value in (b"a", b"b", b"c"):
        producer.produce(topic, value, partition=0)
        assert 0 == producer.flush(20)
    (partition,) = described(kafka, topic, 0)
    (state,) = partition.active_producers
    assert (0, None) == (partition.error_code, partition.error_message)
    assert state.producer_id > last_id
    assert (0, 2) == (state.producer_epoch, state.last_sequence)
    assert before <= state.last_timestamp <= time.time() * 1000
    assert (-1, -1) == (state.coordinator_epoch, state.current_txn_start_offset)


def test_records_without_a_producer_id_have_no_producer(kafka: Kafka, topic: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"a", partition=0)
    assert 0 == producer.flush(20)
    assert [] == described(kafka, topic, 0)[0].active_producers


NOT_HOSTED = "This server does not host this topic-partition."
INVALID = "Topic name is invalid: "
ODD = "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("a b", Error.INVALID_TOPIC_EXCEPTION, INVALID + ODD),
        ("", Error.INVALID_TOPIC_EXCEPTION, INVALID + "the empty string is not allowed"),
        ("nobody-made-it", Error.UNKNOWN_TOPIC_OR_PARTITION, NOT_HOSTED),
    ],
)
def test_a_topic_that_cannot_be_is_refused_for_each_of_its_partitions(
    kafka: Kafka, name: str, error: Error, message: str
) -> None:
    for index, partition in zip((0, 7), described(kafka, name, 0, 7), strict=True):
        assert (index, error, message) == (partition.partition_index, partition.error_code, partition.error_message)


def test_a_partition_that_is_not_there_is_refused_without_a_message(kafka: Kafka, topic: str) -> None:
    here, not_here, negative = described(kafka, topic, 0, 99, -1)
    assert (0, None) == (here.error_code, here.error_message)
    for partition in (not_here, negative):
        assert (Error.UNKNOWN_TOPIC_OR_PARTITION, None) == (partition.error_code, partition.error_message)
        assert [] == partition.active_producers
