"""What a scrape of `/metrics` costs a broker with many partitions.

    .venv/bin/python -m tests.benchmarks.scrape [PARTITIONS]        2000 unless told otherwise

Prints how large an answer is, how long it takes, how much of the broker's CPU, and the longest turn of the reactor
meanwhile, which is how long somebody else may have waited.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka.admin import NewTopic
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import Broker, EmbeddedZooKeeper, Kafka, free_port, wait_until

TURNS = "kafkalike_reactor_turn_time_ms"
TIMES = 20


def scrape(port: int) -> str:
    """Scrapes /metrics once."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def number(text: str, name: str, **labels: str) -> float:
    """One number of a scrape."""
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def longest_turn(text: str) -> float:
    """The longest of the last 256 turns of the reactor."""
    return number(text, TURNS, quantile="0.999")


def main() -> None:
    """Measures and prints."""
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    home = Path(tempfile.mkdtemp(prefix="kafkalike-scrape-"))
    port = free_port()
    try:
        with (
            EmbeddedZooKeeper(home / "zookeeper") as zookeeper,
            Broker(home / "broker", zookeeper.connect, metrics_listeners=f"http://127.0.0.1:{port}") as broker,
        ):
            kafka = Kafka(broker, zookeeper)
            for future in kafka.admin.create_topics([NewTopic("many", partitions, 1)]).values():
                future.result(120)
            wait_until(lambda: number(scrape(port), "kafka_server_replicamanager_leadercount") >= partitions, 120)
            for _ in range(TIMES):
                scrape(port)  # turns that made the partitions are among the newest until then
            before = number(scrape(port), "process_cpu_seconds_total")
            began = time.monotonic()
            turns = []
            for _ in range(TIMES):
                text = scrape(port)
                turns.append(longest_turn(text))
            took = (time.monotonic() - began) / TIMES
            cpu = (number(scrape(port), "process_cpu_seconds_total") - before) / (TIMES + 1)
        print(f"{partitions} partitions: {text.count(chr(10))} lines, {len(text) / 1e6:.1f} MB")
        print(f"a scrape takes {1000 * took:.0f} ms, {1000 * cpu:.0f} ms of CPU")
        middle = sorted(turns)[TIMES // 2]
        print(f"longest turn of the reactor {middle:.1f} ms in the middle, {max(turns):.1f} ms at most")
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
