"""One scenario: clients at work on a topic, faults, healing; then everything is read and judged.

with scenario.fault("leader killed"):
    cluster.kill(leader)
    scenario.progress(30)
    cluster.start(leader)
scenario.finish()
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from kafkalike.client.errors import Disconnected
from tests.faults.checker import Limits, Recovery, Violation, check, live
from tests.faults.clients import (
    Bare,
    Client,
    Consuming,
    Member,
    Observer,
    Producer,
    Reader,
    Watcher,
    connect,
    end_offset,
    librdkafka,
)
from tests.faults.cluster import BROKERS, UNREACHABLE, Cluster
from tests.faults.history import OK, Evidence, History
from tests.servers import wait_until

TOPIC = "records"
GROUP = "group"
PARTITIONS = len(BROKERS)


class Scenario:
    """Three partitions, one led by each broker; about 180 sends a second; begun when it is made."""

    def __init__(self, cluster: Cluster, home: Path, **config: object) -> None:
        self.cluster = cluster
        self.home = home
        self.history = History()
        self.topic = TOPIC
        self.healed = time.monotonic()
        self.evidence = Evidence()
        self.violations: list[Violation] = []
        cluster.create_topic(TOPIC, BROKERS, **config)
        history, where = self.history, (cluster.bootstrap, TOPIC, PARTITIONS)
        self.durable: list[Producer | Bare] = [
            Producer(history, "p1", *where, rate=60, trace=home),
            Producer(history, "p2", *where, rate=60, trace=home),
            Bare(history, "bare", cluster, TOPIC, PARTITIONS, rate=20),
        ]
        weak = Producer(history, "weak", *where, rate=40, durable=False)
        self.producers: list[Client] = [*self.durable, weak]
        self.readers: list[Consuming] = [
            Reader(history, "steady", *where),
            Reader(history, "rewinding", *where, rewind=4),
        ]
        self.members: list[Consuming] = [Member(history, f"member{i}", *where, GROUP) for i in (1, 2)]
        self.observers: list[Client] = [Observer(history, b, TOPIC, PARTITIONS) for b in cluster.brokers.values()]
        self.observers.append(Watcher(history, cluster, TOPIC, PARTITIONS))
        for client in self.clients:
            client.start()
        with self._kept():
            self.progress(30)
            wait_until(self._group_seen, 60, "the group to read")
        self.healed = time.monotonic()

    @property
    def clients(self) -> list[Client]:
        return [*self.producers, *self.readers, *self.members, *self.observers]

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """An error leaves the history behind, and no client at work."""
        try:
            yield
        except BaseException:
            for client in self.clients:
                client.end()
            self.history.save(self.home / "history.jsonl")
            raise

    # While it runs

    def acknowledged(self) -> dict[int, int]:
        """Acknowledgements with acks=all by partition."""
        return {p: sum(c.acknowledged[p] for c in self.durable) for p in range(PARTITIONS)}

    def troubles(self) -> list[str]:
        """What clients have met so far that they never may."""
        return [e.data["text"] for e in list(self.history.events) if e.op == "trouble"]

    def progress(self, count: int, partitions: Iterable[int] = range(PARTITIONS), timeout: float = 60) -> float:
        """Waits for so many more acknowledgements in each of the partitions; how long it took."""
        before, began = self.acknowledged(), time.monotonic()
        wanted = list(partitions)

        def enough() -> bool:
            assert not self.troubles(), self.troubles()
            now = self.acknowledged()
            return all(now[p] - before[p] >= count for p in wanted)

        wait_until(enough, timeout, f"{count} acknowledgements in each of the partitions {wanted}")
        return time.monotonic() - began

    def commits(self, count: int, timeout: float = 60) -> None:
        """Waits for so many more acknowledged commits of the group."""

        def done() -> int:
            return sum(e.op == "commit" and e.kind == OK for e in list(self.history.events))

        wanted = done() + count
        wait_until(lambda: done() >= wanted, timeout, f"{count} commits")

    def restart(self, *numbers: int) -> None:
        """Starts brokers whose sessions may not have ended yet: as Apache's gives up then, it is given time."""
        if self.cluster.kind == "apache":
            wait_until(lambda: not set(numbers) & self.cluster.registered(), 60, "the end of their sessions")
        self.cluster.start(*numbers)

    def hold(self, seconds: float) -> None:
        """Lets a fault last for as long as it takes to be noticed: a session timeout, a lag."""
        time.sleep(seconds)

    @contextlib.contextmanager
    def fault(self, name: str, majority: bool = True) -> Iterator[None]:
        """From the first blow to the healing. `majority`: min.insync.replicas can go on, so the producers can too."""
        self.history.record("nemesis", "invoke", "fault", id=name, majority=majority)
        with self._kept():
            yield
        self.history.record("nemesis", OK, "fault", id=name)
        self.healed = time.monotonic()

    def other(self, *numbers: int) -> int:
        """A broker that is none of these."""
        return next(n for n in BROKERS if n not in numbers)

    # The end

    def finish(self, apache_breaks: Iterable[str] = (), brokers: Iterable[int] = BROKERS) -> None:
        """Waits until all is whole, reads everything, judges. Apache Kafka is known to break `apache_breaks`."""
        took = self._recover()
        self._end(self.producers)
        took["seen"] = self._await(self._all_seen, self.limits.seen)
        self._end([*self.readers, *self.members, *self.observers])
        late = [f"after the end {text}" for text in self._quiesce(brokers)]
        evidence = self.evidence = self.history.evidence()
        evidence.high_watermarks = self._high_watermarks()
        evidence.replicas = {(n, p): self.cluster.replica(n, TOPIC, p) for n in brokers for p in range(PARTITIONS)}
        evidence.final = self._read_all(evidence.high_watermarks, late)
        self.violations = check(evidence)
        self.violations += [Violation("C16", text) for text in (*live(Recovery(**took), self.limits), *late)]
        if trace := self.cluster.output():
            self.violations.append(Violation("C18", f"an exception in a broker: {trace}"))
        self._judge(set(apache_breaks))

    def _judge(self, apache_breaks: set[str]) -> None:
        if not self.violations:
            return
        self.history.save(self.home / "history.jsonl")
        text = "\n".join(f"{v.property} {v.text}" for v in self.violations)
        (self.home / "verdict").write_text(text + "\n")
        if self.cluster.kind == "apache" and {v.property for v in self.violations} <= apache_breaks:
            pytest.xfail(f"as known of Apache Kafka: {text}")
        pytest.fail(f"{text}\nhistory and logs: {self.home}", pytrace=False)

    @property
    def limits(self) -> Limits:
        cluster = self.cluster
        return Limits(
            led=cluster.session_ms / 1000 + 5,
            in_sync=cluster.lag_ms / 1000 + 30,
            sent=cluster.session_ms / 1000 + 15,
            seen=60,
        )

    def _end(self, clients: Iterable[Client]) -> None:
        for client in clients:
            client.end()
        for client in clients:
            client.join(120)

    def _recover(self) -> dict[str, float | None]:
        """Times from the healing until each part of it is well."""
        before = sum(self.acknowledged().values())
        conditions = {
            "led": lambda: self.cluster.led(TOPIC),
            "in_sync": lambda: self.cluster.in_sync(TOPIC) and self.cluster.whole(),
            "sent": lambda: sum(self.acknowledged().values()) - before >= 100,
        }
        took: dict[str, float | None] = dict.fromkeys(conditions)
        while time.monotonic() - self.healed < self.limits.in_sync + 10:
            for name, holds in conditions.items():
                with contextlib.suppress(*UNREACHABLE):
                    if took[name] is None and holds():
                        took[name] = time.monotonic() - self.healed
            if None not in took.values():
                break
            time.sleep(0.05)
        return took

    def _await(self, condition: Any, timeout: float) -> float | None:
        began = time.monotonic()
        try:
            wait_until(condition, timeout)
        except AssertionError:
            return None
        return time.monotonic() - began

    def _all_seen(self) -> bool:
        ends = {p: max(c.ends.get(p, 0) for c in self.durable) for p in range(PARTITIONS)}
        alone = all(reader.seen[p] >= end for reader in self.readers[:1] for p, end in ends.items())
        return alone and all(max(m.seen[p] for m in self.members) >= end for p, end in ends.items())

    def _group_seen(self) -> bool:
        return all(max(m.seen[p] for m in self.members) > 0 for p in range(PARTITIONS))

    def _high_watermarks(self) -> dict[int, int]:
        """Each leader's answer."""
        found: dict[int, int] = {}

        def ask() -> bool:
            for partition in range(PARTITIONS):
                with contextlib.suppress(Disconnected, KeyError):
                    connection = connect(self.cluster.brokers[self.cluster.leader(TOPIC, partition)], "end", 5000)
                    answer = end_offset(connection, TOPIC, partition, 5000)
                    connection.close()
                    if answer is not None:
                        found[partition] = answer[0]
            return len(found) == PARTITIONS

        wait_until(ask, 30, "the end of every partition")
        return found

    def _quiesce(self, brokers: Iterable[int]) -> list[str]:
        """Every replica's file ends where consumers see the end; what does not come true."""
        seen: dict[Any, Any] = {}

        def quiet() -> bool:
            marks = self._high_watermarks()
            seen.clear()
            for partition, mark in marks.items():
                for number in brokers:
                    batches = self.cluster.replica(number, TOPIC, partition).batches
                    seen[partition, number] = (batches[-1].last_offset + 1 if batches else 0, mark)
            return all(end == mark for end, mark in seen.values())

        if self._await(quiet, 30) is not None:
            return []
        return [
            f"broker {number}'s log of {partition} ends at {end}, the high watermark is {mark}"
            for (partition, number), (end, mark) in seen.items()
            if end != mark
        ]

    def _read_all(self, ends: dict[int, int], late: list[str]) -> dict[int, list[tuple[int, str]]]:
        """F."""
        consumer = confluent_kafka.Consumer(
            librdkafka(
                self.cluster.bootstrap,
                group_id="final",
                enable_auto_commit=False,
                auto_offset_reset="error",
                check_crcs=True,
                enable_partition_eof=True,
            )
        )
        found: dict[int, list[tuple[int, str]]] = {p: [] for p in ends}
        reached = {p for p, end in ends.items() if end == 0}
        consumer.assign([TopicPartition(TOPIC, p, 0) for p in ends])
        deadline = time.monotonic() + 60
        while len(reached) < len(ends) and time.monotonic() < deadline:
            for message in consumer.consume(1000, 0.2):
                partition, offset = message.partition() or 0, message.offset() or 0
                if message.error() is None:
                    found[partition].append((offset, (message.value() or b"").decode()))
                    if offset + 1 >= ends[partition]:
                        reached.add(partition)
        consumer.close()
        late += [f"{p} could be read up to {len(found[p])} of {end}" for p, end in ends.items() if p not in reached]
        return found
