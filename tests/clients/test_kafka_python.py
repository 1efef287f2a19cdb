"""kafka-python, the newest."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove, NewPartitions, NewTopic
from kafka.errors import (
    InvalidReplicationFactorError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from tests.servers import Kafka, wait_until


def consumer(kafka: Kafka, *topics: str, **config: Any) -> KafkaConsumer:
    defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "heartbeat_interval_ms": 300}
    c = KafkaConsumer(bootstrap_servers=kafka.bootstrap, **(defaults | config))
    if topics:
        # A leader that assigns before it knows the partitions joins again, and now and then it then waits for ever
        # (on Apache Kafka too).
        for topic in topics:
            assert c.partitions_for_topic(topic)
        c.subscribe(topics)
    return c


def send(kafka: Kafka, topic: str, values: Iterable[bytes], **config: Any) -> list[Any]:
    """What the broker said of each message."""
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, **config)) as p:
        futures = [p.send(topic, value, partition=0) for value in values]
        return [future.get(30) for future in futures]


def take(c: KafkaConsumer, count: int, timeout: float = 30) -> list[Any]:
    got: list[Any] = []
    deadline = time.monotonic() + timeout
    while len(got) < count:
        assert time.monotonic() < deadline, f"{len(got)} of {count} messages within {timeout} s"
        for messages in c.poll(200, max_records=count - len(got)).values():
            got += messages
    return got


@pytest.mark.real_zookeeper
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_each_codec_returns_everything_as_it_was_sent(kafka: Kafka, topic: str, codec: str | None) -> None:
    sent = [f"{codec} {i} ".encode() + b"x" * 300 for i in range(300)]
    answers = send(kafka, topic, sent, compression_type=codec, linger_ms=20)
    assert list(range(300)) == [a.offset for a in answers]
    with closing(consumer(kafka)) as c:
        c.assign([TopicPartition(topic, 0)])
        assert sent == [m.value for m in take(c, 300)]


def test_keys_headers_and_timestamps_survive(kafka: Kafka, topic: str) -> None:
    headers = [("a", b"1"), ("a", b"2"), ("bytes", bytes(range(256)))]
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as p:
        p.send(topic, b"value", b"key", headers=headers, partition=0, timestamp_ms=1234567890123).get(30)
        p.send(topic, None, b"tombstone", partition=0).get(30)
    with closing(consumer(kafka)) as c:
        c.assign([TopicPartition(topic, 0)])
        first, second = take(c, 2)
    assert (b"key", b"value", headers) == (first.key, first.value, list(first.headers))
    assert (1234567890123, 0) == (first.timestamp, first.timestamp_type)
    assert (b"tombstone", None) == (second.key, second.value)


@pytest.mark.parametrize(("acks", "idempotent"), [(0, False), (1, False), ("all", False), ("all", True)])
def test_each_acks_setting_delivers(kafka: Kafka, topic: str, acks: Any, idempotent: bool) -> None:
    sent = [str(i).encode() for i in range(100)]
    send(kafka, topic, sent, acks=acks, enable_idempotence=idempotent)
    with closing(consumer(kafka)) as c:
        c.assign([TopicPartition(topic, 0)])
        assert sent == [m.value for m in take(c, 100)]


@pytest.mark.real_zookeeper
def test_a_group_commits_and_goes_on_there(kafka: Kafka, topic: str, name: str) -> None:
    send(kafka, topic, [str(i).encode() for i in range(10)])
    partition = TopicPartition(topic, 0)
    with closing(consumer(kafka, topic, group_id=name)) as c:
        take(c, 10)
        c.commit({partition: OffsetAndMetadata(4, "said", -1)})
        assert 4 == c.committed(partition)
        assert "said" == c.committed(partition, metadata=True).metadata
    kafka.assert_committed(name, topic, {0: 4})
    with closing(consumer(kafka, topic, group_id=name)) as c:
        assert [b"4", b"5"] == [m.value for m in take(c, 2)]
        assert 0 == c.position(TopicPartition(topic, 1))  # commit() leaves out what has no position yet
        c.commit()
    kafka.assert_committed(name, topic, {0: 6, 1: 0})


def test_partitions_are_shared_as_members_come_and_go(kafka: Kafka, topic: str, name: str) -> None:
    def shares(*consumers: KafkaConsumer) -> list[list[int]]:
        for c in consumers:
            c.poll(200)  # a rebalance has to fit in: kafka-python drops it when its poll ends
        return sorted(sorted(p.partition for p in c.assignment()) for c in consumers)

    one, two = (consumer(kafka, topic, group_id=name, group_instance_id=f"i{i}") for i in range(2))
    wait_until(lambda: shares(one) == [[0, 1]])
    wait_until(lambda: shares(one, two) == [[0], [1]])
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        group = admin.describe_groups([name])[name]
        assert ["i0", "i1"] == sorted(m["group_instance_id"] for m in group["members"])
        admin.remove_group_members(name, [MemberToRemove(group_instance_id="i0")])
    wait_until(lambda: shares(two) == [[0, 1]])
    one.close()
    two.close()


def test_seek_goes_to_any_offset_and_time(kafka: Kafka, topic: str) -> None:
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as p:
        for i in range(10):
            p.send(topic, str(i).encode(), partition=0, timestamp_ms=1_600_000_000_000 + 1000 * i)
    partition = TopicPartition(topic, 0)
    with closing(consumer(kafka)) as c:
        c.assign([partition])
        take(c, 10)
        c.seek(partition, 4)
        assert [b"4"] == [m.value for m in take(c, 1)]
        assert (3, 1_600_000_003_000) == c.offsets_for_times({partition: 1_600_000_002_500})[partition][:2]
        assert c.offsets_for_times({partition: 1_600_000_009_001})[partition] is None
        assert ({partition: 0}, {partition: 10}) == (c.beginning_offsets([partition]), c.end_offsets([partition]))
        c.seek_to_beginning(partition)
        assert [b"0"] == [m.value for m in take(c, 1)]


def test_a_message_above_the_limit_is_refused(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 1, max_message_bytes=2_000_000)
    send(kafka, name, [b"x" * 1_900_000], max_request_size=10_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        send(kafka, name, [b"x" * 2_100_000], max_request_size=10_000_000)


def test_admin_does_its_work(kafka: Kafka, name: str) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.create_topics([NewTopic(name, 2, 1, topic_configs={"segment.bytes": "1048576"})])
        with pytest.raises(TopicAlreadyExistsError):
            admin.create_topics([NewTopic(name, 2, 1)])
        with pytest.raises(InvalidReplicationFactorError):
            admin.create_topics([NewTopic(name + "-rf", 1, 2)])
        wait_until(lambda: name in admin.list_topics())
        admin.create_partitions({name: NewPartitions(3)})
        wait_until(lambda: len(admin.describe_topics([name])[0]["partitions"]) == 3)
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        assert "1048576" in str(described)
        assert kafka.broker.port in {b["port"] for b in admin.describe_cluster()["brokers"]}
        admin.delete_topics([name])
        wait_until(lambda: name not in admin.list_topics())
        with pytest.raises(UnknownTopicOrPartitionError):
            admin.delete_topics([name])
