"""Who is measured: one broker or three, ours or Apache's, with a ZooKeeper of their own.

CPU seconds are the broker processes' own, from /proc, all brokers together; memory is what a broker has resident.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from kafkalike.protocol.messages import by_name
from tests.faults.cluster import BROKERS, Cluster
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, ZooKeeper, kafka_home, request
from tests.servers import wait_until as eventually

TICK = os.sysconf("SC_CLK_TCK")
LIMIT = 900  # seconds for one load
# What Kafka's own start script gives the machine, with the heap it has by default.
HOTSPOT = ["-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"] + [
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
]
SETTINGS: dict[str, Any] = {
    "group_initial_rebalance_delay_ms": 0,
    "log_segment_delete_delay_ms": 1000,
    "socket_listen_backlog_size": 1000,
}


class Apache(ApacheBroker):
    """Apache Kafka as its start script runs it."""

    def command(self) -> list[str]:
        words = super().command()
        classes = words.index("-cp")
        logging = [w for w in words[:classes] if w.startswith("-D")]
        return [words[0], *HOTSPOT, *logging, *words[classes:]]


class Sample(NamedTuple):
    """What one run of one load measured."""

    messages: float
    bytes: float
    seconds: float
    requests: float
    cpu: float
    memory_mb: float
    latency_ms: tuple[float, float, float] | None  # p50, p99, p99.9
    turn_ms: float | None  # p99.9 of the smallest request meanwhile


class Phase(NamedTuple):
    """A start or a stop: what it took, and the CPU seconds in it."""

    seconds: float
    cpu: float


class Missing(Exception):
    """What this machine lacks, and how to get it, in one line."""


def cpu_seconds(pid: int) -> float:
    """System and user, of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of_the_ended() -> float:
    """The CPU time of all our child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory_mb(pid: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class Subject:
    """Brokers under load. Started when entered; what is left when it ends is killed."""

    brokers: list[Broker]

    def __init__(self, kind: str, home: Path, load: Path, java: bool) -> None:
        self.kind = kind
        self.home = home / kind
        self.class_: type[Broker] = {"kafkalike": Broker, "apache": Apache}[kind]
        self.zookeeper_class: type[ZooKeeper] = DebianZooKeeper if java else EmbeddedZooKeeper
        self.notes: dict[str, Any] = {}  # what one load leaves for the next: the topic to read, the data to keep
        self._load = load
        self._topics = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        raise NotImplementedError

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def port(self) -> int:
        return self.brokers[0].port

    @property
    def pids(self) -> list[int]:
        return [b.process.pid for b in self.brokers if b.process is not None]

    def cpu(self) -> float:
        """The CPU time of all brokers so far."""
        return sum(map(cpu_seconds, self.pids))

    def memory_mb(self) -> float:
        """The memory of a broker, on average."""
        return sum(map(memory_mb, self.pids)) / len(self.pids)

    def name(self) -> str:
        self._topics += 1
        return f"bench-{self._topics}"

    def topic(self, partitions: int = 1) -> str:
        """A new topic."""
        raise NotImplementedError

    def delete(self, topic: str) -> None:
        """Gives the disk back."""
        message = by_name("delete_topics")
        request(self.port, 20, 1, message.Request(topic_names=[topic], timeout_ms=60_000).encode(1), 90)

    def run(self, kind: str, *arguments: object) -> Sample:
        """One load of load.c, and the CPU time that it cost the brokers."""
        return self.measured(lambda: json.loads(command(self.words(kind, *arguments))))

    def words(self, kind: str, *arguments: object) -> list[str]:
        """A command of load.c, which also takes the turns of the first broker."""
        return [str(self._load), "-p", str(self.port), kind, *map(str, arguments)]

    def run_for(self, seconds: float, kind: str, *arguments: object) -> Sample:
        """The same for the loads over raw sockets, which say when every connection has had an answer; CPU is that of
        the seconds that follow."""
        words = self.words(kind, *arguments, seconds + 0.5)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                said = process.stderr.readline()
                if said != "warm\n":
                    raise SystemExit(f"bench: {kind} failed: {said}")
                before, began = self.cpu(), time.monotonic()
                time.sleep(seconds)
                spent, window = self.cpu() - before, time.monotonic() - began
                output, problems = process.communicate(timeout=60)
                if process.returncode:
                    raise SystemExit(f"bench: {kind} failed: {problems.strip() or output.strip()}")
                found = json.loads(output)
            finally:
                process.kill()
        part = window / found["seconds"]
        sample = self.measured(lambda: found)
        return sample._replace(
            messages=found["messages"] * part,
            bytes=found["bytes"] * part,
            requests=found["requests"] * part,
            seconds=window,
            cpu=spent,
        )

    def measured(self, load: Callable[[], dict[str, Any]]) -> Sample:
        """Any load, which returns what load.c prints."""
        before = self.cpu()
        found = load()
        return self.sample(found, self.cpu() - before)

    def sample(self, found: dict[str, Any], cpu: float) -> Sample:
        """What load.c printed, and what it cost the brokers."""
        if not found["messages"]:
            raise SystemExit(f"bench: {self.kind} answered nothing: {found}")
        latency = tuple(found[f"{p}_us"] / 1000 for p in ("p50", "p99", "p999")) if "p50_us" in found else None
        return Sample(
            found["messages"],
            found["bytes"],
            found["seconds"],
            found["requests"],
            cpu,
            self.memory_mb(),
            latency,  # type: ignore[arg-type]
            found["turns_p999_us"] / 1000 if "turns_p999_us" in found else None,
        )


class One(Subject):
    """A cluster of one broker, with one replica."""

    def _start(self) -> None:
        self.zookeeper = self.zookeeper_class(self.home / "zookeeper")
        self._stack.callback(killed, self.zookeeper)
        self.zookeeper.start()
        broker = self.class_(self.home / "broker", self.zookeeper.connect, **SETTINGS)
        self.brokers = [broker]
        self._stack.callback(killed, broker)
        broker.start()

    def topic(self, partitions: int = 1) -> str:
        name, topics = self.name(), by_name("create_topics")
        new = topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)
        asked = topics.Request(topics=[new], timeout_ms=120_000).encode(1)
        answer = topics.Response.decode(1, request(self.port, 19, 1, asked, 150), 4)
        assert 0 == answer.topics[0].error_code, f"CreateTopics answered {answer.topics[0].error_code}"
        eventually(lambda: self._led(name, partitions), 120, "leaders")
        return name

    def _led(self, topic: str, count: int) -> bool:
        metadata = by_name("metadata")
        asked = metadata.Request(topics=[metadata.MetadataRequestTopic(name=topic)]).encode(1)
        found = metadata.Response.decode(1, request(self.port, 3, 1, asked, 30), 4).topics[0].partitions
        return len(found) == count and all(p.error_code == 0 and p.leader_id >= 0 for p in found)

    def log_bytes(self) -> int:
        """What lies in the broker's log."""
        return sum(f.stat().st_size for f in self.brokers[0].data.glob("*/*.log"))

    def forget_pages(self) -> None:
        """Takes the logs out of the page cache, so that they are read from the disk."""
        for file in self.brokers[0].data.glob("*/*.log"):
            fd = os.open(file, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)

    def restart(self) -> tuple[Phase, Phase]:
        """The seconds that a stop takes, and those from the start to the first response to Metadata."""
        before, ended, began = self.cpu(), cpu_of_the_ended(), time.monotonic()
        self.brokers[0].stop(300)
        stopped = Phase(time.monotonic() - began, cpu_of_the_ended() - ended - before)
        seconds = self.first_answer()
        return stopped, Phase(seconds, self.cpu())

    def first_answer(self, limit: float = 600) -> float:
        """Starts the broker; seconds until its first answer to Metadata."""
        began = time.monotonic()
        self.brokers[0].launch()
        while not self.brokers[0].answers():
            assert time.monotonic() - began < limit, "the broker does not answer"
            time.sleep(0.002)
        return time.monotonic() - began

    def restart_after_kill(self) -> tuple[float, int]:
        """kill -9, and started at once, again when it ends: seconds to the first answer, and how often it ended."""
        broker, ended, began = self.brokers[0], 0, time.monotonic()
        broker.kill()
        broker.launch()
        while True:
            assert time.monotonic() - began < 120, "the broker does not come back"
            if not broker.running:
                ended += 1
                broker.launch()
                continue
            if broker.answers():
                return time.monotonic() - began, ended
            time.sleep(0.005)


class Three(Subject):
    """Three brokers, three replicas, two of which have to be in sync."""

    def _start(self) -> None:
        self._cluster = Cluster(
            self.home, self.class_, self.zookeeper_class, session_ms=18000, lag_ms=30000, **SETTINGS
        )
        self._stack.enter_context(self._cluster)
        self.brokers = list(self._cluster.brokers.values())

    def topic(self, partitions: int = 1) -> str:
        name = self.name()
        self._cluster.create_topic(name, [BROKERS[p % 3] for p in range(partitions)])
        return name


def killed(server: Any) -> None:
    """Ends a server that may run or not."""
    if server.process is not None:
        server.kill()


def command(words: list[str], timeout: float = LIMIT) -> str:
    """Runs a client; what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(words[:4])} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def perf_test(bootstrap: str, topic: str, size: int, count: int) -> dict[str, Any]:
    """kafka-producer-perf-test, Java's, as load.c would print it."""
    words = ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{kafka_home()}/lib/*"]
    words += ["org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(count)]
    words += ["--record-size", str(size), "--throughput", "-1"]
    words += ["--producer-props", f"bootstrap.servers={bootstrap}", "acks=all"]
    last = command(words).strip().splitlines()[-1]
    parts = [part.split() for part in last.rstrip(".").split(",")]
    times = {words[-1]: float(words[0]) for words in parts if words[-1][0].isdigit()}
    rate = float(parts[1][0])
    return {
        "messages": count,
        "bytes": count * size,
        "seconds": count / rate,
        "requests": 0,
        "p50_us": times["50th"] * 1000,
        "p99_us": times["99th"] * 1000,
        "p999_us": times["99.9th"] * 1000,
    }
