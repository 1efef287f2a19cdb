"""The producer against a broker."""

import re
import threading
import time

import pytest

from kafkalike.client.assigned_partitions import ConsumerRecord
from kafkalike.client.blocking.admin import Admin
from kafkalike.client.blocking.consumer import Consumer
from kafkalike.client.blocking.producer import BlockingDelivery, Producer
from kafkalike.client.errors import TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST
from tests.servers import Kafka, free_port, wait_until


def read(kafka: Kafka, topic: str, count: int, partitions: int = 2) -> list[ConsumerRecord]:
    with Consumer(kafka.bootstrap) as consumer:
        consumer.assign([(topic, p) for p in range(partitions)])
        consumer.seek_to_beginning()
        found: list[ConsumerRecord] = []
        while len(found) < count:
            more = consumer.poll(10_000)
            assert more, f"only {len(found)} of {count}"
            found += more
        return found


def sizes(kafka: Kafka, topic: str, partitions: int) -> list[int]:
    with Admin(kafka.bootstrap) as admin:
        parts = [(topic, p) for p in range(partitions)]
        start, end = (admin.list_offsets(dict.fromkeys(parts, spec)) for spec in (EARLIEST, LATEST))
        return [end[p].offset - start[p].offset for p in parts]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_sent_is_received(kafka: Kafka, topic: str, codec: str) -> None:
    with Producer(kafka.bootstrap, compression_type=codec, linger_ms=20) as producer:
        deliveries = [
            producer.send(topic, b"value %d" % n, key=b"k", headers=[("h", b"x"), ("n", None)], timestamp_ms=n)
            for n in range(20)
        ]
        producer.send(topic, None)
        producer.flush()
    assert list(range(20)) == [d.result(0).offset for d in deliveries]
    found = [r for r in read(kafka, topic, 21) if r.key is not None]
    assert [(n, b"value %d" % n, (("h", b"x"), ("n", None))) for n in range(20)] == [
        (r.timestamp, r.value, r.headers) for r in found
    ]


def test_messages_without_key_are_dealt_strictly(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 4)
    with Producer(kafka.bootstrap, batch_size=500, linger_ms=3, compression_type="lz4") as producer:
        deliveries = [producer.send(name, b"message %d" % n) for n in range(1000)]
        producer.flush()
    assert [0, 1, 2, 3, 0] == [d.partition for d in deliveries[:5]]
    assert [250] * 4 == sizes(kafka, name, 4)


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_acks(kafka: Kafka, topic: str, acks: int) -> None:
    with Producer(kafka.bootstrap, acks=acks) as producer:
        delivery = producer.send(topic, b"v", partition=1).result(10_000)
    assert (1, -1 if acks == 0 else 0) == (delivery.partition, delivery.offset)
    assert [b"v"] == [r.value for r in read(kafka, topic, 1)]


def test_a_topic_is_created_when_something_is_sent_to_it(kafka: Kafka, name: str) -> None:
    with Producer(kafka.bootstrap) as producer:
        assert 0 == producer.send(name, b"v").result(10_000).offset


def test_a_broker_that_refuses_is_quoted(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 1, max_message_bytes=1000)
    with Producer(kafka.bootstrap) as producer:
        with pytest.raises(KafkaError) as caught:
            producer.send(name, b"x" * 2000).result(10_000)
        assert Error.MESSAGE_TOO_LARGE is caught.value.error
        assert 0 == producer.send(name, b"small").result(10_000).offset, "the producer goes on"
        with pytest.raises(KafkaError, match=r"max\.request\.size"):
            producer.send(name, b"x" * 2_000_000)


def test_an_illegal_topic_is_refused_at_once(kafka: Kafka) -> None:
    with Producer(kafka.bootstrap) as producer, pytest.raises(KafkaError) as caught:
        producer.send("no/slashes", b"v")
    assert Error.INVALID_TOPIC_EXCEPTION is caught.value.error


def test_nobody_there() -> None:
    producer = Producer(f"127.0.0.1:{free_port()}", max_block_ms=300)
    with pytest.raises(TimedOut, match="Topic t not present in metadata after 300 ms"):
        producer.send("t", b"v")
    producer.close()


def test_idempotence_wants_all_acks() -> None:
    with pytest.raises(ValueError, match="Must set acks to all"):
        Producer("127.0.0.1:1", acks=1, enable_idempotence=True)


def test_deliveries_are_told_in_order(kafka: Kafka, topic: str) -> None:
    told: list[int] = []
    with Producer(kafka.bootstrap) as producer:
        for _ in range(50):
            producer.send(topic, b"v", partition=0, on_delivery=lambda d: told.append(d.offset))
    assert list(range(50)) == told


def test_an_on_delivery_that_would_wait_for_its_own_thread_is_told_so(
    kafka: Kafka, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(kafka.bootstrap)
    cpu: list[float] = []
    refused: list[str] = []
    called = threading.Event()

    def waits(delivery: BlockingDelivery) -> None:
        called.set()
        began = time.thread_time()
        producer.send(topic, b"what is sent without waiting is sent", partition=1)
        try:
            producer.flush(1000)
        except RuntimeError as problem:
            refused.append(str(problem))
            raise
        finally:
            cpu.append(time.thread_time() - began)

    first, second = (producer.send(topic, b"v", partition=0, on_delivery=on) for on in (waits, None))
    assert called.wait(10)
    wait_until(lambda: refused)
    assert re.match(r"on_delivery must not wait: ", refused[0])
    assert [0, 1] == [first.result(10_000).offset, second.result(10_000).offset], "the others are told all the same"
    producer.close(10_000)
    assert cpu[0] < 0.5
    assert "on_delivery" in capsys.readouterr().err
    assert [1, 2] == sorted(sizes(kafka, topic, 2))
