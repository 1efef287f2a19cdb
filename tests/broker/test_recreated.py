"""Fetch sessions over a topic that is deleted and made anew: Kafka's answers (`--on apache`), by name and by id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.protocol.messages import fetch, metadata, produce
from tests.broker.raw_client import Connection
from tests.servers import Kafka, wait_until, zookeeper_client

BY_NAME, BY_ID = (7, 12), (13, 17)


class Session:
    """An incremental fetch session over one partition."""

    def __init__(self, connection: Connection, version: int, topic: str, topic_id: bytes) -> None:
        self.connection, self.version = connection, version
        wanted = fetch.FetchTopic(
            topic=topic, topic_id=topic_id, partitions=[fetch.FetchPartition(partition=0, partition_max_bytes=1000)]
        )
        self.id, self.epoch = 0, 0
        self.first = self._ask([wanted])
        self.id = self.first.session_id

    def next_error(self) -> Error:
        """The error of the partition in the next answer; NONE when there is nothing about it."""
        answer = self._ask([])
        assert Error.NONE == answer.error_code
        return Error(answer.responses[0].partitions[0].error_code) if answer.responses else Error.NONE

    def _ask(self, topics: list[Any]) -> Any:
        request = fetch.Request(
            max_wait_ms=0, min_bytes=0, max_bytes=1000, session_id=self.id, session_epoch=self.epoch, topics=topics
        )
        self.epoch += 1
        return self.connection.ask(fetch, request, self.version)


class Topic:
    """A topic name, whichever topic has it."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self.kafka, self.name = kafka, name
        self.connection = Connection(kafka.broker.port)

    def make(self) -> bytes:
        """Creates it with one record; its id."""
        self.kafka.create_topic(self.name)
        data = [produce.PartitionProduceData(records=batch.build([(None, b"x", 1, ())]))]
        request = produce.Request(
            acks=-1, timeout_ms=5000, topic_data=[produce.TopicProduceData(name=self.name, partition_data=data)]
        )
        answer = self.connection.ask(produce, request, 9)
        assert Error.NONE == answer.responses[0].partition_responses[0].error_code
        return bytes(self._described().topic_id)

    def delete(self) -> None:
        """Deletes it and waits until nobody knows it."""
        self.kafka.admin.delete_topics([self.name])[self.name].result(30)
        wait_until(lambda: self._described().error_code == Error.UNKNOWN_TOPIC_OR_PARTITION, what="the deletion")
        with zookeeper_client(self.kafka.zookeeper.connect) as client:
            wait_until(lambda: not client.exists(f"/admin/delete_topics/{self.name}"), what="the end of the deletion")

    def _described(self) -> Any:
        asked = [metadata.MetadataRequestTopic(name=self.name)]
        request = metadata.Request(topics=asked, allow_auto_topic_creation=False)
        return self.connection.ask(metadata, request, 12).topics[0]


@pytest.fixture
def named(kafka: Kafka, name: str) -> Iterator[Topic]:
    with (topic := Topic(kafka, name)).connection:
        yield topic


@pytest.mark.parametrize("version", BY_NAME + BY_ID)
def test_a_session_is_told_that_its_topic_is_gone_and_that_another_has_its_name(named: Topic, version: int) -> None:
    session = Session(named.connection, version, named.name, named.make())
    assert Error.NONE == session.first.responses[0].partitions[0].error_code
    assert Error.NONE == session.next_error()
    named.delete()
    gone = wait_until(session.next_error, what="the topic to be gone")
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == gone == session.next_error()
    named.make()
    expected = Error.INCONSISTENT_TOPIC_ID if version in BY_ID else Error.NONE
    wait_until(lambda: session.next_error() == expected, what=f"{expected!r}")
    assert expected == session.next_error()


@pytest.mark.parametrize("version", BY_ID)
def test_a_session_that_slept_through_it_is_told_the_last_of_it(named: Topic, version: int) -> None:
    session = Session(named.connection, version, named.name, named.make())
    named.delete()
    named.make()
    assert Error.INCONSISTENT_TOPIC_ID == session.next_error()


@pytest.mark.parametrize("version", BY_ID)
def test_whoever_asks_for_the_first_time_is_told_that_nobody_knows_the_id(named: Topic, version: int) -> None:
    old = named.make()
    named.delete()
    session = Session(named.connection, version, named.name, old)
    assert Error.UNKNOWN_TOPIC_ID == session.first.responses[0].partitions[0].error_code
    named.make()
    assert Error.UNKNOWN_TOPIC_ID == session.next_error()
