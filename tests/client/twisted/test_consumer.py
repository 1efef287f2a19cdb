"""The consumer on the reactor, against a broker."""

from twisted.internet import defer, reactor

from kafkalike.client.twisted.consumer import Consumer
from kafkalike.client.twisted.producer import Producer
from tests.client.faces import own_threads
from tests.reactor import on_reactor
from tests.servers import Kafka


async def produce(kafka: Kafka, topic: str, count: int) -> None:
    producer = Producer(reactor, kafka.bootstrap)
    await defer.gatherResults([producer.send(topic, b"%d" % number) for number in range(count)])
    await producer.close()


async def read(consumer: Consumer, count: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for _ in range(20):
        found += [(r.partition, r.offset) for r in await consumer.poll(5000)]
        if len(found) >= count:
            break
    return sorted(found)


@on_reactor
async def test_a_member_reads_acknowledges_and_leaves_without_a_thread(kafka: Kafka, topic: str, name: str) -> None:
    threads = own_threads()
    await produce(kafka, topic, 10)
    consumer = Consumer(reactor, kafka.bootstrap, group_id=name, auto_offset_reset="earliest")
    consumer.subscribe([topic])
    assert await consumer.join(20_000)
    assert [(topic, 0), (topic, 1)] == sorted(consumer.assignment)
    assert [(p, o) for p in (0, 1) for o in range(5)] == await read(consumer, 10)
    await consumer.commit()
    assert threads == own_threads()
    await consumer.close()
    again = Consumer(reactor, kafka.bootstrap, group_id=name, auto_offset_reset="earliest")
    again.subscribe([topic])
    await produce(kafka, topic, 1)
    assert [(0, 5)] == await read(again, 1)
    await again.close()


@on_reactor
async def test_a_reader_seeks_and_acknowledges(kafka: Kafka, topic: str, name: str) -> None:
    await produce(kafka, topic, 10)
    consumer = Consumer(reactor, kafka.bootstrap, group_id=name)
    consumer.assign([(topic, 0)])
    await consumer.seek_to_beginning()
    assert 5 == len(await read(consumer, 5))
    consumer.seek((topic, 0), 3)
    first, second = await consumer.poll(5000)
    assert [None, 5] == [await consumer.ack(second), await consumer.ack(first)]
    await consumer.seek_to_end()
    assert [] == await consumer.poll(100)
    await consumer.close()
