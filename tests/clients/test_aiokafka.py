"""aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.structs import OffsetAndMetadata

from tests.servers import Kafka


@asynccontextmanager
async def producer(kafka: Kafka, **config: Any) -> AsyncIterator[AIOKafkaProducer]:
    p = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **config)
    await p.start()
    try:
        yield p
    finally:
        await p.stop()


@asynccontextmanager
async def consumer(kafka: Kafka, *topics: str, **config: Any) -> AsyncIterator[AIOKafkaConsumer]:
    defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "heartbeat_interval_ms": 300}
    c = AIOKafkaConsumer(*topics, bootstrap_servers=kafka.bootstrap, **(defaults | config))
    await c.start()
    try:
        yield c
    finally:
        await c.stop()


async def take(c: AIOKafkaConsumer, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [await c.getone() for _ in range(count)]


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.mark.real_zookeeper
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_each_codec_returns_everything_as_it_was_sent(kafka: Kafka, topic: str, codec: str | None) -> None:
    async def scenario() -> None:
        sent = [f"{codec} {i} ".encode() + b"x" * 300 for i in range(300)]
        async with producer(kafka, compression_type=codec, linger_ms=20) as p:
            futures = [await p.send(topic, value, partition=0) for value in sent]
            assert list(range(300)) == [(await f).offset for f in futures]
        async with consumer(kafka) as c:
            c.assign([TopicPartition(topic, 0)])
            assert sent == [m.value for m in await take(c, 300)]

    asyncio.run(scenario())


def test_keys_headers_and_timestamps_survive(kafka: Kafka, topic: str) -> None:
    async def scenario() -> None:
        headers = [("a", b"1"), ("a", b"2"), ("bytes", bytes(range(256)))]
        async with producer(kafka) as p:
            at = {"partition": 0, "timestamp_ms": 1234567890123, "headers": headers}
            await p.send_and_wait(topic, b"value", b"key", **at)
            await p.send_and_wait(topic, None, b"tombstone", partition=0)
        async with consumer(kafka) as c:
            c.assign([TopicPartition(topic, 0)])
            first, second = await take(c, 2)
        assert (b"key", b"value", headers) == (first.key, first.value, list(first.headers))
        assert (1234567890123, 0) == (first.timestamp, first.timestamp_type)
        assert (b"tombstone", None) == (second.key, second.value)

    asyncio.run(scenario())


@pytest.mark.parametrize(("acks", "idempotent"), [(0, False), (1, False), ("all", False), ("all", True)])
def test_each_acks_setting_delivers(kafka: Kafka, topic: str, acks: Any, idempotent: bool) -> None:
    async def scenario() -> None:
        sent = [str(i).encode() for i in range(100)]
        async with producer(kafka, acks=acks, enable_idempotence=idempotent) as p:
            for value in sent:
                await p.send(topic, value, partition=0)
        async with consumer(kafka) as c:
            c.assign([TopicPartition(topic, 0)])
            assert sent == [m.value for m in await take(c, 100)]

    asyncio.run(scenario())


@pytest.mark.real_zookeeper
def test_a_group_commits_and_goes_on_there(kafka: Kafka, topic: str, name: str) -> None:
    async def scenario() -> None:
        partition = TopicPartition(topic, 0)
        async with producer(kafka) as p:
            for i in range(10):
                await p.send(topic, str(i).encode(), partition=0)
        async with consumer(kafka, topic, group_id=name) as c:
            await take(c, 10)
            await c.commit({partition: OffsetAndMetadata(4, "said")})
            assert 4 == await c.committed(partition)
        kafka.assert_committed(name, topic, {0: 4})
        async with consumer(kafka, topic, group_id=name) as c:
            assert [b"4", b"5"] == [m.value for m in await take(c, 2)]
            await c.commit()
        kafka.assert_committed(name, topic, {0: 6, 1: 0})

    asyncio.run(scenario())


def test_partitions_are_shared_as_members_come_and_go(kafka: Kafka, topic: str, name: str) -> None:
    async def scenario() -> None:
        async def shares(*consumers: AIOKafkaConsumer) -> list[list[int]]:
            return sorted(sorted(p.partition for p in c.assignment()) for c in consumers)

        async def is_shared(expected: list[list[int]], *consumers: AIOKafkaConsumer) -> bool:
            return await shares(*consumers) == expected

        async with consumer(kafka, topic, group_id=name) as one:
            await until(lambda: is_shared([[0, 1]], one))
            async with consumer(kafka, topic, group_id=name, group_instance_id="static") as two:
                await until(lambda: is_shared([[0], [1]], one, two))

    asyncio.run(scenario())


def test_seek_goes_to_any_offset_and_time(kafka: Kafka, topic: str) -> None:
    async def scenario() -> None:
        partition = TopicPartition(topic, 0)
        async with producer(kafka) as p:
            for i in range(10):
                await p.send(topic, str(i).encode(), partition=0, timestamp_ms=1_600_000_000_000 + 1000 * i)
        async with consumer(kafka) as c:
            c.assign([partition])
            await take(c, 10)
            c.seek(partition, 4)
            assert [b"4"] == [m.value for m in await take(c, 1)]
            found = await c.offsets_for_times({partition: 1_600_000_002_500})
            assert (3, 1_600_000_003_000) == (found[partition].offset, found[partition].timestamp)
            assert {partition: None} == await c.offsets_for_times({partition: 1_600_000_009_001})
            assert {partition: 0} == await c.beginning_offsets([partition])
            assert {partition: 10} == await c.end_offsets([partition])
            await c.seek_to_beginning(partition)
            assert [b"0"] == [m.value for m in await take(c, 1)]

    asyncio.run(scenario())


def test_admin_does_its_work(kafka: Kafka, name: str) -> None:
    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:

            async def listed() -> bool:
                return name in await admin.list_topics()

            async def gone() -> bool:
                return not await listed()

            async def extended() -> bool:
                return len((await admin.describe_topics([name]))[0]["partitions"]) == 3

            created = await admin.create_topics([NewTopic(name, 2, 1)])
            assert [(name, 0)] == [error[:2] for error in created.topic_errors]
            again = await admin.create_topics([NewTopic(name, 2, 1)])
            assert [(name, 36)] == [error[:2] for error in again.topic_errors]
            await until(listed)
            await admin.create_partitions({name: NewPartitions(3)})
            await until(extended)
            assert [kafka.broker.port] == [b["port"] for b in (await admin.describe_cluster())["brokers"]]
            await admin.delete_topics([name])
            await until(gone)
        finally:
            await admin.close()

    asyncio.run(scenario())
