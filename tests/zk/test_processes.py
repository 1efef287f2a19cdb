"""Which command lines are a server's. How processes are ended is in tests/cli/test_server_stop.py."""

from __future__ import annotations

import os
import signal

import pytest

from zk.processes import running, server_arguments, signal_of

MODULE, SCRIPT = "zk.server.main", "zookeeper-server-start"


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("python -m zk.server.main a b", ["a", "b"]),
        ("/x/.venv/bin/python3.11 -m zk.server.main", []),
        ("/usr/bin/python3 -X dev -u -m zk.server.main a", ["a"]),
        ("/x/bin/python /x/bin/zookeeper-server-start a", ["a"]),
        ("python -m zk.shell -m zk.server.main", None),
        ("python -c pass -m zk.server.main", None),
        ("grep -m zk.server.main", None),
        ("strace -f python -m zk.server.main", None),
        ("vim zookeeper-server-start", None),
        ("python script.py zookeeper-server-start", None),
        ("python", None),
        ("python -m", None),
        ("", None),
    ],
)
def test_a_servers_command_line(line: str, arguments: list[str] | None) -> None:
    assert arguments == server_arguments(line.split(), MODULE, SCRIPT)


def test_no_handle_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with running(MODULE, SCRIPT) as found:
        assert os.getpid() not in [process.pid for process in found]
    assert before == len(os.listdir("/proc/self/fd"))


def test_signals_by_name() -> None:
    found = [signal_of(name) for name in (None, "TERM", "SIGKILL", "int", "9")]
    assert [signal.SIGTERM, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL] == found
    for name in ("X", "0", "999"):
        with pytest.raises(ValueError, match=name):
            signal_of(name)
