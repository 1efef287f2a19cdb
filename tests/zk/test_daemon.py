"""A server in the background, with a few lines of Python for a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, wait_until
from zk import daemon

START = """
import os, signal, sys, time
from zk.daemon import detach
waiting = detach(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "log")
print("in the background", flush=True)
"""


def start(directory: Path, then: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", START + then],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_returns_when_the_server_serves(tmp_path: Path) -> None:
    done = start(tmp_path, "waiting.serves(); open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    assert "in the background\n" == (tmp_path / "log").read_text()
    assert pid == os.getsid(pid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("then", "status", "told"),
    [
        ("waiting.fails('no such thing'); sys.exit(3)", 3, "no such thing"),
        ("sys.exit(4)", 4, "ended with status 4 before it served: see log"),
        ("os.kill(os.getpid(), 9)", 1, "ended by SIGKILL before it served: see log"),
        ("sys.exit(0)", 1, "stopped before it served"),
    ],
)
def test_the_command_says_why_the_server_does_not_serve(tmp_path: Path, then: str, status: int, told: str) -> None:
    done = start(tmp_path, then)
    assert (status, "", f"{told}\n") == (done.returncode, done.stdout, done.stderr)


def test_who_interrupts_the_command_ends_the_server(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START + "time.sleep(60)"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as command:
        wait_until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
        command.send_signal(signal.SIGTERM)
        assert 1 == command.wait(30)
        assert command.stderr is not None and "stopped before it served\n" == command.stderr.read()


def test_a_signal_that_comes_when_the_server_has_ended_goes_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another process's by then."""
    handlers: list[Any] = []
    monkeypatch.setattr(daemon, "_on_signals", handlers.append)
    with subprocess.Popen(["false"]) as child:
        heard, told = os.pipe()
        os.close(told)
        assert 1 == daemon._wait(child.pid, heard, "log")
        os.close(heard)
        handlers[0](signal.SIGTERM, None)
