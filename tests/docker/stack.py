"""docker-compose.yml as a project of its own, on ports of its own: made, looked at, hurt, taken away.

Clients are on this machine and go to published ports on the loopback address.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import confluent_kafka
import docker
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from docker.models.containers import Container

from tests.faults.checker import check
from tests.faults.clients import Member, Producer, librdkafka
from tests.faults.history import OK, History
from tests.faults.replica_files import read_replica
from tests.servers import ROOT, free_port, require, wait_until, zookeeper_client

IMAGES = ROOT / "build/docker.env"
BROKERS = (1, 2, 3)
PARTITIONS = 3
PORTS = [f"{service}{n}_PORT" for service in ("ZOOKEEPER", "BROKER") for n in BROKERS] + ["APACHE4_PORT"]


def engine() -> docker.DockerClient:
    """The engine, or a skip that says how to get one."""
    if os.environ.get("KAFKALIKE_DOCKER") != "1":
        pytest.skip("containers take minutes: bin/test.sh --docker tests/docker")
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as problem:
        require(False, f"a container engine: bin/test.sh --docker installs and starts one ({problem})")
    require(IMAGES.exists(), "images: tests/docker/images.sh makes them")
    return client


def compose() -> list[str]:
    """Compose's second version, or its first."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    require(shutil.which("docker-compose"), "docker-compose: apt install docker-compose")
    return ["docker-compose"]


class Stack:
    """Up when entered, gone with its volumes when left."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.project = f"kafkalike{secrets.token_hex(3)}"
        self.ports = {name: free_port() for name in PORTS}
        images = (line.partition("=") for line in IMAGES.read_text().splitlines())
        self.environment = os.environ | {k: v for k, _, v in images} | {k: str(v) for k, v in self.ports.items()}
        self.bootstrap = ",".join(f"localhost:{self.ports[f'BROKER{n}_PORT']}" for n in BROKERS)
        self.zookeeper = ",".join(f"localhost:{self.ports[f'ZOOKEEPER{n}_PORT']}" for n in BROKERS)

    def compose(self, *words: str, timeout: float = 600) -> str:
        """Runs compose on this project."""
        command = [*compose(), "-f", str(ROOT / "docker-compose.yml"), "-p", self.project, *words]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        return done.stdout

    def __enter__(self) -> Self:
        try:
            self.compose("up", "-d", "--no-build")
            self.wait_healthy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for container in self.containers():
            if container.status == "paused":
                container.unpause()
        self.compose("--profile", "apache", "down", "-v", "-t", "20")

    def containers(self) -> list[Container]:
        """The containers of this project."""
        return self.client.containers.list(all=True, filters={"label": f"com.docker.compose.project={self.project}"})

    def container(self, service: str) -> Container:
        """The one of a service, as it is now."""
        wanted = [c for c in self.containers() if c.labels["com.docker.compose.service"] == service]
        assert 1 == len(wanted), service
        return wanted[0]

    def broker(self, number: int) -> Container:
        return self.container(f"broker{number}")

    def healthy(self, service: str) -> bool:
        """Whether its own check says so."""
        state = self.container(service).attrs["State"]
        return bool(state["Running"] and state.get("Health", {}).get("Status") == "healthy")

    def wait_healthy(self, *services: str, timeout: float = 180) -> None:
        """Waits until services are healthy, all of them by default."""
        for service in services or [f"{kind}{n}" for kind in ("zookeeper", "broker") for n in BROKERS]:
            wait_until(lambda s=service: self.healthy(s), timeout, f"{service} to be healthy")

    def network(self) -> Any:
        """The one they are in."""
        return self.client.networks.get(f"{self.project}_default")

    def registered(self) -> set[int]:
        """The brokers in ZooKeeper."""
        with zookeeper_client(self.zookeeper) as zk:
            zk.sync("/")
            return {int(name) for name in zk.get_children("/brokers/ids")}

    def admin(self) -> AdminClient:
        return AdminClient(librdkafka(self.bootstrap))

    def create_topic(self, name: str, partitions: int = PARTITIONS) -> str:
        """With three replicas; returns when each partition is led and in sync."""
        # The topic's creation has to outlive the response.
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 3)])[name].result(60)
        self.wait_in_sync(name)
        return name

    def wait_in_sync(self, topic: str, timeout: float = 120) -> None:
        """Every partition has a leader, and all its replicas."""
        admin = self.admin()

        def whole() -> bool:
            with contextlib.suppress(confluent_kafka.KafkaException):
                found = admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
                return bool(found) and all(p.leader >= 0 and len(p.isrs) == len(p.replicas) for p in found)
            return False

        wait_until(whole, timeout, f"{topic} to be in sync")

    def leader(self, topic: str, partition: int = 0) -> int:
        """The broker that leads it."""
        return int(self.admin().list_topics(topic, timeout=30).topics[topic].partitions[partition].leader)

    def partition_files(self, number: int, topic: str, partition: int, directory: Path) -> Path:
        """A copy of what lies on a broker's volume."""
        stream, _ = self.broker(number).get_archive(f"/var/lib/kafkalike/data/{topic}-{partition}")
        target = directory / str(number)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            tar.extractall(target, filter="data")
        return target / f"{topic}-{partition}"

    def logs(self, service: str) -> str:
        return str(self.container(service).logs().decode(errors="replace"))


class Load:
    """A producer (acks=all, idempotent) and a group at work on a topic; what they saw is judged at the end."""

    def __init__(self, stack: Stack, topic: str) -> None:
        self.stack, self.topic, self.history = stack, stack.create_topic(topic), History()
        where = (stack.bootstrap, topic, PARTITIONS)
        self.producer = Producer(self.history, "p1", *where, rate=50)
        self.member = Member(self.history, "member", *where, f"{topic}-group")
        self.producer.start()
        self.member.start()

    def count(self) -> int:
        return sum(self.producer.acknowledged.values())

    def progress(self, count: int = 100, timeout: float = 90) -> None:
        """Waits for so many more acknowledgements."""
        before = self.count()
        wait_until(lambda: self.count() >= before + count, timeout, f"{count} acknowledgements")

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """A fault, from its beginning to its end."""
        self.history.record("nemesis", "invoke", "fault", id=name, majority=True)
        yield
        self.history.record("nemesis", OK, "fault", id=name)

    def end(self) -> None:
        for client in (self.producer, self.member):
            client.end()
            client.join()

    def judge(self, home: Path) -> None:
        """Everything acknowledged is there, once, in order, and on each replica byte for byte."""
        self.progress()
        self.producer.end()
        self.producer.join()
        self.stack.wait_in_sync(self.topic)
        ends = self.producer.ends
        wait_until(lambda: all(self.member.seen[p] >= e for p, e in ends.items()), 90, "the group to read to the end")
        self.end()
        evidence = self.history.evidence()
        evidence.final = self._read_all()
        evidence.high_watermarks = {p: records[-1][0] + 1 for p, records in evidence.final.items()}
        for number in BROKERS:
            for p in range(PARTITIONS):
                files = self.stack.partition_files(number, self.topic, p, home)
                evidence.replicas[number, p] = read_replica(files)
        problems = [f"{v.property} {v.text}" for v in check(evidence)]
        if problems:
            self.history.save(home / "history.jsonl")
        assert [] == problems
        assert len(evidence.acknowledged()) >= 200

    def _read_all(self) -> dict[int, list[tuple[int, str]]]:
        """Each partition from its first message to its end."""
        consumer = confluent_kafka.Consumer(
            librdkafka(self.stack.bootstrap, group_id="final", enable_auto_commit=False, enable_partition_eof=True)
        )
        found: dict[int, list[tuple[int, str]]] = {p: [] for p in range(PARTITIONS)}
        left = set(found)
        consumer.assign([TopicPartition(self.topic, p, 0) for p in found])

        def read() -> bool:
            for message in consumer.consume(1000, 0.2):
                partition = message.partition() or 0
                error = message.error()
                if error is None:
                    found[partition].append((message.offset() or 0, (message.value() or b"").decode()))
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    left.discard(partition)
            return not left

        wait_until(read, 90, "the end of every partition")
        consumer.close()
        return found


def walk(stack: Stack) -> str:
    """bin/walkthrough.sh on the published ports.

    Where only a figure of time was too large (W1, W7, W8: the machine may have other work) it is done again.
    """
    output = ""
    for _ in range(3):
        done = subprocess.run(
            [ROOT / "bin/walkthrough.sh", "--bootstrap-server", stack.bootstrap, "--zookeeper", stack.zookeeper],
            capture_output=True,
            text=True,
            timeout=400,
        )
        output = done.stdout + done.stderr
        if done.returncode == 0:
            assert "14 of 14 steps hold" in output
            return output
        last = [line.split()[0] for line in done.stdout.splitlines() if line[:1] == "W"][-1:]
        if last not in (["W1"], ["W7"], ["W8"]):
            break
    raise AssertionError(output[-4000:])
