"""W7 to W9: a consumer polls at intervals, gets new messages at once, and may take its time to process them."""

from __future__ import annotations

import threading
import time

from kafkalike.cli.walkthrough.stage import Stage, percentile


def asks_at_intervals(stage: Stage) -> None:
    """W7: the consumer polls at intervals."""
    topic, group = stage.topic(2), stage.group()
    consumer = stage.subscribed(group, topic)
    stage.sent(f"Fetch on the idle topic {topic}, with max_wait_ms={consumer.core.fetcher.max_wait_ms}, for 2 seconds")
    consumer.poll(200)
    before, began = consumer.fetches.copy(), time.monotonic()
    while time.monotonic() - began < 2:
        consumer.poll(2000 - (time.monotonic() - began) * 1000)
    seconds = time.monotonic() - began
    # The consumer polls each partition's leader for that leader's partitions.
    rates = {broker: (consumer.fetches[broker] - before[broker]) / seconds for broker in sorted(consumer.fetches)}
    for broker, rate in rates.items():
        stage.measured(f"{rate:.1f} Fetch requests/s reach broker {broker} (about 10)")
    stage.holds(consumer.core.fetcher.max_wait_ms == 100, "the fetch wait defaults to 100 ms")
    stage.holds(
        set(rates) == {p.leader for p in stage.admin.describe_topics([topic])[topic].partitions},
        "each broker that leads a partition is asked, and no other",
    )
    stage.holds(
        all(1 <= rate <= 100 for rate in rates.values()), "an idle consumer asks a leader about 10 times a second"
    )


def forwards_at_once(stage: Stage) -> None:
    """W8: the broker forwards a new message at once."""
    topic, group = stage.topic(1), stage.group()
    consumer = stage.subscribed(group, topic)
    count = 60
    stage.sent(f"{count} messages to {topic}, 20 ms apart, while a Fetch with max_wait_ms=100 waits")
    latencies: list[float] = []
    finished = threading.Event()

    def receive() -> None:
        while len(latencies) < count and not finished.is_set():
            for record in consumer.poll(100):
                latencies.append(time.perf_counter() * 1000 - float(record.value or b"0"))

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    producer = stage.producer()
    producer.partitions_for(topic)
    for _ in range(count):
        producer.send(topic, repr(time.perf_counter() * 1000).encode())
        time.sleep(0.02)
    producer.flush()
    receiver.join(10)
    finished.set()
    receiver.join(2)
    stage.holds(len(latencies) == count, f"all {count} messages arrived")
    middle = percentile(latencies, 0.5)
    stage.measured(
        f"from send() to the application: p50 {middle:.2f} ms (< 5), p99 {percentile(latencies, 0.99):.2f} ms, "
        f"longest {max(latencies):.2f} ms"
    )
    stage.holds(middle < 50, "a waiting Fetch is answered when a message arrives, not when its 100 ms are over")


def processes_slowly(stage: Stage) -> None:
    """W9: slow processing costs nothing."""
    topic, group = stage.topic(1), stage.group()
    session_s, processing_s = 6, 7
    stage.produce(topic, ["takes long", "next"])
    consumer = stage.subscribed(group, topic, session_timeout_ms=session_s * 1000, max_poll_records=1)
    records = consumer.poll(10_000)
    stage.sent(
        f"one message to a consumer with session.timeout.ms={session_s * 1000}; it works on it for {processing_s} s"
    )
    before = (consumer.member_id, consumer.generation_id)
    time.sleep(processing_s)
    described = stage.admin.describe_group(group)
    stage.seen(f"after {processing_s} s: {described.state}, {len(described.members)} member")
    stage.holds(
        described.state == "Stable" and [m.member_id for m in described.members] == [before[0]],
        "the group still has the member: heartbeats go on beside the work",
    )
    consumer.ack(records[0])
    following = consumer.poll(10_000)
    stage.holds((consumer.member_id, consumer.generation_id) == before, "no rebalance happened")
    stage.holds([r.offset for r in following] == [1], "it acknowledges and receives the next message")
