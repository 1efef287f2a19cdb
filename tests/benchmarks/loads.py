"""The loads of the table: what is done to the brokers, and what is to come out of it beside Apache's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from kafkalike.protocol.messages import by_name
from tests.benchmarks.measured_clusters import One, Sample, Subject, Three, perf_test
from tests.servers import request, wait_until

BULK = ("linger.ms=5", "batch.num.messages=100000", "batch.size=1000000", "queue.buffering.max.messages=500000")
EACH = ("batch.num.messages=1", "linger.ms=0", "queue.buffering.max.messages=500000")
PACED = ("linger.ms=5", "queue.buffering.max.messages=500000")
IDLE_CONSUMERS = 1000
GROUPS, GROUP_PARTITIONS = 20, 10


class Goal(NamedTuple):
    """A bound on ours by Apache's (`of_apache`), or on ours alone."""

    sign: str  # ">=" or "<="
    bound: float
    of_apache: bool = True

    def met(self, value: float) -> bool:
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:.3g}{'x' if self.of_apache else ''}"


class Load(NamedTuple):
    """One row: `run` does it once. CPU is per GB where bytes matter, else per request or message."""

    key: str
    title: str
    run: Callable[[Subject, float], Sample]
    unit: str = "MB/s"
    rate: Goal | None = None
    cpu: Goal | None = None
    p99: Goal | None = None


def more(factor: float) -> Goal:
    return Goal(">=", factor)


def less(factor: float) -> Goal:
    return Goal("<=", factor)


# One broker


def _produce(subject: Subject, size: int, count: float, *settings: str, partitions: int = 1, rate: float = 0) -> Sample:
    """Onto a new topic, which is deleted if nobody reads it later."""
    topic = subject.topic(partitions)
    sample = subject.run("produce", subject.bootstrap, topic, size, int(count), rate, *settings)
    subject.delete(topic)
    return sample


def _produce_and_keep(subject: Subject, scale: float) -> Sample:
    if "topic" in subject.notes:
        subject.delete(subject.notes["topic"])
    subject.notes["topic"] = subject.topic()
    subject.notes["count"] = int(1_000_000 * scale)
    where = subject.bootstrap, subject.notes["topic"]
    sample = subject.run("produce", *where, 1000, subject.notes["count"], 0, "acks=all", *BULK)
    subject.notes["rate"] = sample.messages / sample.seconds
    return sample


def _consume(subject: Subject, scale: float) -> Sample:
    """What the first load wrote; it writes first when that load was not asked for."""
    if "topic" not in subject.notes:
        _produce_and_keep(subject, scale)
    return subject.run("consume", subject.bootstrap, subject.notes["topic"], subject.notes["count"])


def _consume_old(subject: Subject, scale: float) -> Sample:
    assert isinstance(subject, One)
    if "topic" not in subject.notes:
        _produce_and_keep(subject, scale)
    subject.forget_pages()
    return _consume(subject, scale)


def both(subject: Subject, scale: float) -> Sample:
    """A producer at a pace that Apache keeps, and a consumer at the end of the log."""
    topic, rate = subject.topic(), 50_000
    sample = subject.run("head", subject.bootstrap, topic, 1000, int(rate * 8 * scale), rate, "acks=all", *PACED)
    subject.delete(topic)
    return sample


def _both_flat_out(subject: Subject, scale: float) -> Sample:
    topic = subject.topic()
    sample = subject.run("head", subject.bootstrap, topic, 1000, int(500_000 * scale), 0, "acks=all", *BULK)
    subject.delete(topic)
    return sample


def _paced(subject: Subject, scale: float) -> Sample:
    """Produces at about half of Apache's peak."""
    rate = 110_000
    return _produce(subject, 1000, rate * 6 * scale, "acks=all", *PACED, rate=rate)


def _one_at_a_time(subject: Subject, count: float) -> Sample:
    return subject.run("single", subject.bootstrap, subject.topic(), 100, int(count), "acks=all", *EACH)


def _connections(subject: Subject, count: int, scale: float) -> Sample:
    where = "127.0.0.1", subject.port, subject.topic()
    return subject.run_for(max(1, 5 * scale), "connections", *where, 100, count)


def _idle(subject: Subject, scale: float) -> Sample:
    """What is counted is what the waiting costs in a second."""
    where = "127.0.0.1", subject.port, subject.topic()
    return subject.run_for(max(2, 10 * scale), "waiting", *where, IDLE_CONSUMERS)


def _commits(subject: Subject, scale: float) -> Sample:
    find = by_name("find_coordinator")

    def coordinated() -> bool:
        asked = find.Request(key="group-0").encode(0)
        return bool(find.Response.decode(0, request(subject.port, 10, 0, asked, 30), 4).error_code == 0)

    wait_until(coordinated, 60, "a coordinator")
    topic = subject.topic(GROUP_PARTITIONS)
    where = "127.0.0.1", subject.port, topic
    return subject.run_for(max(2, 5 * scale), "commits", *where, GROUPS, GROUP_PARTITIONS)


def _perf_test(subject: Subject, scale: float) -> Sample:
    topic = subject.topic()
    sample = subject.measured(lambda: perf_test(subject.bootstrap, topic, 1000, int(1_000_000 * scale)))
    subject.delete(topic)
    return sample


ONE = [
    Load("produce", "produce 1,000 B, acks=all", _produce_and_keep, rate=more(2), cpu=less(1 / 3)),
    Load("consume", "consume 1,000 B, from the page cache", _consume, rate=more(2), cpu=less(1 / 3)),
    Load("consume-old", "consume 1,000 B, old data from the disk", _consume_old, cpu=less(1 / 3)),
    Load(
        "produce-small",
        "produce 100 B, acks=1",
        lambda s, scale: _produce(s, 100, 3_000_000 * scale, "acks=1", *BULK),
        "messages/s",
        rate=more(1.1),
        cpu=less(1 / 2),
    ),
    Load(
        "lz4",
        "produce 1,000 B, acks=all, lz4",
        lambda s, scale: _produce(s, 1000, 700_000 * scale, "acks=all", "compression.codec=lz4", *BULK),
        cpu=less(1 / 3),
    ),
    Load(
        "zstd",
        "produce 1,000 B, acks=all, zstd",
        lambda s, scale: _produce(s, 1000, 700_000 * scale, "acks=all", "compression.codec=zstd", *BULK),
        cpu=less(1 / 3),
    ),
    Load("half-peak", "produce 1,000 B, acks=all, 110,000 a second", _paced, p99=less(1)),
    Load("both", "produce 50,000 a second, and consume at the head", both, p99=less(1)),
    Load("both-flat-out", "produce and consume at the head, flat out", _both_flat_out, rate=more(1.1), cpu=less(1 / 2)),
    Load(
        "pipelined",
        "1 message a request, pipelined",
        lambda s, scale: _produce(s, 100, (150_000 if s.kind == "kafkalike" else 40_000) * scale, "acks=all", *EACH),
        "messages/s",
        rate=more(5),
    ),
    Load(
        "one-at-a-time",
        "1 message a request, one at a time",
        lambda s, scale: _one_at_a_time(s, 15_000 * scale),
        "messages/s",
        rate=more(1.2),
    ),
    Load(
        "connections-1", "1 connection, one small produce at a time", lambda s, x: _connections(s, 1, x), "messages/s"
    ),
    Load(
        "connections-50",
        "50 connections, one small produce at a time each",
        lambda s, scale: _connections(s, 50, scale),
        "messages/s",
        rate=more(1.5),
        p99=less(1 / 2),
    ),
    Load(
        "connections-1000",
        "1,000 connections, one small produce at a time each",
        lambda s, scale: _connections(s, 1000, scale),
        "messages/s",
        rate=more(1.5),
        p99=less(1 / 2),
    ),
    Load(
        "partitions-100",
        "produce 1,000 B, acks=all, 100 partitions",
        lambda s, scale: _produce(s, 1000, 1_000_000 * scale, "acks=all", *BULK, partitions=100),
    ),
    Load(
        "partitions-2000",
        "produce 1,000 B, acks=all, 2,000 partitions",
        lambda s, scale: _produce(s, 1000, 500_000 * scale, "acks=all", *BULK, partitions=2000),
    ),
    Load("idle-consumers", "1,000 idle consumers: their Fetch requests", _idle, "messages/s", cpu=less(1)),
    Load(
        "commits", "group commits, 20 groups of 10 partitions", _commits, "messages/s", rate=Goal(">=", 10_000, False)
    ),
    Load("perf-test", "kafka-producer-perf-test (Java), 1,000 B, acks=all", _perf_test),
]

# Three brokers


def _replicated(subject: Subject, count: float, partitions: int, *settings: str) -> Sample:
    assert isinstance(subject, Three)
    topic = subject.topic(partitions)
    size = 1000 if partitions > 1 else 100
    return subject.run("produce", subject.bootstrap, topic, size, int(count), 0, "acks=all", *settings)


THREE = [
    Load(
        "rf3",
        "3 brokers, RF 3, min ISR 2: produce 1,000 B, acks=all",
        lambda s, scale: _replicated(s, 400_000 * scale, 3, *BULK),
        rate=more(1.5),
        cpu=less(1 / 2),
    ),
    Load(
        "rf3-pipelined",
        "3 brokers, RF 3: 1 message a request, pipelined",
        lambda s, scale: _replicated(s, (30_000 if s.kind == "kafkalike" else 10_000) * scale, 1, *EACH),
        "messages/s",
        rate=more(3),
    ),
    Load(
        "rf3-one-at-a-time",
        "3 brokers, RF 3: 1 message a request, one at a time",
        lambda s, scale: _one_at_a_time(s, 5_000 * scale),
        "messages/s",
        rate=more(1),
    ),
]

# Starts, stops and what is stored


def fill(subject: One, gigabytes: float) -> None:
    """Produces until so much is stored, in topics of 8 GB at most."""
    while (left := gigabytes - subject.log_bytes() / 1e9) > 0.05:
        count = int(min(left, 8) * 1e6)
        subject.run("produce", subject.bootstrap, subject.topic(), 1000, count, 0, "acks=all", *BULK)


def one_in_each(subject: One, partitions: int) -> None:
    """A topic with a few messages in most of its partitions."""
    where = subject.bootstrap, subject.topic(partitions)
    subject.run("produce", *where, 1000, 5 * partitions, 0, "acks=all", "sticky.partitioning.linger.ms=0", *BULK)


def produce_again(subject: One, scale: float) -> Sample:
    """What the first load does, on a broker that has something stored, and not against the disk's queue."""
    settle()
    return _produce(subject, 1000, 500_000 * scale, "acks=all", *BULK)


def settle() -> None:
    """Waits until what was written is on the disk; half a minute at most, as others may be writing too."""
    os.sync()
    deadline = time.monotonic() + 30
    while _dirty_kb() > 50_000 and time.monotonic() < deadline:
        time.sleep(0.1)


def _dirty_kb() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Dirty:", "Writeback:")))
