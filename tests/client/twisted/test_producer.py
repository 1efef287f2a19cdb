"""The producer on the reactor, against a broker."""

import pytest
from twisted.internet import defer, reactor

from kafkalike.client.twisted.producer import Producer
from kafkalike.errors import KafkaError
from tests.client.faces import own_threads
from tests.reactor import on_reactor
from tests.servers import Kafka


@on_reactor
async def test_what_is_sent_is_acknowledged_without_a_thread(kafka: Kafka, topic: str) -> None:
    threads = own_threads()
    producer = Producer(reactor, kafka.bootstrap)
    assert 2 == await producer.partitions_for(topic)
    found = await defer.gatherResults([producer.send(topic, b"%d" % n, partition=0) for n in range(100)])
    assert list(range(100)) == [delivery.offset for delivery in found]
    assert [1, 0] == [(await producer.send(topic, b"v")).partition for _ in range(3)][1:]
    assert threads == own_threads()
    await producer.close()


@on_reactor
async def test_a_message_that_cannot_be_sent_fails(kafka: Kafka, topic: str) -> None:
    producer = Producer(reactor, kafka.bootstrap)
    with pytest.raises(KafkaError, match=r"max\.request\.size"):
        await producer.send(topic, b"x" * 2_000_000)
    await producer.close()
