"""kafka-server-stop.sh: whom it ends, and what it says. Each test has an installation of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, Broker, EmbeddedZooKeeper, Server, overriding

Start = Callable[[Server], Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The root of an installation."""
    root = tmp_path / "installation"
    shutil.copytree(ROOT / "bin", root / "bin")
    for name in ("kafkalike", "zk", "config", ".venv"):
        (root / name).symlink_to(ROOT / name)
    return root


class Installed(Broker):
    """A broker from there."""

    home: Path

    def command(self) -> list[str]:
        return [
            str(self.home / "bin/kafka-server-start.sh"),
            str(self.home / "config/server.properties"),
            *overriding(self.overrides),
        ]


@pytest.fixture
def brokers(started: Start, tmp_path: Path, home: Path) -> Iterator[list[Installed]]:
    """Two, of which one got its number from ZooKeeper."""
    ensemble = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    made = [Installed(tmp_path / f"broker{n}", ensemble.connect, n) for n in (3, 1001)]
    made[1].overrides["broker.id"] = -1
    for broker in made:
        broker.home = home
        started(broker)
    yield made


def stop(home: Path, *arguments: str, **environment: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [home / "bin/kafka-server-stop.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_one_broker_is_ended_by_its_number_and_named(home: Path, brokers: list[Installed]) -> None:
    generated = brokers[1]
    assert generated.process is not None
    code, lines, _ = stop(home, "--node-id", "1001")
    assert 0 == code
    assert [f"Stopping broker 1001 (process {generated.process.pid}"] == [line.split(":")[0] for line in lines]
    assert 0 == generated.wait()
    assert brokers[0].running
    code, lines, _ = stop(home, "--node-id=1001")
    assert 1 == code
    assert "No kafka server to stop with node.id 1001" == lines[0]
    assert brokers[0].process is not None
    assert f"Running broker 3 (process {brokers[0].process.pid}" in [line.split(":")[0] for line in lines[1:]]
    assert brokers[0].running


def test_without_a_number_all_are_ended_and_each_is_named(home: Path, brokers: list[Installed]) -> None:
    code, lines, _ = stop(home, "--process-role", "controller")
    assert (1, "No kafka server to stop") == (code, lines[0])
    code, lines, _ = stop(home)
    assert 0 == code
    pids = [broker.process.pid for broker in brokers if broker.process is not None]
    expected = {f"Stopping broker {n} (process {pid}" for n, pid in zip((3, 1001), pids, strict=True)}
    assert expected == {line.split(":")[0] for line in lines}
    assert [0, 0] == [broker.wait() for broker in brokers]


def test_a_number_goes_before_a_role_and_the_signal_may_be_another(home: Path, brokers: list[Installed]) -> None:
    code, lines, _ = stop(home, "--node-id=3", "--process-role=broker", SIGNAL="KILL")
    assert 0 == code
    assert "When both node-id and process-role are provided, the value for node-id will take precedence" == lines[0]
    assert -signal.SIGKILL == brokers[0].wait()
    assert brokers[1].running


def test_a_brokers_name_among_the_arguments_of_something_else_is_no_broker(home: Path) -> None:
    pause = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [home / ".venv/bin/python", "-c", pause, "-m", "kafkalike.cli.server_start"], stdin=subprocess.PIPE
    ) as other:
        code, lines, _ = stop(home)
        assert (1, "No kafka server to stop") == (code, lines[0])
        assert other.poll() is None
        other.communicate(b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run something as another user")
def test_a_broker_of_another_user_is_left_alone(home: Path, tmp_path: Path) -> None:
    """What runs has the command line of a broker, and waits for the end of its input."""
    decoy = tmp_path / "decoy" / "kafkalike" / "cli"
    decoy.mkdir(parents=True)
    (decoy / "server_start.py").write_text(
        "import os, sys; os.setuid(int(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    command = [home / ".venv/bin/python", "-m", "kafkalike.cli.server_start"]
    for user, ended in ((65534, False), (os.geteuid(), True)):
        with subprocess.Popen(
            [*command, str(user)], cwd=decoy.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None and b"\n" == other.stdout.readline()
            code, lines, _ = stop(home)
            assert (0 if ended else 1) == code, lines
            assert ended or other.poll() is None
            other.communicate(b"")


def test_a_broker_whose_options_make_no_sense_is_ended_all_the_same(home: Path, tmp_path: Path) -> None:
    """It is about to end by itself, which takes the time of its imports."""
    decoy = tmp_path / "decoy" / "kafkalike" / "cli"
    decoy.mkdir(parents=True)
    (decoy / "server_start.py").write_text("import sys; print(flush=True); sys.stdin.read()")
    command = [home / ".venv/bin/python", "-m", "kafkalike.cli.server_start", "server.properties", "--override", "x"]
    with subprocess.Popen(command, cwd=decoy.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and b"\n" == other.stdout.readline()
        code, lines, errors = stop(home)
        assert (0, "") == (code, errors)
        assert [f"Stopping broker ? (process {other.pid}: server.properties --override x)"] == lines


def test_a_signal_that_is_none_is_refused(home: Path) -> None:
    assert (1, [], "SIGNAL: NONSENSE is not a signal\n") == stop(home, SIGNAL="NONSENSE")
