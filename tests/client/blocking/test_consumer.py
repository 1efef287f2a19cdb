"""The consumer against a broker."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import confluent_kafka
import pytest

from kafkalike.client.blocking.admin import Admin
from kafkalike.client.blocking.consumer import Consumer
from kafkalike.client.blocking.producer import Producer
from kafkalike.client.errors import NoOffset, TimedOut
from tests.servers import Kafka, free_port, wait_until


class Group:
    """Consumers of one group, closed with the test."""

    def __init__(self, kafka: Kafka, name: str, stack: ExitStack) -> None:
        self.kafka, self.name, self.stack = kafka, name, stack

    def consumer(self, topic: str | None = None, **options: Any) -> Consumer:
        defaults: dict[str, Any] = {"auto_offset_reset": "earliest", "session_timeout_ms": 6000}
        consumer = Consumer(self.kafka.bootstrap, group_id=self.name, **defaults | options)
        self.stack.callback(lambda: consumer.close() if consumer not in self.closed else None)
        if topic is not None:
            consumer.subscribe([topic])
            assert consumer.join(20_000)
        return consumer

    closed: list[Consumer] = []

    def close(self, consumer: Consumer) -> None:
        consumer.close()
        self.closed.append(consumer)


@pytest.fixture
def group(kafka: Kafka, name: str) -> Iterator[Group]:
    with ExitStack() as stack:
        yield Group(kafka, name, stack)


def produce(kafka: Kafka, topic: str, count: int, partition: int | None = None) -> None:
    with Producer(kafka.bootstrap) as producer:
        for number in range(count):
            producer.send(topic, b"%d" % number, partition=partition)


def read(consumer: Consumer, count: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while len(found) < count:
        records = consumer.poll(10_000)
        assert records, f"only {found}"
        found += [(r.partition, r.offset) for r in records]
    return found


def test_a_member_gets_everything_and_its_commits_are_kept(kafka: Kafka, group: Group, topic: str) -> None:
    produce(kafka, topic, 10)
    consumer = group.consumer(topic)
    assert [(p, o) for p in (0, 1) for o in range(5)] == sorted(read(consumer, 10))
    consumer.commit()
    kafka.assert_committed(group.name, topic, {0: 5, 1: 5})
    group.close(consumer)
    produce(kafka, topic, 2)
    assert [(0, 5), (1, 5)] == sorted(read(group.consumer(topic), 2))


def test_the_start_position_is_saved_at_assignment(kafka: Kafka, group: Group, topic: str) -> None:
    produce(kafka, topic, 3, partition=0)
    consumer = group.consumer(topic, auto_offset_reset="latest")
    assert {(topic, 0): (3, "latest"), (topic, 1): (0, "latest")} == consumer.start_offsets
    kafka.assert_committed(group.name, topic, {0: 3, 1: 0})
    group.close(consumer)
    produce(kafka, topic, 1, partition=0)
    again = group.consumer(topic, auto_offset_reset="latest")
    assert [(0, 3)] == read(again, 1), "sent between two consumers, and not lost"


def test_the_start_position_need_not_be_saved(kafka: Kafka, group: Group, topic: str) -> None:
    group.consumer(topic, save_start=False)
    with Admin(kafka.bootstrap) as admin:
        assert {} == admin.committed(group.name)


def test_ack_commits_the_contiguous_prefix(kafka: Kafka, group: Group, topic: str) -> None:
    produce(kafka, topic, 3, partition=0)
    consumer = group.consumer(topic)
    records = consumer.poll(10_000)
    assert [None, 2, 3] == [consumer.ack(records[n]) for n in (1, 0, 2)]
    kafka.assert_committed(group.name, topic, {0: 3, 1: 0})


def test_without_offset_and_reset_policy_it_says_so(group: Group, topic: str) -> None:
    consumer = group.consumer(auto_offset_reset="none")
    consumer.subscribe([topic])
    with pytest.raises(NoOffset, match=f"Undefined offset with no reset policy for partitions: .*{topic}-0"):
        consumer.join(20_000)


def test_two_members_share_and_one_takes_over(kafka: Kafka, group: Group, topic: str) -> None:
    one = group.consumer(topic)
    assert [0, 1] == sorted(p for _, p in one.assignment)
    two = group.consumer()
    two.subscribe([topic])
    stop = threading.Event()

    def keep_polling() -> None:
        while not stop.is_set():
            one.poll(50)

    polling = threading.Thread(target=keep_polling)
    polling.start()
    assert two.join(20_000)
    wait_until(lambda: len(one.assignment) == 1, what="the first member gives one up")
    assert [0, 1] == sorted(p for c in (one, two) for _, p in c.assignment)
    group.close(two)
    wait_until(lambda: len(one.assignment) == 2, what="the first member has both again")
    stop.set()
    polling.join()


def test_more_members_than_partitions_leaves_one_idle(kafka: Kafka, group: Group, name: str) -> None:
    kafka.create_topic(name, 1)
    members = [group.consumer() for _ in range(2)]
    stop = threading.Event()

    def run(consumer: Consumer) -> None:
        consumer.subscribe([name])
        while not stop.is_set():
            consumer.poll(50)

    threads = [threading.Thread(target=run, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    with Admin(kafka.bootstrap) as admin:
        wait_until(
            lambda: [0, 1] == sorted(len(m.partitions) for m in admin.describe_group(group.name).members),
            what="one has the partition and the other nothing",
        )
    stop.set()
    for thread in threads:
        thread.join()


def test_a_group_is_shared_with_librdkafka(kafka: Kafka, group: Group, topic: str) -> None:
    ours = group.consumer(topic)
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": group.name, "session.timeout.ms": 6000}
    theirs = confluent_kafka.Consumer(settings | {"auto.offset.reset": "earliest"})
    theirs.subscribe([topic])
    values: dict[str, list[bytes | None]] = {"ours": [], "theirs": []}

    def both() -> bool:
        values["ours"] += [r.value for r in ours.poll(20)]
        message = theirs.poll(0.02)
        if message is not None and not message.error():
            values["theirs"].append(message.value())
        return 1 == len(ours.assignment) == len(theirs.assignment())

    wait_until(both, what="each has one partition")
    produce(kafka, topic, 10)
    wait_until(lambda: both() and 10 == sum(map(len, values.values())), what="all messages")
    assert {"ours": 5, "theirs": 5} == {who: len(got) for who, got in values.items()}
    theirs.close()


@pytest.mark.slow
def test_slow_processing_costs_no_membership(kafka: Kafka, group: Group, topic: str) -> None:
    """The session times out after 6 s; nothing but heartbeats happens for 7."""
    produce(kafka, topic, 2, partition=0)
    consumer = group.consumer(topic, max_poll_records=1)
    (record,) = consumer.poll(10_000)
    before = (consumer.member_id, consumer.generation_id)
    time.sleep(7)
    assert 1 == consumer.ack(record)
    assert [(0, 1)] == read(consumer, 1)
    assert before == (consumer.member_id, consumer.generation_id)


def test_closing_leaves_at_once(kafka: Kafka, group: Group, topic: str) -> None:
    group.close(group.consumer(topic))
    with Admin(kafka.bootstrap) as admin:
        assert ("Empty", ()) == (admin.describe_group(group.name).state, admin.describe_group(group.name).members)


def test_automatic_commits(kafka: Kafka, group: Group, topic: str) -> None:
    produce(kafka, topic, 4)
    consumer = group.consumer(topic, enable_auto_commit=True, auto_commit_interval_ms=100)
    read(consumer, 4)
    with Admin(kafka.bootstrap) as admin:

        def committed() -> bool:
            consumer.poll(20)
            return [2, 2] == [c.offset for c in admin.committed(group.name).values()]

        wait_until(committed)
    produce(kafka, topic, 2)
    read(consumer, 2)
    group.close(consumer)
    kafka.assert_committed(group.name, topic, {0: 3, 1: 3})


def test_a_pattern_follows_new_topics(kafka: Kafka, group: Group, name: str) -> None:
    kafka.create_topic(f"{name}-a", 1)
    consumer = group.consumer(metadata_max_age_ms=200)
    consumer.subscribe(pattern=f"{name}-.*")
    assert consumer.join(20_000)
    assert [(f"{name}-a", 0)] == consumer.assignment
    kafka.create_topic(f"{name}-b", 1)

    def both() -> bool:
        consumer.poll(50)
        return 2 == len(consumer.assignment)

    wait_until(both)


def test_a_topic_may_appear_after_the_subscription(kafka: Kafka, group: Group, name: str) -> None:
    consumer = group.consumer(allow_auto_create_topics=False)
    consumer.subscribe([name])
    assert [] == consumer.poll(300)
    kafka.create_topic(name, 1)
    produce(kafka, name, 1)
    assert [(0, 0)] == read(consumer, 1)


def test_seeking(kafka: Kafka, topic: str) -> None:
    produce(kafka, topic, 5, partition=0)
    with Consumer(kafka.bootstrap) as consumer:
        partition = (topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 3)
        assert [(0, 3), (0, 4)] == read(consumer, 2)
        consumer.seek_to_beginning([partition])
        assert 5 == len(read(consumer, 5))
        consumer.seek_to_end([partition])
        assert [] == consumer.poll(200)
        assert 5 == consumer.position(partition)


def test_an_offset_out_of_range_follows_the_reset_policy(kafka: Kafka, topic: str) -> None:
    produce(kafka, topic, 3, partition=0)
    with Consumer(kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([(topic, 0)])
        consumer.seek((topic, 0), 1000)
        assert 3 == len(read(consumer, 3))


def test_a_waiting_fetch_is_answered_when_a_message_comes(kafka: Kafka, topic: str) -> None:
    with Consumer(kafka.bootstrap, fetch_max_wait_ms=5000) as consumer:
        consumer.assign([(topic, 0)])
        consumer.seek((topic, 0), 0)
        assert [] == consumer.poll(300)
        produce(kafka, topic, 1, partition=0)
        began = time.monotonic()
        assert [(0, 0)] == read(consumer, 1)
        assert time.monotonic() - began < 2


def test_a_poll_that_does_not_wait_gives_what_has_arrived(kafka: Kafka, topic: str) -> None:
    """A reader of given partitions has no thread: nobody but its polls reads the answers, however late."""
    with Consumer(kafka.bootstrap, fetch_max_wait_ms=900, request_timeout_ms=1000) as consumer:
        consumer.assign([(topic, 0)])
        consumer.seek((topic, 0), 0)
        assert [] == consumer.poll(300)
        produce(kafka, topic, 1, partition=0)
        time.sleep(1.2)
        assert [0] == [record.offset for record in consumer.poll(0)]
        produce(kafka, topic, 1, partition=0)
        found: list[int] = []
        wait_until(lambda: found.extend(record.offset for record in consumer.poll(0)) or found)
        assert [1] == found


def test_an_idle_consumer_asks_about_ten_times_a_second(kafka: Kafka, topic: str) -> None:
    with Consumer(kafka.bootstrap) as consumer:
        consumer.assign([(topic, 0)])
        consumer.seek((topic, 0), 0)
        consumer.poll(1000)
        assert 5 <= consumer.fetches[0] <= 15


def test_nobody_there() -> None:
    consumer = Consumer(f"127.0.0.1:{free_port()}", group_id="g", bootstrap_timeout_ms=300)
    consumer.subscribe(["t"])
    with pytest.raises(TimedOut, match="Timed out waiting for a node assignment"):
        consumer.poll(5000)
    consumer.close()


def test_group_calls_want_a_group() -> None:
    with Consumer("127.0.0.1:1") as consumer:
        for call in (lambda: consumer.subscribe(["t"]), consumer.commit):
            with pytest.raises(ValueError, match=r"group\.id"):
                call()
    with pytest.raises(ValueError, match=r"auto\.offset\.reset"):
        Consumer("127.0.0.1:1", auto_offset_reset="somewhere")
