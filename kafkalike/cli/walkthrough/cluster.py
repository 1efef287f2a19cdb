"""A cluster for the walk alone: an embedded ZooKeeper and a broker, in a temporary directory, on free ports.

Both are started by the scripts that a user would use, and ended by their process ids.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Trouble(Exception):
    """A server does not start or does not end."""


def free_port() -> int:
    """A port nobody listens on, below those the system gives to outgoing connections, so that it stays free."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(first, 10_001))
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """One process."""

    def __init__(self, name: str, command: list[str], port: int, output: Path) -> None:
        self.name = name
        self.command = command
        self.port = port
        self.output = output
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool], timeout_s: float = 30) -> float:
        """Starts it and waits until it is ready; the seconds that took."""
        began = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        while not ready():
            if self.process.poll() is not None:
                raise Trouble(f"the {self.name} ended with code {self.process.returncode}: {self.last_lines()}")
            if time.monotonic() - began > timeout_s:
                raise Trouble(f"the {self.name} is not ready after {timeout_s:.0f} s: {self.last_lines()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def kill(self) -> int:
        """kill -9; the process id that it had."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return self.process.pid

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to what does not end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_lines(self) -> str:
        """What it said last."""
        try:
            return " / ".join(self.output.read_text(errors="replace").splitlines()[-3:])
        except OSError:
            return ""


class OwnCluster:
    """ZooKeeper and one broker."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="kafkalike-walkthrough-"))
        self.log_dir = self.directory / "kafka-logs"
        zookeeper_port, broker_port = free_port(), free_port()
        self.connect = f"127.0.0.1:{zookeeper_port}"
        self.bootstrap = f"127.0.0.1:{broker_port}"
        self.zookeeper = Server(
            "ZooKeeper",
            [
                str(ROOT / "bin" / "zookeeper-server-start.sh"),
                str(ROOT / "config" / "zookeeper.properties"),
                *_overrides({"clientPort": zookeeper_port, "dataDir": self.directory / "zookeeper"}),
            ],
            zookeeper_port,
            self.directory / "zookeeper.out",
        )
        self.broker = Server(
            "broker",
            [
                str(ROOT / "bin" / "kafka-server-start.sh"),
                str(ROOT / "config" / "server.properties"),
                *_overrides(
                    {
                        "listeners": f"PLAINTEXT://127.0.0.1:{broker_port}",
                        "zookeeper.connect": self.connect,
                        "log.dirs": self.log_dir,
                        "offsets.topic.num.partitions": 4,
                    }
                ),
            ],
            broker_port,
            self.directory / "broker.out",
        )

    def start(self) -> float:
        """Both; the seconds that took."""
        return self.start_zookeeper() + self.start_broker()

    def start_zookeeper(self) -> float:
        """ZooKeeper, until it accepts connections."""
        return self.zookeeper.start(lambda: _listens(self.zookeeper.port))

    def start_broker(self) -> float:
        """The broker, until it is in its own metadata."""
        return self.broker.start(self._broker_serves)

    def _broker_serves(self) -> bool:
        from kafkalike.client.blocking.network import Disconnected, Network
        from kafkalike.errors import KafkaError

        network = Network(self.bootstrap, "walkthrough", tell=lambda _: None)
        try:
            cluster = network.refresh()
            return cluster.controller_id >= 0 and bool(cluster.nodes)
        except (Disconnected, KafkaError):
            return False
        finally:
            network.close()

    def stop(self, keep: bool = False) -> None:
        """Ends both; the directory is removed unless it is to be looked at."""
        self.broker.stop()
        self.zookeeper.stop()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def _overrides(settings: dict[str, object]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--override", f"{key}={value}")]


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(("127.0.0.1", port)) == 0 and attempt.getsockname() != attempt.getpeername()


def python_environment() -> dict[str, str]:
    """For child processes: the same packages, wherever this one was started from."""
    path = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep + path if path else ''}"}
