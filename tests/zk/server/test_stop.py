"""The stop script."""

from __future__ import annotations

import shutil
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
        data, pid = one.directory / "data", one.process.pid if one.process is not None else 0
        assert (0, f"Stopping the zookeeper server of {data} (process {pid})\n") == run(data)
        assert 0 == one.wait(10)
        assert two.running
        assert (1, "No zookeeper server to stop\n") == run(one.directory / "data")


def test_nothing_to_stop(tmp_path: Path) -> None:
    assert (1, "No zookeeper server to stop\n") == run(tmp_path)


def test_a_number_left_behind_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    assert 0 == stop.owner(str(tmp_path))


def test_without_arguments_it_stops_the_servers_of_this_installation(tmp_path: Path) -> None:
    """Of one of this test's own: stopping all of this one would stop the other tests'."""
    home = tmp_path / "installation"
    shutil.copytree(ROOT / "bin", home / "bin")
    for name in ("kafkalike", "zk", "config", ".venv"):
        (home / name).symlink_to(ROOT / name)

    class Installed(EmbeddedZooKeeper):
        def command(self) -> list[str]:
            return [str(home / "bin/zookeeper-server-start.sh"), *super().command()[1:]]

    with Installed(tmp_path / "one") as one, EmbeddedZooKeeper(tmp_path / "two") as two:
        done = subprocess.run([home / "bin/zookeeper-server-stop.sh"], capture_output=True, text=True, timeout=30)
        assert one.process is not None
        told = f"Stopping the zookeeper server of {tmp_path / 'one' / 'data'} (process {one.process.pid})\n"
        assert (0, told, "") == (done.returncode, done.stdout, done.stderr)
        assert 0 == one.wait(10)
        assert two.running


def test_a_mistake_in_the_arguments() -> None:
    done = subprocess.run([STOP, "a", "b"], capture_output=True, text=True, timeout=30, check=False)
    assert 1 == done.returncode and done.stderr.startswith("USAGE: zookeeper-server-stop.sh [zookeeper.properties")
