"""Measures a broker on this machine: throughput, latency, its own CPU time and memory. `bin/bench.sh` runs it.

Each load runs in a process of its own (load.c, on librdkafka and raw sockets), because a client in Python or Java would
be the bottleneck. CPU seconds are the broker process's own, from /proc. Every load is repeated; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, request, wait_until  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
BULK = ("linger.ms=5", "batch.num.messages=100000", "batch.size=1000000", "queue.buffering.max.messages=1000000")
ONE = ("batch.num.messages=1", "linger.ms=0", "queue.buffering.max.messages=1000000")


class Row(NamedTuple):
    """One line of the table."""

    load: str
    unit: str
    value: float
    cpu: str
    latency: str


class Measured(NamedTuple):
    """One run of one load."""

    result: dict[str, Any]
    cpu_seconds: float


class Subject:
    """A broker under load."""

    def __init__(self, broker: Broker, load: Path) -> None:
        self.broker = broker
        self._load = load
        self._topics = 0

    @property
    def pid(self) -> int:
        assert self.broker.process is not None
        return self.broker.process.pid

    def cpu(self) -> float:
        """CPU seconds of the process so far, system and user."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_mb(self) -> float:
        """Resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def topic(self, partitions: int = 1) -> str:
        """A new topic of one replica."""
        self._topics += 1
        name = f"bench-{self._topics}"
        encoded = name.encode()
        body = struct.pack(">ih", 1, len(encoded)) + encoded + struct.pack(">ihiii", partitions, 1, 0, 0, 10000)
        answer = request(self.broker.port, 19, 0, body, 15)
        assert answer[-2:] == b"\0\0", f"CreateTopics answered {answer.hex()}"
        return name

    def run(self, kind: str, *arguments: object) -> Measured:
        """One load; its result and the CPU time that it cost the broker."""
        before = self.cpu()
        done = subprocess.run(
            [str(self._load), kind, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise SystemExit(f"bench: {kind} failed: {done.stderr.strip() or done.stdout.strip()}")
        return Measured(json.loads(done.stdout), self.cpu() - before)


def megabytes(runs: list[Measured], load: str) -> Row:
    """A row of bulk transfer."""
    rates = [m.result["bytes"] / m.result["seconds"] / 1e6 for m in runs]
    costs = [m.cpu_seconds / (m.result["bytes"] / 1e9) for m in runs]
    return Row(load, "MB/s", statistics.median(rates), f"{statistics.median(costs):.2f} s/GB", "")


def messages(runs: list[Measured], load: str) -> Row:
    """A row of small requests."""
    rates = [m.result["messages"] / m.result["seconds"] for m in runs]
    costs = [m.cpu_seconds / m.result["messages"] * 1e6 for m in runs]
    latency = ""
    if "p50_us" in runs[0].result:
        p50, p99 = (statistics.median(m.result[key] for m in runs) / 1000 for key in ("p50_us", "p99_us"))
        latency = f"{p50:.2f} / {p99:.2f} ms"
    return Row(load, "messages/s", statistics.median(rates), f"{statistics.median(costs):.1f} us", latency)


def loads(subject: Subject, scale: float, repeat: int) -> list[Row]:
    """Every load of the table."""
    where = subject.broker.bootstrap
    rows = []

    def several(run: Callable[[], Measured]) -> list[Measured]:
        return [run() for _ in range(repeat)]

    big = int(1_000_000 * scale)
    topics: list[str] = []

    def bulk() -> Measured:
        topics.append(subject.topic())
        return subject.run("produce", where, topics[-1], 1000, big, "acks=all", *BULK)

    rows.append(megabytes(several(bulk), "produce 1,000 B, acks=all"))
    rows.append(
        megabytes(several(lambda: subject.run("consume", where, topics[-1], big)), "consume 1,000 B, from page cache")
    )
    small = int(3_000_000 * scale)
    rows.append(
        messages(
            several(lambda: subject.run("produce", where, subject.topic(), 100, small, "acks=1", *BULK)),
            "produce 100 B, acks=1",
        )
    )
    pipelined = int(150_000 * scale)
    rows.append(
        messages(
            several(lambda: subject.run("produce", where, subject.topic(), 100, pipelined, "acks=all", *ONE)),
            "1 message a request, pipelined",
        )
    )
    single = int(15_000 * scale)
    rows.append(
        messages(
            several(lambda: subject.run("single", where, subject.topic(), 100, single, "acks=all", *ONE)),
            "1 message a request, one at a time",
        )
    )
    for count in (50, 1000):
        rows.append(
            messages(
                several(
                    lambda count=count: subject.run(
                        "connections", "127.0.0.1", subject.broker.port, subject.topic(), 100, count, 5 * scale
                    )
                ),
                f"{count:,} connections, one small produce at a time each",
            )
        )
    return rows


def first_answer(broker: Broker) -> float:
    """Starts the broker; seconds until its first answer to Metadata."""
    started = time.monotonic()
    broker.launch()
    while True:
        try:
            with socket.create_connection(("127.0.0.1", broker.port), 1):
                pass
            if broker.answers():
                return time.monotonic() - started
        except OSError:
            time.sleep(0.002)


def measure(kind: str, home: Path, load: Path, scale: float, repeat: int) -> list[Row]:
    """The whole table for one broker."""
    zookeeper_class, broker_class = {
        "kafkalike": (EmbeddedZooKeeper, Broker),
        "apache": (DebianZooKeeper, ApacheBroker),
    }[kind]
    with zookeeper_class(home / f"{kind}-zookeeper") as zookeeper:
        broker = broker_class(home / kind, zookeeper.connect)
        try:
            starts = []
            for _ in range(max(repeat, 3)):
                starts.append(first_answer(broker))
                broker.stop()
                wait_until(lambda: not broker.running, what="the broker to stop")
            starts.append(first_answer(broker))
            subject = Subject(broker, load)
            idle = subject.memory_mb()
            rows = loads(subject, scale, repeat)
            rows.append(Row("start to first Metadata answer", "s", statistics.median(starts), "", ""))
            rows.append(Row("resident memory, idle", "MB", idle, "", ""))
            rows.append(Row("resident memory, after the loads", "MB", subject.memory_mb(), "", ""))
        finally:
            if broker.running:
                broker.stop()
    return rows


def show(title: str, rows: list[Row]) -> None:
    """The table as Markdown."""
    print(f"\n{title}\n\n| load | result | broker CPU | p50 / p99 |\n| --- | --- | --- | --- |")
    for row in rows:
        value = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.2f}"
        print(f"| {row.load} | {value} {row.unit} | {row.cpu} | {row.latency} |")


def build(home: Path) -> Path:
    """Compiles the load generator."""
    if not shutil.which("cc"):
        raise SystemExit("bench: needs a C compiler: apt install gcc libc6-dev")
    load = home / "load"
    source = str(Path(__file__).with_name("load.c"))
    done = subprocess.run(
        ["cc", "-O2", "-o", str(load), source, "-lrdkafka"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = "apt install librdkafka-dev" if "rdkafka.h" in done.stderr else done.stderr
        raise SystemExit(f"bench: the load generator cannot be compiled: {why}")
    return load


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(
        prog="bench.sh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller loads, two runs of each")
    parser.add_argument("--against", choices=["apache", "none"], default="none", help="also measure this broker")
    options = parser.parse_args()
    scale, repeat = (0.5, 2) if options.quick else (1.0, 3)
    with tempfile.TemporaryDirectory(prefix="kafkalike-bench-") as directory:
        home = Path(directory)
        load = build(home)
        show("kafkalike", measure("kafkalike", home, load, scale, repeat))
        if options.against == "apache":
            show("Apache Kafka 3.9.1", measure("apache", home, load, scale, repeat))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
