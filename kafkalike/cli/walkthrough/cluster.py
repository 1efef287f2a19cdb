"""A cluster for the walk alone: an embedded ZooKeeper and brokers, in a temporary directory.

Each server runs as the scripts in bin/ run it. To learn whether a server is up the walk looks at the server's process
before its port: on a busy machine another process may hold the port, even a ZooKeeper or a broker of another walk.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# The directory that the packages are in, in a checkout or in an environment.
ROOT = Path(__file__).resolve().parents[3]
ZOOKEEPER_PORT = 2181
BROKER_PORT = 9092
COPIES = 3


class Trouble(Exception):
    """A server did not start or did not end."""


def free_port() -> int:
    """A port nobody listens on, below those the system gives to outgoing connections, so that it stays free."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(first, 10_001))
        if not is_taken(port):
            return port


def is_taken(port: int) -> bool:
    """Whether a process listens at the port."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as problem:
            return problem.errno == errno.EADDRINUSE
        return False


def listens(pid: int, port: int) -> bool:
    """Whether this process, and not just anybody, accepts connections at the port."""
    state, sockets = "0A", set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for _, local, _, found, *rest in map(str.split, rows):
            if found == state and int(local.rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{rest[5]}]")
    if not sockets:
        return False
    try:
        return any(_target(file) in sockets for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


class Server:
    """One server's process."""

    def __init__(self, name: str, port: int, output: Path, command: Callable[[int], list[str]]) -> None:
        self.name = name
        self.port = port
        self.output = output
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Starts the process out of reach of the terminal's Ctrl-C: the walk ends it."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self.command(self.port)],
                cwd=self.output.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=python_environment(),
            )

    @property
    def code(self) -> int | None:
        """The exit code of a process that has ended, else None."""
        assert self.process is not None
        return self.process.poll()

    def listens(self) -> bool:
        """Whether the process is there and accepts connections."""
        assert self.process is not None
        return self.code is None and listens(self.process.pid, self.port)

    def kill(self) -> int:
        """Kills the process (kill -9); gives the process id that it had."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return self.process.pid

    def terminate(self) -> None:
        """Sends SIGTERM, unless the process has ended."""
        if self.process is not None and self.code is None:
            self.process.terminate()

    def join(self) -> None:
        """Waits for the process's end; kills one that does not end."""
        if self.process is None:
            return
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_lines(self) -> str:
        """The last lines of the server's output."""
        try:
            return " / ".join(self.output.read_text(errors="replace").splitlines()[-3:])
        except OSError:
            return ""


class OwnCluster:
    """ZooKeeper and a number of brokers; `tell` is given what is to be printed while they start."""

    def __init__(self, brokers: int = 1, *, usual_ports: bool = False, tell: Callable[[str], object]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="kafkalike-walkthrough-"))
        self._usual_ports = usual_ports
        self._tell = tell
        self.zookeeper = Server("zookeeper", ZOOKEEPER_PORT, self.directory / "zookeeper.out", self._zookeeper_command)
        self.brokers = {
            number: Server(
                f"broker-{number}" if brokers > 1 else "broker",
                BROKER_PORT + number - 1,
                self.directory / f"broker-{number}.out",
                lambda port, number=number: self._broker_command(number, port),  # type: ignore[misc]
            )
            for number in range(1, brokers + 1)
        }

    @property
    def connect(self) -> str:
        """ZooKeeper's address."""
        return self.zookeeper.address

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses."""
        return ",".join(broker.address for broker in self.brokers.values())

    @property
    def log_dirs(self) -> list[Path]:
        return [self._log_dir(number) for number in self.brokers]

    def _log_dir(self, number: int) -> Path:
        return self.directory / f"kafka-logs-{number}"

    def _zookeeper_command(self, port: int) -> list[str]:
        settings = {"clientPort": port, "dataDir": self.directory / "zookeeper"}
        return ["-m", "zk.server.main", "zookeeper.properties", *_overrides(settings)]

    def _broker_command(self, number: int, port: int) -> list[str]:
        copies = min(COPIES, len(self.brokers))
        enough = max(copies - 1, 1)
        settings = {
            "broker.id": number,
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "zookeeper.connect": self.connect,
            "log.dirs": self._log_dir(number),
            "default.replication.factor": copies,
            "min.insync.replicas": enough,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": enough,
        }
        return ["-m", "kafkalike.cli.server_start", "server.properties", *_overrides(settings)]

    def start(self) -> None:
        """Starts ZooKeeper, then all brokers at once."""
        self._first_launch(self.zookeeper)
        self._await(self.zookeeper, may_move=True)
        for broker in self.brokers.values():
            self._first_launch(broker)
        for broker in self.brokers.values():
            self._await(broker, may_move=True)

    def _first_launch(self, server: Server) -> None:
        if not self._usual_ports:
            server.port = free_port()
        elif is_taken(server.port):
            self._move(server)
        server.launch()

    def _move(self, server: Server) -> None:
        taken, server.port = server.port, free_port()
        self._tell(f"{taken} is taken, using {server.port}.\n")

    def start_again(self, servers: list[Server]) -> float:
        """Starts all servers with the same commands on the same ports; gives the seconds that took."""
        began = time.monotonic()
        for server in servers:
            server.launch()
        for server in servers:
            self._await(server, may_move=False)
        return time.monotonic() - began

    def _await(self, server: Server, *, may_move: bool, timeout_s: float = 30) -> None:
        tell = self._tell if may_move else _silent
        tell(f"Starting {server.name} on {server.address} ")
        began = time.monotonic()
        dots = 0
        while not (server.listens() and self._serves(server)):
            if server.code is not None:
                # Another process took the port after the walk had chosen it.
                if may_move and is_taken(server.port):
                    tell("\n")
                    self._move(server)
                    server.launch()
                    tell(f"Starting {server.name} on {server.address} ")
                    continue
                tell("failed\n")
                raise Trouble(f"The {server.name} ended with code {server.code}: {server.last_lines()}")
            waited = time.monotonic() - began
            if waited > timeout_s:
                tell("failed\n")
                raise Trouble(f"The {server.name} is not ready after {timeout_s:.0f} s: {server.last_lines()}")
            if waited > 0.2 * dots:
                tell(".")
                dots += 1
            time.sleep(0.02)
        tell(" done\n" if dots else "done\n")

    def _serves(self, server: Server) -> bool:
        """ZooKeeper serves when it listens; a broker when it is in its own metadata, and there is a controller."""
        from kafkalike.client.blocking.admin import Admin
        from kafkalike.client.errors import TimedOut
        from kafkalike.errors import KafkaError

        if server is self.zookeeper:
            return True
        with Admin(server.address, client_id="walkthrough", default_api_timeout_ms=0, tell=_silent) as admin:
            try:
                cluster = admin.cluster()
            except (TimedOut, KafkaError):
                return False
            return cluster.controller_id >= 0 and server.port in [node.port for node in cluster.nodes.values()]

    def stop(self) -> None:
        """Ends all servers; the brokers before ZooKeeper, for each broker closes its session."""
        for servers in (list(self.brokers.values()), [self.zookeeper]):
            for server in servers:
                server.terminate()
            for server in servers:
                server.join()

    def remove(self) -> None:
        """Removes the servers' files."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _silent(_: str) -> None:
    pass


def _overrides(settings: dict[str, object]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--override", f"{key}={value}")]


def python_environment() -> dict[str, str]:
    """The environment of child processes: it has the same packages, wherever this process was started from."""
    path = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep + path if path else ''}"}
