"""Ctrl-C at any step of the walk: all that it started is gone at once, and nothing complains."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kafkalike.cli.walkthrough.interruption import children, kill_children
from tests.cli.commands import BIN, run
from tests.servers import Kafka, wait_until, zookeeper_client
from tests.terminal import Terminal, assert_gone, is_running

SECONDS = 2
ENDED = "^C\nInterrupted: what was started is ended, its files are removed.\n"


def _walk(*arguments: str) -> Terminal:
    return Terminal([str(BIN / "walkthrough.sh"), *arguments])


def _interrupted(terminal: Terminal) -> str:
    """What is printed after Ctrl-C; none of the walk's processes is left."""
    started = terminal.started()
    before = len(terminal.text)
    seconds = terminal.interrupt()
    assert -signal.SIGINT == terminal.code, terminal.text
    assert_gone(started)
    assert seconds < SECONDS
    heading, ctrl_c, after = terminal.text[before:].partition("^C")
    assert "WARN" not in heading
    return ctrl_c + after


def _files(terminal: Terminal) -> Path:
    found = re.search(r"^The files are in (.*)\.$", terminal.text, re.MULTILINE)
    assert found
    return Path(found[1])


@pytest.mark.parametrize("step", range(1, 15))
def test_ctrl_c_at_each_step_ends_all(step: int) -> None:
    with _walk("--step", str(step)) as terminal:
        terminal.expect(f"W{step}  ")
        assert 2 <= len(terminal.started())
        assert ENDED == _interrupted(terminal)
        assert not _files(terminal).exists()


def test_ctrl_c_while_brokers_and_zookeeper_are_killed_waits_for_none_of_them() -> None:
    with _walk("--step", "12", "--brokers", "3") as terminal:
        terminal.expect("W12  ")
        servers = _running(terminal, b"zk.server.main", b"kafkalike.cli.server_start")
        assert 4 == len(servers)
        wait_until(lambda: not all(map(is_running, servers)), 60, "the death of a server")
        assert ENDED == _interrupted(terminal)
        assert not _files(terminal).exists()


def _running(terminal: Terminal, *modules: bytes) -> list[int]:
    return [pid for pid in terminal.started() if set(_words(pid)) & set(modules)]


def _words(pid: int) -> Sequence[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ()


def test_ctrl_c_while_servers_start() -> None:
    with _walk("--brokers", "3") as terminal:
        terminal.expect("Starting broker-1 ")
        assert 4 == len(terminal.started())
        assert ENDED == _interrupted(terminal)


def test_ctrl_c_instead_of_enter() -> None:
    with _walk("--pause") as terminal:
        terminal.expect("Enter goes on. ")
        assert ENDED == _interrupted(terminal)


def test_servers_that_are_kept_serve_until_ctrl_c() -> None:
    with _walk("--step", "1", "--keep") as terminal:
        terminal.expect("bin/kafka-console-consumer.sh --topic quickstart --from-beginning --bootstrap-server ")
        found = re.search(r"The brokers answer on (\S+), ZooKeeper on (\S+)\. Ctrl-C ends them\.", terminal.text)
        assert found
        described = run("kafka-get-offsets", "--bootstrap-server", found[1], "--topic", "quickstart")
        assert ["quickstart:0:11", "quickstart:1:10"] == described.lines, "W1's messages"
        assert ENDED == _interrupted(terminal)
        assert not _files(terminal).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_every_signal_that_ends_the_walk_ends_all(number: signal.Signals) -> None:
    with _walk("--step", "9") as terminal:
        terminal.expect("W9  ")
        started = terminal.started()
        os.kill(terminal.pid, number)
        assert -number == terminal.join(10)
        assert_gone(started)
        assert not _files(terminal).exists()


@pytest.mark.parametrize("step", ["W4", "W12"])
def test_on_a_given_cluster_ctrl_c_removes_what_the_walk_made(kafka: Kafka, step: str) -> None:
    words = ["--bootstrap-server", kafka.bootstrap, "--zookeeper", kafka.zookeeper.connect, "--step", step]
    with zookeeper_client(kafka.zookeeper.connect) as client, _walk(*words) as terminal:
        terminal.expect(f"{step}  ")

        def groups() -> list[str]:
            found = client.get_children("/consumers")
            return [name for name in found if name.startswith(f"{step.lower()}-")]

        def has_member() -> bool:
            """The coordinator makes this node for a group's first member; it stays as long as the group."""
            return any(client.exists(f"/consumers/{name}/owners") for name in groups())

        wait_until(has_member, 60, "a member of the walk's group")
        assert "^C\nInterrupted: the walk's topics and groups are removed.\n" == _interrupted(terminal)
        assert [] == groups()
        topics = [name for name in client.get_children("/brokers/topics") if name.startswith(f"{step.lower()}-")]
        wait_until(lambda: not any(client.exists(f"/brokers/topics/{name}") for name in topics), 30)


def test_children_are_found_by_their_parent() -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert child.pid in children()
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(child.pid))
    assert child.pid not in children()


def test_killing_when_there_is_nothing_to_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr("kafkalike.cli.walkthrough.interruption.children", lambda: [gone.pid])
    kill_children()
