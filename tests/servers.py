"""Servers for tests: each is a process of its own, started in a directory and on a port of its own, ended by its id.

`start()` returns when the server has answered a question of its own protocol; nothing waits for a fixed time.

    EmbeddedZooKeeper   bin/zookeeper-server-start.sh
    DebianZooKeeper     Apache ZooKeeper from the package zookeeper
    Broker              bin/kafka-server-start.sh
    ApacheBroker        Apache Kafka 3.9.1 in ZooKeeper mode, from jars that bin/test.sh fetches with Maven

What a machine lacks is a skip that names the package, or, with CI=true, a failure.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

ROOT = Path(__file__).resolve().parent.parent
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
LOG4J = """\
log4j.rootLogger={level}, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=[%d] %p %m (%c)%n
"""


only_ours = False  # with --fast: whoever wants another's program is left out


def require(present: object, what: str) -> None:
    """Skips the test for want of `what`; in CI nothing may be wanting."""
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(f"this machine lacks {what}", pytrace=False)
        pytest.skip(f"needs {what}")


def tool(name: str, package: str) -> str:
    """The path of a program that is not ours."""
    if only_ours:
        pytest.skip("left out by --fast")
    path = shutil.which(name)
    require(path, f"{name}: apt install {package}")
    return path or ""


def kafka_home() -> Path:
    """The directory that has Apache Kafka's jars in lib/."""
    if only_ours:
        pytest.skip("left out by --fast")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("KAFKALIKE_KAFKA_HOME") or cache / "kafkalike" / "kafka-3.9.1")
    require(
        (home / "ok").exists(), "Apache Kafka's jars: bin/test.sh fetches them, and KAFKALIKE_KAFKA_HOME names them"
    )
    return home


_reserved: list[socket.socket] = []
_ports = itertools.count(os.getpid() * 101)


def free_port() -> int:
    """A port nobody listens on, below those that the system gives to outgoing connections.

    A port of bind(0) would be one of those: a client that tries again and again while its server is down is then
    some day given that very port, is connected to itself, and the server cannot come back. It stays this process's
    own, whoever else runs tests: a socket without a file, of a name that has the port in it, says that it is taken.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    lowest, count = (10000, first - 10000) if first > 12000 else (50000, 15000)
    while True:
        port = lowest + next(_ports) % count
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0kafkalike-test-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _reserved.append(claim)
        return port


def wait_until(condition: Callable[[], Any], timeout: float = 30, what: str = "the condition") -> Any:
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.02)


class Server:
    """A process and its way to say that it is ready."""

    def __init__(self, directory: Path, port: int | None = None, host: str = "127.0.0.1") -> None:
        """`around` are words put before the command: what runs it in a namespace, or under strace."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = host
        self.around: list[str] = []
        self.port = port or free_port()
        self.log = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Asks the server; OSError when nobody answers."""
        raise NotImplementedError

    def launch(self) -> Self:
        """Starts the process and returns at once."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.around, *self.command()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def start(self, timeout: float = 60) -> Self:
        """Starts the process and returns when it answers."""
        self.launch()
        try:
            wait_until(self.answers, timeout, f"{type(self).__name__} to answer")
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output()[-3000:]}") from None
        return self

    def answers(self) -> bool:
        """Whether it is ready; an assertion fails when the process has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"{type(self).__name__} ended with {self.process.returncode}"
        try:
            return self.ready()
        except (OSError, struct.error):
            return False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{type(self).__name__} ignored SIGTERM for {timeout} s") from None

    def kill(self) -> None:
        """SIGKILL to the process and to what it started."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, timeout: float = 30) -> int:
        """The exit status of a process that ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout)

    def output(self) -> str:
        """All it has printed, of every start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.stop()


def overriding(overrides: Mapping[str, object]) -> list[str]:
    """`--override k=v` for each entry."""
    return [word for key, value in overrides.items() for word in ("--override", f"{key}={value}")]


class ZooKeeper(Server):
    """Either ZooKeeper."""

    @property
    def connect(self) -> str:
        return f"{self.host}:{self.port}"

    def ready(self) -> bool:
        return b"Mode:" in exchange(self.port, b"srvr", host=self.host)


class EmbeddedZooKeeper(ZooKeeper):
    """Ours."""

    def __init__(self, directory: Path, port: int | None = None, host: str = "127.0.0.1", **overrides: object) -> None:
        super().__init__(directory, port, host)
        self.overrides = overrides

    def command(self) -> list[str]:
        script, properties = ROOT / "bin/zookeeper-server-start.sh", ROOT / "config/zookeeper.properties"
        overrides = {
            "clientPort": self.port,
            "clientPortAddress": self.host,
            "dataDir": self.directory / "data",
        } | self.overrides
        return [str(script), str(properties), *overriding(overrides)]


class DebianZooKeeper(ZooKeeper):
    """Apache ZooKeeper as Debian packages it; its jar names the others in its manifest."""

    JAR = Path("/usr/share/java/zookeeper.jar")

    def __init__(self, directory: Path, port: int | None = None, host: str = "127.0.0.1", **settings: object) -> None:
        super().__init__(directory, port, host)
        self.settings = settings

    def command(self) -> list[str]:
        tool("java", "default-jre-headless")
        require(self.JAR.exists(), "Apache ZooKeeper: apt install zookeeper")
        settings = {
            "clientPort": self.port,
            "clientPortAddress": self.host,
            "dataDir": self.directory / "data",
            "tickTime": 500,
            "maxSessionTimeout": 60000,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        } | self.settings
        cfg = self.directory / "zoo.cfg"
        cfg.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (self.directory / "log4j.properties").write_text(LOG4J.format(level="WARN"))
        jars = f"{self.directory}:{self.JAR}:/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar"
        options = ["-Xmx256m", "-Dzookeeper.forceSync=no", "-Dzookeeper.jmx.log4j.disable=true", "-cp", jars]
        return [*JAVA, *options, "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(cfg)]


class Broker(Server):
    """Ours."""

    kind = "kafkalike"

    def __init__(
        self,
        directory: Path,
        zookeeper: str,
        broker_id: int = 0,
        port: int | None = None,
        host: str = "127.0.0.1",
        **overrides: object,
    ) -> None:
        """`overrides` are Kafka's keys with _ for their dots."""
        super().__init__(directory, port, host)
        self.zookeeper = zookeeper
        self.broker_id = broker_id
        self.data = directory / "data"
        self.overrides: dict[str, object] = {
            "broker.id": broker_id,
            "listeners": f"PLAINTEXT://{host}:{self.port}",
            "log.dirs": self.data,
            "zookeeper.connect": zookeeper,
        } | {key.replace("_", "."): value for key, value in overrides.items()}

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        script = ROOT / "bin/kafka-server-start.sh"
        return [str(script), str(ROOT / "config/server.properties"), *overriding(self.overrides)]

    def ready(self) -> bool:
        """A Metadata answer that lists this broker and knows the controller."""
        answer = request(self.port, 3, 1, struct.pack(">i", 0), host=self.host)
        brokers, at = struct.unpack_from(">i", answer, 4)[0], 8
        ids = []
        for _ in range(brokers):
            node, host = struct.unpack_from(">ih", answer, at)
            at += 6 + host + 4
            at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
            ids.append(node)
        controller = struct.unpack_from(">i", answer, at)[0]
        return self.broker_id in ids and controller >= 0


# What config/server.properties does not say: ours has no use for it.
APACHES_OWN = {"transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1}


class ApacheBroker(Broker):
    """Apache Kafka 3.9.1 with the same properties file."""

    kind = "apache"

    def command(self) -> list[str]:
        tool("java", "default-jre-headless")
        log4j = self.directory / "log4j.properties"
        log4j.write_text(LOG4J.format(level="WARN"))
        logging = [f"-Dlog4j.configuration=file:{log4j}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        properties = str(ROOT / "config/server.properties")
        classes = ["-Xmx512m", "-cp", f"{kafka_home()}/lib/*", "kafka.Kafka"]
        return [*JAVA, *logging, *classes, properties, *overriding(APACHES_OWN | self.overrides)]


def exchange(port: int, data: bytes, timeout: float = 5, host: str = "127.0.0.1") -> bytes:
    """Sends and reads until the server closes."""
    with socket.create_connection((host, port), timeout) as s:
        s.sendall(data)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return answer


def receive(s: socket.socket) -> bytes:
    """One length-prefixed frame; OSError when the connection ends before it does."""
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack_from(">i", data)[0]:
        chunk = s.recv(65536)
        if not chunk:
            raise ConnectionError("closed by the server")
        data += chunk
    return data[4:]


def request(port: int, api_key: int, version: int, body: bytes, timeout: float = 5, host: str = "127.0.0.1") -> bytes:
    """One request with a version 1 header; the answer from its correlation id on."""
    with socket.create_connection((host, port), timeout) as s:
        frame = struct.pack(">hhih", api_key, version, 7, -1) + body
        s.sendall(struct.pack(">i", len(frame)) + frame)
        return receive(s)


class Kafka:
    """What a client needs to know of the cluster under test."""

    def __init__(self, broker: Broker, zookeeper: ZooKeeper) -> None:
        self.broker = broker
        self.zookeeper = zookeeper
        self.bootstrap = broker.bootstrap
        self.kind = broker.kind

    def create_topic(self, name: str, partitions: int = 1, **config: object) -> str:
        """Through librdkafka's admin client; returns when every partition has a leader."""
        new = NewTopic(name, partitions, 1, config={k.replace("_", "."): str(v) for k, v in config.items()})
        self.admin.create_topics([new])[name].result(30)

        def led() -> bool:
            described = self.admin.list_topics(name, timeout=10).topics[name].partitions
            return len(described) == partitions and all(p.leader >= 0 for p in described.values())

        wait_until(led, what=f"a leader for each partition of {name}")
        return name

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def offsets(self, group: str, topic: str) -> dict[int, int]:
        """What the group's znodes say, read by kazoo."""
        return offsets_in_zookeeper(self.zookeeper.connect, group, topic)

    def assert_committed(self, group: str, topic: str, expected: dict[int, int]) -> None:
        """The one difference between the two: Apache's broker keeps offsets to itself, in __consumer_offsets."""
        if self.kind == "kafkalike":
            assert expected == self.offsets(group, topic)


@contextmanager
def zookeeper_client(connect: str) -> Iterator[KazooClient]:
    """kazoo, connected."""
    client = KazooClient(connect)
    client.start(timeout=15)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def offsets_in_zookeeper(connect: str, group: str, topic: str) -> dict[int, int]:
    """/consumers/<group>/offsets/<topic>/<partition>."""
    path = f"/consumers/{group}/offsets/{topic}"
    with zookeeper_client(connect) as client:
        try:
            return {int(p): int(client.get(f"{path}/{p}")[0]) for p in client.get_children(path)}
        except NoNodeError:
            return {}
