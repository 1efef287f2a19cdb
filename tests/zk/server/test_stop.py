"""The stop script."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import ROOT, EmbeddedZooKeeper
from zk.server import stop

STOP = str(ROOT / "bin/zookeeper-server-stop.sh")
FILE = str(ROOT / "config/zookeeper.properties")


def run(data: Path) -> tuple[int, str]:
    arguments = [STOP, FILE, "--override", f"dataDir={data}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_it_stops_the_server_of_a_data_directory(tmp_path: Path) -> None:
    with EmbeddedZooKeeper(tmp_path / "one") as one, EmbeddedZooKeeper(tmp_path / "two") as two:
        assert (0, "") == run(one.directory / "data")
        assert 0 == one.wait(10)
        assert two.running
        assert (1, "No zookeeper server to stop\n") == run(one.directory / "data")


def test_nothing_to_stop(tmp_path: Path) -> None:
    assert (1, "No zookeeper server to stop\n") == run(tmp_path)


def test_a_number_left_behind_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    assert 0 == stop.owner(str(tmp_path))


def test_without_arguments_it_finds_the_servers_of_this_installation(tmp_path: Path, monkeypatch: object) -> None:
    """Only finds: stopping them all would stop the other tests'."""
    with EmbeddedZooKeeper(tmp_path) as server:
        assert server.process is not None
        python = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        monkeypatch.setattr(stop.sys, "executable", python)  # type: ignore[attr-defined]
        assert server.process.pid in stop.running()
    assert server.process.pid not in stop.running()


def test_a_mistake_in_the_arguments() -> None:
    done = subprocess.run([STOP, "a", "b"], capture_output=True, text=True, timeout=30, check=False)
    assert 1 == done.returncode and done.stderr.startswith("USAGE: zookeeper-server-stop.sh zookeeper.properties")
