"""The start script: what an operator sees."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import signal_at_import
from tests.servers import ROOT, EmbeddedZooKeeper, exchange, free_port, wait_until
from zk.server.config import ConfigError
from zk.server.main import USAGE, _logs, configure

START = str(ROOT / "bin/zookeeper-server-start.sh")
FILE = str(ROOT / "config/zookeeper.properties")


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [START, *arguments], capture_output=True, text=True, timeout=30, env={**os.environ, **environment}, check=False
    )


def refused(*arguments: str) -> str:
    """The one line on standard error."""
    done = start(*arguments)
    assert 1 == done.returncode, done.stdout
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert "Traceback" not in done.stdout
    return done.stderr.strip()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EmbeddedZooKeeper]:
    with EmbeddedZooKeeper(tmp_path / "server") as server:
        yield server


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--bogus", FILE]])
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        configure(arguments)
    assert USAGE == str(error.value)


def test_overrides() -> None:
    found = configure([FILE, "--override", "clientPort=7", "--override", "dataDir=/x"])
    assert (7, "/x") == (found.port, found.data_dir)


def test_a_missing_file() -> None:
    assert "Cannot read /no/such: No such file or directory" == refused("/no/such")


def test_a_bad_value() -> None:
    assert "Invalid value 'x' for tickTime" == refused(FILE, "--override", "tickTime=x")


def test_a_busy_port(running: EmbeddedZooKeeper, tmp_path: Path) -> None:
    text = refused(FILE, "--override", f"clientPort={running.port}", "--override", f"dataDir={tmp_path / 'other'}")
    assert f"Cannot listen on 127.0.0.1:{running.port}: Address already in use" == text


def test_a_busy_data_directory(running: EmbeddedZooKeeper) -> None:
    data = running.directory / "data"
    text = refused(FILE, "--override", "clientPort=0", "--override", f"dataDir={data}")
    assert f"The data directory {data} is in use by another server" == text


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = refused(FILE, "--override", f"dataDir={tmp_path}/file/data")
    assert f"Cannot use the data directory {tmp_path}/file/data: Not a directory" == text


def test_a_damaged_data_directory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "log.1").write_bytes(b"something else")
    assert "is no log of this server" in refused(FILE, "--override", f"dataDir={tmp_path}")


def test_a_port_chosen_by_the_system_is_told(tmp_path: Path) -> None:
    command = [START, FILE, "--override", "clientPort=0", "--override", f"dataDir={tmp_path / 'data'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        found = next(filter(None, (re.search(r"Listening on 127\.0\.0\.1:(\d+)", line) for line in lines)))
        assert b"imok" == exchange(int(found[1]), b"ruok")
        process.terminate()
        assert "Stopped" in list(lines)[-1]
    assert 0 == process.returncode


def test_it_listens_on_this_machine_only(running: EmbeddedZooKeeper) -> None:
    listening = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [["0100007F", f"{running.port:04X}"]] == [
        where.split(":") for where, _, state in listening if where.endswith(f":{running.port:04X}") and state == "0A"
    ]


def test_it_idles_in_little_memory(running: EmbeddedZooKeeper) -> None:
    assert running.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())
    assert found and int(found[1]) < 32_000


def test_the_place_of_a_daemons_output(tmp_path: Path) -> None:
    assert f"{ROOT}/logs" == _logs(str(ROOT))
    assert "logs" == _logs(str(tmp_path)), "packages that are installed have no place for it"


def test_a_daemon(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    arguments = ["-daemon", FILE, "--override", f"clientPort={port}", "--override", f"dataDir={data}"]
    done = start(*arguments, LOG_DIR=str(tmp_path / "logs"))
    assert 0 == done.returncode, done.stderr
    pid = int((data / "lock").read_text())
    try:
        assert b"imok" == exchange(port, b"ruok")
        again = start(*arguments, LOG_DIR=str(tmp_path / "more"))
        assert 1 == again.returncode and "in use by another server" in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "Stopped" in (tmp_path / "logs" / "zookeeper.out").read_text())


def test_an_unwritable_disk_ends_it_with_one_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    port, data = free_port(), tmp_path / "data"
    command = f"ulimit -f 64; trap '' XFSZ; exec {START} {FILE} --override clientPort={port} --override dataDir={data}"
    with subprocess.Popen(["bash", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
        from kazoo.client import KazooClient

        client = KazooClient(f"127.0.0.1:{port}", connection_retry={"max_tries": -1, "delay": 0.05})
        client.start(20)
        client.create("/a", b"small")
        for _ in range(20):
            client.set_async("/a", b"x" * 50_000)
        assert 1 == p.wait(20)
        assert p.stderr is not None
        lines = p.stderr.read().splitlines()
        client.stop()
        client.close()
    assert [f"Cannot write the transaction log in {data}: [Errno 27] File too large"] == lines
    with EmbeddedZooKeeper(tmp_path / "again", dataDir=data) as server:
        client = KazooClient(server.connect)
        client.start(10)
        assert client.exists("/a")
        client.stop()
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_line_ends_it_cleanly_and_a_second_one_changes_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The second comes at the same time, as a Ctrl-C that is held down does."""
    command = [START, FILE, "--override", "clientPort=0", "--override", f"dataDir={tmp_path / 'data'}"]
    for moment in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(moment + 1)]
            process.send_signal(number)
            process.send_signal(number)
            told += process.stdout.readlines()
        assert 0 == process.returncode, told
        assert "Traceback" not in "".join(told)
        assert told[-1].endswith("INFO Stopped (zk.server)\n")


@pytest.mark.parametrize("at", [1, 30, 80, 150, 220])
def test_a_signal_during_the_imports_ends_it_without_a_word(tmp_path: Path, at: int) -> None:
    command = [START, FILE, "--override", "clientPort=0", "--override", f"dataDir={tmp_path / 'data'}"]
    for number in (signal.SIGTERM, signal.SIGINT):
        done = signal_at_import.run(tmp_path / "hook", command, at, number)
        assert done.returncode in (0, -number), done
        assert "" == done.stderr
