"""Starts that are refused, that wait, and what they leave alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import signal_at_import
from tests.servers import Broker, EmbeddedZooKeeper, Server, free_port, wait_until
from zk import processes

pytestmark = pytest.mark.slow

Start = Callable[[Server], Any]


@pytest.fixture
def ensemble(started: Start, tmp_path: Path) -> EmbeddedZooKeeper:
    return started(EmbeddedZooKeeper(tmp_path / "zookeeper", tickTime=200, maxSessionTimeout=60000))


def contents(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the last change of every file."""
    found = {}
    for path in sorted(directory.rglob("*")):
        stat = path.stat()
        found[str(path.relative_to(directory))] = (stat.st_ino, stat.st_mtime_ns)
    return found


def test_a_second_start_on_a_live_log_directory_is_refused_and_touches_nothing(
    started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path
) -> None:
    broker = started(
        Broker(
            tmp_path / "broker",
            ensemble.connect,
            # Nothing is written by itself while we look.
            log_flush_offset_checkpoint_interval_ms=2**30,
            replica_high_watermark_checkpoint_interval_ms=2**30,
        )
    )
    before = contents(broker.data)
    assert ".zookeeper-session" in before
    second = Broker(tmp_path / "second", ensemble.connect, log_dirs=broker.data)
    second.launch()
    assert 1 == second.wait()
    reason = f"Error: Failed to acquire lock on file .lock in {broker.data}. A Kafka instance in another process"
    assert 1 == second.output().count(reason)
    assert before == contents(broker.data)
    broker.kill()
    broker.start()
    assert "ended the ZooKeeper session" in broker.output()
    assert "waiting for ZooKeeper to end it" not in broker.output()


def test_a_start_that_is_refused_keeps_what_the_next_needs_of_a_broker_that_was_killed(
    started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path
) -> None:
    broker = started(Broker(tmp_path / "broker", ensemble.connect))
    broker.kill()
    with socket.create_server(("127.0.0.1", broker.port)):
        broker.launch()
        assert 1 == broker.wait()
    assert f"Socket server failed to bind to 127.0.0.1:{broker.port}" in broker.output()
    broker.start()
    assert "ended the ZooKeeper session" in broker.output()


def test_a_log_directory_that_is_refused_does_not_make_the_others_count_as_crashed(
    started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path
) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    broker = Broker(tmp_path / "broker", ensemble.connect, log_dirs=",".join(map(str, directories)))
    with broker:
        pass
    meta = directories[1] / "meta.properties"
    text = meta.read_text()
    meta.write_text(text.replace("broker.id=0", "broker.id=7"))
    broker.launch()
    assert 1 == broker.wait()
    assert "Stored node id 7 doesn't match" in broker.output()
    assert [True, True] == [(each / ".kafka_cleanshutdown").exists() for each in directories]


def test_a_broker_that_waits_for_its_old_registration_refuses_connections(
    ensemble: EmbeddedZooKeeper, tmp_path: Path
) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect, zookeeper_session_timeout_ms=60000)
    with broker:
        broker.kill()
        (broker.data / ".zookeeper-session").unlink()
        broker.launch()
        wait_until(lambda: "waiting for ZooKeeper to end it" in broker.output())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", broker.port), 5)
        assert 0 == broker.stop()
    assert "Traceback" not in broker.output()
    assert (broker.data / ".kafka_cleanshutdown").exists() is False, "it had been killed"


def test_a_signal_at_any_line_of_the_log_ends_a_start_cleanly(ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    """Also a second one, while it stops."""
    broker = Broker(tmp_path / "broker", ensemble.connect)
    with broker:
        pass
    moment = 0
    while True:
        process = subprocess.Popen(
            broker.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        told: list[str] = []
        number = (signal.SIGTERM, signal.SIGINT)[moment % 2]
        for line in process.stdout:
            told.append(line)
            if len(told) == moment + 1 or "shutting down" in line:
                process.send_signal(number)
        assert 0 == process.wait(30), "".join(told)
        assert "Traceback" not in "".join(told)
        assert "Error" not in "".join(told)
        assert (broker.data / ".kafka_cleanshutdown").exists(), f"line {moment}: {told[moment]}"
        if "started" in told[moment]:
            break
        moment += 1
    assert moment >= 5
    broker.start()
    assert "waiting for ZooKeeper" not in broker.output()
    assert "were not stopped cleanly" not in broker.output().split("shut down completed")[-1]
    broker.stop()


@pytest.mark.parametrize("at", [1, 20, 60, 120, 250, 400])
def test_a_signal_during_the_imports_of_a_start_ends_it_without_a_word(
    ensemble: EmbeddedZooKeeper, tmp_path: Path, at: int
) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect)
    for number in (signal.SIGTERM, signal.SIGINT):
        done = signal_at_import.run(tmp_path / "hook", broker.command(), at, number)
        # The last: a shell that still runs the script passes the signal on in its own way.
        assert done.returncode in (0, -number, 128 + number), done
        assert "" == done.stderr.strip()
        assert "Traceback" not in done.stdout


def test_a_start_in_the_background_returns_when_the_broker_serves(ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect)
    command = [broker.command()[0], "-daemon", *broker.command()[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    with processes.running("kafkalike.cli.server_start", "kafka-server-start") as found:
        (process,) = [each for each in found if f"log.dirs={broker.data}" in each.arguments]
        try:
            socket.create_connection(("127.0.0.1", broker.port), 5).close()
            wait_until(broker.ready, what="a controller")
            log, before = broker.data / "server.log", set(contents(broker.data))
            # The broker says why it does not start, and leaves the log directory alone.
            for environment in ({}, {"LOG_DIR": str(tmp_path / "elsewhere")}):
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)
                assert (1, "") == (done.returncode, done.stdout)
                assert done.stderr.startswith(f"Error: Failed to acquire lock on file .lock in {broker.data}")
                assert 1 == len(done.stderr.splitlines())
            assert before == set(contents(broker.data))
            assert 1 == log.read_text().count("INFO starting")
            process.send(signal.SIGTERM)
            wait_until(lambda: not process.send(0), what="the end of the broker")
        finally:
            process.send(signal.SIGKILL)
    assert log.read_text().splitlines()[-1].endswith("shut down completed (kafka.server.KafkaServer)")


def test_a_start_in_the_background_that_is_refused_later_says_why(ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", ensemble.connect)
    with socket.create_server(("127.0.0.1", broker.port)):
        command = [broker.command()[0], "-daemon", *broker.command()[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    reason = f"Error: Socket server failed to bind to 127.0.0.1:{broker.port}: Address already in use."
    assert (1, "", reason + "\n") == (done.returncode, done.stdout, done.stderr)
    told = (broker.data / "server.log").read_text()
    assert 1 == told.count("failed to bind")
    assert reason == told.splitlines()[-1]
    assert "LOST" not in told


def test_a_zookeeper_that_is_none_is_told_at_once_and_again_as_the_reason(tmp_path: Path) -> None:
    port = free_port()
    broker = Broker(
        tmp_path / "broker",
        f"no-such-host.invalid:2181,127.0.0.1:{port}",
        zookeeper_connection_timeout_ms=2500,
    )
    broker.launch()
    assert 1 == broker.wait()
    lines = broker.output().splitlines()
    unresolved = "the host name no-such-host.invalid does not resolve ("
    assert 2 == broker.output().count(unresolved), lines
    assert "WARNING" in next(line for line in lines if unresolved in line)
    assert lines[-1].startswith(
        f"Error: no ZooKeeper server at {broker.zookeeper} answered within 2500 ms: {unresolved}"
    )
    assert lines[-1].endswith(f"nobody listens at 127.0.0.1:{port}")
    assert "LOST" not in broker.output()
    assert 1 == broker.output().count("Error")


def test_a_configuration_for_kraft_is_refused_in_one_line(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", "localhost", process_roles="broker")
    broker.launch()
    assert 1 == broker.wait()
    assert 1 == len(broker.output().splitlines())
    assert broker.output().startswith("Error: process.roles=broker is a configuration for KRaft, ")
    assert not broker.data.exists()
