"""confluent-kafka: the newest librdkafka, through Python."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

from tests.servers import Kafka, wait_until


def producer(kafka: Kafka, **config: Any) -> Producer:
    return Producer({"bootstrap.servers": kafka.bootstrap} | dotted(config))


def consumer(kafka: Kafka, group: str, **config: Any) -> Consumer:
    defaults = {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 300,
    }
    opened.append(Consumer(defaults | dotted(config)))
    return opened[-1]


opened: list[Consumer] = []


@pytest.fixture(autouse=True)
def _closed_with_the_test() -> Iterator[None]:
    """librdkafka can wait for ever in the destructor of a consumer that a failed test left open, when its broker is
    gone."""
    yield
    while opened:
        opened.pop().close()


def dotted(config: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "."): value for key, value in config.items()}


def send(kafka: Kafka, topic: str, values: Iterable[str | bytes], partition: int = 0, **config: Any) -> list[Message]:
    """The messages as acknowledged, in the order of the acknowledgements."""
    acknowledged: list[Message] = []

    def report(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        acknowledged.append(message)

    p = producer(kafka, **config)
    for value in values:
        p.produce(topic, value, partition=partition, on_delivery=report)
        p.poll(0)
    assert 0 == p.flush(30)
    return acknowledged


def take(c: Consumer, count: int, timeout: float = 30) -> list[Message]:
    """The next messages."""
    got: list[Message] = []
    deadline = time.monotonic() + timeout
    while len(got) < count:
        assert time.monotonic() < deadline, f"{len(got)} of {count} messages within {timeout} s"
        for message in c.consume(count - len(got), 0.2):
            assert message.error() is None, message.error()
            got.append(message)
    return got


def values(messages: Iterable[Message]) -> list[str]:
    return [(m.value() or b"").decode() for m in messages]


@pytest.mark.real_zookeeper
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_each_codec_returns_everything_as_it_was_sent(kafka: Kafka, topic: str, name: str, codec: str) -> None:
    sent = [f"{codec} {i} " + "x" * 500 for i in range(1000)]
    acknowledged = send(kafka, topic, sent, compression_type=codec, linger_ms=50)
    assert list(range(1000)) == [m.offset() for m in acknowledged]
    with closing(consumer(kafka, name)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        assert sent == values(take(c, 1000))


def test_keys_headers_timestamps_and_empty_values_survive(kafka: Kafka, topic: str, name: str) -> None:
    p = producer(kafka)
    headers = [("a", b"1"), ("a", b"2"), ("none", None), ("bytes", bytes(range(256)))]
    p.produce(topic, b"value", b"key", partition=0, timestamp=1234567890123, headers=headers)
    p.produce(topic, None, b"tombstone", partition=0)
    p.produce(topic, b"", b"", partition=0)
    assert 0 == p.flush(30)
    with closing(consumer(kafka, name)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        first, second, third = take(c, 3)
    assert (b"key", b"value", headers) == (first.key(), first.value(), first.headers())
    assert (TIMESTAMP_CREATE_TIME, 1234567890123) == first.timestamp()
    assert (b"tombstone", None) == (second.key(), second.value())
    assert (b"", b"") == (third.key() or b"", third.value() or b"")


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_acks_setting_delivers(kafka: Kafka, topic: str, name: str, acks: str) -> None:
    sent = [str(i) for i in range(200)]
    acknowledged = send(kafka, topic, sent, acks=acks)
    assert sent == values(acknowledged)
    with closing(consumer(kafka, name)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        assert sent == values(take(c, 200))


def test_an_idempotent_producer_delivers_in_order_with_five_requests_under_way(
    kafka: Kafka, topic: str, name: str
) -> None:
    sent = [str(i) for i in range(5000)]
    config = {"enable_idempotence": True, "batch_num_messages": 10, "linger_ms": 0}
    assert list(range(5000)) == [m.offset() for m in send(kafka, topic, sent, **config)]
    with closing(consumer(kafka, name)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        assert sent == values(take(c, 5000))


def test_a_waiting_consumer_gets_a_message_at_once(kafka: Kafka, topic: str, name: str) -> None:
    with closing(consumer(kafka, name, fetch_wait_max_ms=5000)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        send(kafka, topic, ["first"])
        assert ["first"] == values(take(c, 1))
        started = time.monotonic()
        send(kafka, topic, ["second"])
        assert ["second"] == values(take(c, 1))
        assert time.monotonic() - started < 2


@pytest.mark.real_zookeeper
def test_a_group_commits_and_goes_on_there(kafka: Kafka, topic: str, name: str) -> None:
    send(kafka, topic, [str(i) for i in range(20)])
    with closing(consumer(kafka, name)) as c:
        c.subscribe([topic])
        messages = take(c, 20)
        c.commit(message=messages[11], asynchronous=False)
        kafka.assert_committed(name, topic, {0: 12})
        assert 12 == c.committed([TopicPartition(topic, 0)], 10)[0].offset
    with closing(consumer(kafka, name)) as c:
        c.subscribe([topic])
        assert [str(i) for i in range(12, 20)] == values(take(c, 8))
        c.commit(asynchronous=False)
        c.commit(offsets=[TopicPartition(topic, 1, 0, metadata="said")], asynchronous=False)
        answer = c.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], 10)
        assert [(20, ""), (0, "said")] == [(p.offset, p.metadata or "") for p in answer]
    kafka.assert_committed(name, topic, {0: 20, 1: 0})


def test_offsets_are_committed_by_itself_at_an_interval_and_on_leaving(kafka: Kafka, topic: str, name: str) -> None:
    send(kafka, topic, ["a", "b"])
    with closing(consumer(kafka, name, enable_auto_commit=True, auto_commit_interval_ms=100)) as c:
        c.subscribe([topic])
        take(c, 2)
        wait_until(lambda: c.poll(0.05) is None and committed(kafka, name, topic) == {0: 2}, what="an automatic commit")
        send(kafka, topic, ["c"])
        take(c, 1)
    assert {0: 3} == committed(kafka, name, topic)
    kafka.assert_committed(name, topic, {0: 3})


def committed(kafka: Kafka, group: str, topic: str) -> dict[int, int]:
    """What the broker says the group has committed."""
    asked = [ConsumerGroupTopicPartitions(group)]
    answer = kafka.admin.list_consumer_group_offsets(asked)[group].result(10)
    return {p.partition: p.offset for p in answer.topic_partitions if p.topic == topic}


def assignment(*consumers: Consumer) -> list[list[int]]:
    """Which member has which partitions, after each has polled."""
    for c in consumers:
        c.poll(0.02)
    return [sorted(p.partition for p in c.assignment()) for c in consumers]


@pytest.mark.real_zookeeper
@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_partitions_are_shared_as_members_come_and_go(kafka: Kafka, topic: str, name: str, strategy: str) -> None:
    def shared(*consumers: Consumer) -> bool:
        return sorted(assignment(*consumers)) in ([[0, 1]], [[0], [1]], [[], [0], [1]])

    one, two, three = (consumer(kafka, name, partition_assignment_strategy=strategy) for _ in range(3))
    one.subscribe([topic])
    wait_until(lambda: shared(one))
    two.subscribe([topic])
    wait_until(lambda: shared(one, two))
    three.subscribe([topic])
    # Whoever has not joined yet has nothing, like a member that is left over.
    wait_until(lambda: shared(one, two, three) and 3 == len(describe(kafka, name).members))
    one.close()
    wait_until(lambda: shared(two, three))
    two.close()
    wait_until(lambda: shared(three))
    three.close()
    assert 0 == len(describe(kafka, name).members)


def describe(kafka: Kafka, group: str) -> Any:
    return kafka.admin.describe_consumer_groups([group])[group].result(10)


def test_a_static_member_returns_to_its_partitions_without_a_rebalance(kafka: Kafka, topic: str, name: str) -> None:
    first = consumer(kafka, name, group_instance_id="i1")
    other = consumer(kafka, name, group_instance_id="i2")
    for c in (first, other):
        c.subscribe([topic])
    wait_until(lambda: sorted(assignment(first, other)) == [[0], [1]])
    had, other_had = assignment(first, other)
    first.close()
    rebalanced: list[str] = []
    again = consumer(kafka, name, group_instance_id="i1")
    again.subscribe([topic], on_assign=lambda c, p: rebalanced.append("assigned"))
    wait_until(lambda: assignment(again, other) == [had, other_had])
    assert ["assigned"] == rebalanced
    members = {m.group_instance_id for m in describe(kafka, name).members}
    assert {"i1", "i2"} == members
    again.close()
    other.close()


def test_a_second_consumer_with_the_same_instance_id_fences_the_first(kafka: Kafka, topic: str, name: str) -> None:
    first = consumer(kafka, name, group_instance_id="same")
    first.subscribe([topic])
    wait_until(lambda: assignment(first) == [[0, 1]])
    second = consumer(kafka, name, group_instance_id="same")
    second.subscribe([topic])
    wait_until(lambda: assignment(second) == [[0, 1]])

    def fenced() -> bool:
        try:
            message = first.poll(0.1)
        except KafkaException as error:
            return error.args[0].code() == KafkaError._FATAL
        failure = message.error() if message is not None else None
        return failure is not None and failure.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)

    wait_until(fenced)
    second.close()
    first.close()


def test_a_member_that_dies_is_replaced_after_its_session(kafka: Kafka, topic: str, name: str) -> None:
    """The dead one is a consumer that stops polling for longer than max.poll.interval.ms."""
    dead = consumer(kafka, name, session_timeout_ms=6000, max_poll_interval_ms=6000)
    dead.subscribe([topic])
    wait_until(lambda: assignment(dead) == [[0, 1]])
    heir = consumer(kafka, name)
    heir.subscribe([topic])
    wait_until(lambda: assignment(heir) == [[0, 1]], timeout=30)
    heir.close()
    dead.close()


def test_seek_goes_to_any_offset_and_time(kafka: Kafka, topic: str, name: str) -> None:
    p = producer(kafka)
    for i in range(10):
        p.produce(topic, str(i), partition=0, timestamp=1_600_000_000_000 + i * 1000)
    assert 0 == p.flush(30)
    with closing(consumer(kafka, name)) as c:
        c.assign([TopicPartition(topic, 0, 0)])
        take(c, 10)
        c.seek(TopicPartition(topic, 0, 4))
        assert ["4", "5"] == values(take(c, 2))
        times = [1_600_000_000_000 + ms for ms in (0, 1, 4000, 9000, 9001)]
        found = [c.offsets_for_times([TopicPartition(topic, 0, ms)], 10)[0].offset for ms in times]
        assert [0, 1, 4, 9, -1] == found
        assert (0, 10) == c.get_watermark_offsets(TopicPartition(topic, 0), 10)
        c.seek(TopicPartition(topic, 0, found[2]))
        assert ["4"] == values(take(c, 1))


def test_an_offset_out_of_range_falls_back_as_the_client_was_told(kafka: Kafka, topic: str, name: str) -> None:
    send(kafka, topic, ["a", "b", "c"])
    with closing(consumer(kafka, name, auto_offset_reset="earliest")) as c:
        c.assign([TopicPartition(topic, 0, 1000)])
        assert ["a"] == values(take(c, 1))
    with closing(consumer(kafka, name, auto_offset_reset="error")) as c:
        c.assign([TopicPartition(topic, 0, 1000)])

        def refused() -> bool:
            message = c.poll(0.2)
            return message is not None and message.error().code() == KafkaError._AUTO_OFFSET_RESET

        wait_until(refused)


def test_a_big_message_goes_through_and_one_above_the_limit_is_refused(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 1, max_message_bytes=3_000_000)
    big = b"x" * 2_900_000
    send(kafka, name, [big], message_max_bytes=10_000_000)
    with closing(consumer(kafka, name, max_partition_fetch_bytes=100_000)) as c:
        c.assign([TopicPartition(name, 0, 0)])
        assert [big] == [m.value() for m in take(c, 1)]
    failures: list[KafkaError] = []
    p = producer(kafka, message_max_bytes=10_000_000)
    p.produce(name, b"x" * 3_100_000, on_delivery=lambda error, _: failures.append(error))
    assert 0 == p.flush(30)
    assert [KafkaError.MSG_SIZE_TOO_LARGE] == [e.code() for e in failures]


def test_many_partitions_keep_each_its_own_order(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 60)
    p = producer(kafka, linger_ms=20)
    for i in range(6000):
        p.produce(name, str(i // 60), partition=i % 60)
        p.poll(0)
    assert 0 == p.flush(30)
    with closing(consumer(kafka, name)) as c:
        c.subscribe([name])
        got: dict[int, list[int]] = {}
        for m in take(c, 6000):
            got.setdefault(m.partition(), []).append(int(m.value()))
        assert {i: list(range(100)) for i in range(60)} == got
        c.commit(asynchronous=False)
    kafka.assert_committed(name, name, dict.fromkeys(range(60), 100))


def test_admin_creates_describes_extends_and_deletes_topics(kafka: Kafka, name: str) -> None:
    admin = kafka.admin
    new = NewTopic(name, 2, 1, config={"segment.bytes": "1048576", "retention.ms": "60000"})
    admin.create_topics([new])[name].result(30)
    assert KafkaError.TOPIC_ALREADY_EXISTS == refusal(admin.create_topics([new])[name])
    assert {0, 1} == set(wait_until(lambda: admin.list_topics(timeout=10).topics.get(name)).partitions)
    admin.create_partitions([NewPartitions(name, 5)])[name].result(30)
    wait_until(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5)
    assert KafkaError.INVALID_PARTITIONS == refusal(admin.create_partitions([NewPartitions(name, 3)])[name])

    resource = ConfigResource(ResourceType.TOPIC, name)
    described = admin.describe_configs([resource])[resource].result(30)
    assert ("1048576", "60000") == (described["segment.bytes"].value, described["retention.ms"].value)
    assert (False, True) == (described["segment.bytes"].is_default, described["flush.ms"].is_default)

    admin.delete_topics([name])[name].result(30)
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics)
    assert KafkaError.UNKNOWN_TOPIC_OR_PART == refusal(admin.delete_topics([name])[name])


def refusal(future: Any) -> int:
    """The error code of an answer that must be an error."""
    with pytest.raises(KafkaException) as caught:
        future.result(30)
    return int(caught.value.args[0].code())


def test_admin_is_refused_what_cannot_be(kafka: Kafka, name: str) -> None:
    cases = {
        "bad name!": (NewTopic("bad name!", 1, 1), KafkaError.TOPIC_EXCEPTION),
        "..": (NewTopic("..", 1, 1), KafkaError.TOPIC_EXCEPTION),
        f"{name}-rf": (NewTopic(f"{name}-rf", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        f"{name}-p": (NewTopic(f"{name}-p", 0, 1), KafkaError.INVALID_PARTITIONS),
        f"{name}-c": (NewTopic(f"{name}-c", 1, 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
        f"{name}-v": (NewTopic(f"{name}-v", 1, 1, config={"retention.ms": "x"}), KafkaError.INVALID_CONFIG),
    }
    answers = {key: refusal(kafka.admin.create_topics([topic])[key]) for key, (topic, _) in cases.items()}
    assert {key: code for key, (_, code) in cases.items()} == answers


def test_admin_describes_the_broker_and_the_cluster(kafka: Kafka) -> None:
    resource = ConfigResource(ResourceType.BROKER, "0")
    described = kafka.admin.describe_configs([resource])[resource].result(30)
    assert f"PLAINTEXT://{kafka.bootstrap}" == described["listeners"].value
    assert (True, "0") == (described["broker.id"].is_read_only, described["broker.id"].value)
    cluster = kafka.admin.describe_cluster().result(30)
    assert (0, [0]) == (cluster.controller.id, [n.id for n in cluster.nodes])
    assert 22 == len(cluster.cluster_id)


def test_admin_lists_offsets_and_deletes_records(kafka: Kafka, topic: str) -> None:
    send(kafka, topic, [str(i) for i in range(10)])
    partition = TopicPartition(topic, 0)

    def at(spec: OffsetSpec) -> int:
        return int(kafka.admin.list_offsets({partition: spec})[partition].result(30).offset)

    assert (0, 10) == (at(OffsetSpec.earliest()), at(OffsetSpec.latest()))
    deleted = kafka.admin.delete_records([TopicPartition(topic, 0, 4)])
    assert 4 == next(iter(deleted.values())).result(30).low_watermark
    assert (4, 10) == (at(OffsetSpec.earliest()), at(OffsetSpec.latest()))


@pytest.mark.real_zookeeper
def test_admin_lists_describes_resets_and_deletes_groups(kafka: Kafka, topic: str, name: str) -> None:
    send(kafka, topic, ["a", "b", "c"])
    admin = kafka.admin
    c = consumer(kafka, name, client_id="reader")
    c.subscribe([topic])
    take(c, 3)
    c.commit(asynchronous=False)
    group = describe(kafka, name)
    assert ("STABLE", "range", ["reader"]) == (
        group.state.name,
        group.partition_assignor,
        [m.client_id for m in group.members],
    )
    assert [0, 1] == sorted(p.partition for p in group.members[0].assignment.topic_partitions)
    assert KafkaError.NON_EMPTY_GROUP == refusal(admin.delete_consumer_groups([name])[name])
    c.close()
    assert name in {g.group_id for g in admin.list_consumer_groups().result(10).valid}
    assert {0: 3} == committed(kafka, name, topic)
    wanted = ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 0, 1)])
    admin.alter_consumer_group_offsets([wanted])[name].result(10)
    assert {0: 1} == committed(kafka, name, topic)
    kafka.assert_committed(name, topic, {0: 1})
    admin.delete_consumer_groups([name])[name].result(10)
    assert {} == committed(kafka, name, topic)
    kafka.assert_committed(name, topic, {})
