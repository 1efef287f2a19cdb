"""Members of consumer groups, in the clients that people use: each notes what it was given, what it read, what it met.

Each commits often, twice a second, and has a short session, so that whatever keeps a heartbeat waiting is felt.

    Confluent     librdkafka; commits without waiting for the answer of the commit before
    Automatic     librdkafka, left to commit by itself
    KafkaPython   kafka-python, left to commit by itself
    AioKafka      aiokafka, left to commit by itself
    Java          Apache's consumer in a process of its own, left to commit by itself
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import confluent_kafka
from aiokafka import AIOKafkaConsumer
from aiokafka import ConsumerRebalanceListener as AioListener
from kafka import ConsumerRebalanceListener, KafkaConsumer

from tests.faults.clients import Client, librdkafka
from tests.faults.history import INFO, History
from tests.servers import JAVA, kafka_home, tool

SESSION_MS, HEARTBEAT_MS, COMMIT_SECONDS = 6000, 1000, 0.5


class Member(Client):
    """One member of one group. `read` counts how often each (partition, offset) was read."""

    def __init__(self, history: History, name: str, bootstrap: str, topic: str, group: str, home: Path) -> None:
        super().__init__(history, name)
        self.bootstrap, self.topic, self.group, self.home = bootstrap, topic, group, home
        self.read = Counter[tuple[int, int]]()
        self.moves: list[str] = []
        self.owned: list[int] = []
        self.refused: list[str] = []  # commits

    def moved(self, what: str, partitions: Iterable[int]) -> None:
        """Partitions were given to this member, or taken from it: always all that it has."""
        partitions = sorted(partitions)
        self.owned = partitions if what == "assigned" else []
        self.moves.append(f"{what} {partitions}")
        self.record(INFO, "moved", group=self.group, what=self.moves[-1])

    def met(self, problem: object) -> None:
        """A commit was not done."""
        self.refused.append(str(problem))
        self.record(INFO, "refused", group=self.group, what=str(problem))


class Confluent(Member):
    """`commits`: whether it commits by itself."""

    commits = True

    def run(self) -> None:
        consumer = confluent_kafka.Consumer(
            librdkafka(
                self.bootstrap,
                group_id=self.group,
                auto_offset_reset="earliest",
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                enable_auto_commit=not self.commits,
                auto_commit_interval_ms=int(1000 * COMMIT_SECONDS),
                socket_timeout_ms=20000,
            )
            | {"on_commit": self._committed}
        )
        consumer.subscribe(
            [self.topic],
            on_assign=lambda _, those: self.moved("assigned", (p.partition for p in those)),
            on_revoke=lambda _, those: self.ending.is_set() or self.moved("revoked", (p.partition for p in those)),
            on_lost=lambda _, those: self.moved("lost", (p.partition for p in those)),
        )
        committed = time.monotonic()
        while not self.ending.is_set():
            for message in consumer.consume(100, 0.1):
                if message.error() is None:
                    self.read[message.partition() or 0, message.offset() or 0] += 1
            if self.commits and time.monotonic() - committed > COMMIT_SECONDS:
                committed = time.monotonic()
                consumer.commit(asynchronous=True)
        consumer.close()

    def _committed(self, error: Any, partitions: list[Any]) -> None:
        for problem in {e.name() for e in (error, *(p.error for p in partitions)) if e is not None}:
            if problem != "_NO_OFFSET":
                self.met(problem)


class Automatic(Confluent):
    commits = False


class KafkaPython(Member):
    def run(self) -> None:
        member = self

        class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
            def on_partitions_assigned(self, assigned: Any) -> None:
                member.moved("assigned", (p.partition for p in assigned))

            def on_partitions_revoked(self, revoked: Any) -> None:
                if revoked:
                    member.moved("revoked", (p.partition for p in revoked))

        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            auto_commit_interval_ms=int(1000 * COMMIT_SECONDS),
            default_offset_commit_callback=lambda _, answer: isinstance(answer, Exception) and self.met(answer),
        )
        consumer.subscribe([self.topic], listener=Listener())
        while not self.ending.is_set():
            for messages in consumer.poll(100).values():
                self.read.update((m.partition, m.offset) for m in messages)
        consumer.close()


class AioKafka(Member):
    def run(self) -> None:
        asyncio.run(self._consume())

    async def _consume(self) -> None:
        member = self

        class Listener(AioListener):  # type: ignore[misc]
            async def on_partitions_assigned(self, assigned: Any) -> None:
                member.moved("assigned", (p.partition for p in assigned))

            async def on_partitions_revoked(self, revoked: Any) -> None:
                if revoked:
                    member.moved("revoked", (p.partition for p in revoked))

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            auto_commit_interval_ms=int(1000 * COMMIT_SECONDS),
        )
        consumer.subscribe([self.topic], listener=Listener())
        await consumer.start()
        while not self.ending.is_set():
            for messages in (await consumer.getmany(timeout_ms=100)).values():
                self.read.update((m.partition, m.offset) for m in messages)
        await consumer.stop()


class Java(Member):
    _process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        tool("java", "default-jre-headless")
        properties = self.home / f"{self.name}.properties"
        settings = {"heartbeat.interval.ms": HEARTBEAT_MS, "auto.commit.interval.ms": int(1000 * COMMIT_SECONDS)}
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        words = ["--topic", self.topic, "--group-id", self.group, "--session-timeout", SESSION_MS, "--verbose"]
        words += ["--reset-policy", "earliest", "--enable-autocommit", "--consumer.config", properties]
        classes = ["-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{kafka_home()}/lib/*"]
        main = ["org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", self.bootstrap]
        command = [*JAVA, *classes, *main, *map(str, words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdout is not None
            self._process = process
            for line in process.stdout:
                self._event(json.loads(line))

    def end(self) -> None:
        super().end()
        if self._process is not None:
            # Told to stop it might wait for a broker that is gone.
            os.killpg(self._process.pid, signal.SIGKILL)

    def _event(self, event: dict[str, Any]) -> None:
        match event["name"]:
            case "partitions_assigned" | "partitions_revoked" as what if event["partitions"]:
                self.moved(what.removeprefix("partitions_"), (p["partition"] for p in event["partitions"]))
            case "record_data":
                self.read[event["partition"], event["offset"]] += 1
            case "offsets_committed" if not event["success"]:
                self.met(event.get("error"))


PYTHON: dict[str, type[Member]] = {
    each.__name__.lower(): each for each in (Confluent, Automatic, KafkaPython, AioKafka)
}
ALL = PYTHON | {"java": Java}
