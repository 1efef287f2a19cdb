"""W1 to W3: producers send messages, and brokers store them in partitions."""

from __future__ import annotations

import re
import time
from pathlib import Path

from kafkalike.cli.walkthrough.report import NotHeld
from kafkalike.cli.walkthrough.stage import Stage, percentile
from kafkalike.client.partitioners import murmur2, partition_for_key

# Keys, each with the partition of 4 that the Java client chooses for it.
JAVA_KEYS = {b"21": 0, b"foobar": 2, b"a-little-bit-long-string": 0, b"a-little-bit-longer-string": 3}
JAVA_MURMUR2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}


def regular_intervals(stage: Stage) -> None:
    """W1: a producer sends at regular intervals."""
    topic = stage.topic(2)
    rate, count = 10, 21
    stage.sent(f"{count} messages to {topic}, one every {1000 // rate} ms: Produce, acks=all, one request each")
    producer = stage.producer()
    producer.partitions_for(topic)
    deliveries, waits = [], []
    began = time.monotonic()
    for number in range(count):
        pause = began + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        sent_at = time.monotonic()
        deliveries.append(producer.send(topic, f"message {number}".encode()).result(10_000))
        waits.append((time.monotonic() - sent_at) * 1000)
    measured = (count - 1) / (time.monotonic() - began)
    for number in (0, 1, count - 1):
        d = deliveries[number]
        stage.seen(f"message {number}: acknowledged as partition {d.partition}, offset {d.offset}")
    stage.measured(f"{measured:.2f} messages/s (10 ± 1); acknowledged after {percentile(waits, 0.5):.1f} ms, p50")
    stage.holds(all(d.partition >= 0 and d.offset >= 0 for d in deliveries), "each has a partition and an offset")
    stage.holds(abs(measured - rate) <= 10, "about 10 messages a second were delivered")


def stored_on_disk(stage: Stage) -> None:
    """W2: brokers store the messages on disk."""
    topic = stage.topic(2)
    values = [f"stored {number}" for number in range(6)]
    stage.sent(f"{len(values)} messages without key to {topic}, 2 partitions")
    deliveries = stage.produce(topic, values)
    expected: dict[int, list[tuple[int, str]]] = {0: [], 1: []}
    for delivery, value in zip(deliveries, values, strict=True):
        expected[delivery.partition].append((delivery.offset, value))
    if not stage.copies(topic, 0):
        stage.report.skipped.append("the log directories are not on this machine: read back through Fetch instead")
        _read_back(stage, topic, expected)
        return
    for partition, records in expected.items():
        found = _dumped(stage, stage.copies(topic, partition))
        stage.sent(f"$ kafka-dump-log.sh --print-data-log --files {topic}-{partition}/*.log")
        for offset, payload in found[0]:
            stage.seen(f"{topic}-{partition} offset {offset}: {payload}")
        stage.holds(
            all(copy == records for copy in found),
            f"{topic}-{partition} holds exactly the {len(records)} records that were acknowledged"
            + (f", on each of {len(found)} brokers" if len(found) > 1 else ""),
        )


def _dumped(stage: Stage, copies: list[list[Path]]) -> list[list[tuple[int, str]]]:
    """The offsets and messages that kafka-dump-log.sh shows in each replica's log files."""
    names = [str(path) for files in copies for path in files]
    dumped = stage.tool("kafka-dump-log.sh", "--print-data-log", "--files", ",".join(names), show=False)
    stage.report.sent.pop()
    records = []
    for text in re.split(r"^Dumping ", dumped, flags=re.MULTILINE)[1:]:
        found = re.findall(r"^\| offset: (\d+) .* payload: (.*)$", text, re.MULTILINE)
        records.append([(int(offset), payload) for offset, payload in found])
    starts = [sum(map(len, copies[:at])) for at in range(len(copies))]
    return [sum(records[start : start + len(files)], []) for start, files in zip(starts, copies, strict=True)]


def _read_back(stage: Stage, topic: str, expected: dict[int, list[tuple[int, str]]]) -> None:
    consumer = stage.consumer(None)
    consumer.assign([(topic, partition) for partition in expected])
    consumer.seek_to_beginning()
    found: dict[int, list[tuple[int, str]]] = {partition: [] for partition in expected}
    total = sum(len(records) for records in expected.values())
    deadline = time.monotonic() + 10
    while sum(len(records) for records in found.values()) < total and time.monotonic() < deadline:
        for record in consumer.poll(200):
            found[record.partition].append((record.offset, (record.value or b"").decode()))
    stage.holds(found == expected, "the partitions hold exactly the records that were acknowledged")


def shared_equally(stage: Stage) -> None:
    """W3: partitions share the messages equally."""
    two, four = stage.topic(2), stage.topic(4)
    stage.sent(f"2 messages without key to {two}, 2 partitions")
    pair = stage.produce(two, ["first", "second"])
    stage.seen(f"first: partition {pair[0].partition}, second: partition {pair[1].partition}")
    stage.holds([d.partition for d in pair] == [0, 1], "2 messages over 2 partitions: one in each, in order")

    stage.sent(f"1,000 messages without key to {four}, 4 partitions, in batches of up to 4 KB, lz4, linger 5 ms")
    producer = stage.producer(batch_size=4096, linger_ms=5, compression_type="lz4")
    for number in range(1000):
        producer.send(four, f"message number {number} of 1000".encode())
    producer.flush()
    counts = {partition: end - start for partition, (start, end) in stage.ends(four).items()}
    stage.seen("messages per partition: " + ", ".join(f"{p}: {n}" for p, n in sorted(counts.items())))
    stage.holds(set(counts.values()) == {250}, "1,000 messages over 4 partitions: 250 in each, though batched")

    stage.sent(f"{len(JAVA_KEYS)} messages with keys to {four}")
    for key, known in JAVA_MURMUR2.items():
        if murmur2(key) != known & 0xFFFFFFFF:
            raise NotHeld(f"murmur2 of {key!r} is not the Java client's")
    where = {key: producer.send(four, b"keyed", key=key) for key in JAVA_KEYS}
    producer.flush()
    for key, delivery in where.items():
        stage.seen(f"key {key.decode()}: partition {delivery.result(10_000).partition}")
        assert delivery.partition == partition_for_key(key, 4)
    stage.holds(
        {key: delivery.partition for key, delivery in where.items()} == JAVA_KEYS,
        "with a key: murmur2, the partition the Java client takes",
    )
