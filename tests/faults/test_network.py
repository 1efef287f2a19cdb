"""Cuts cut what they say, in the direction that they say, and heal."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.network import Network, ip, require_namespaces
from tests.servers import wait_until

ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 7777)) as server:
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        while data := connection.recv(100):
            connection.sendall(data)
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 7777), 1) as s:
    s.sendall(b"hello")
    sys.exit(s.recv(100) != b"hello")
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    require_namespaces()
    with Network() as made:
        servers = []
        for host in ("a", "b"):
            words = [*made.around(host), sys.executable, "-c", ECHO, made.add(host)]
            servers.append(subprocess.Popen(words, stdout=subprocess.PIPE))
            assert b"ready\n" == servers[-1].stdout.readline()
        yield made
        for server in servers:
            server.kill()
            server.wait()
            server.stdout.close()
    assert made.name not in ip("netns") + ip("link") + ip("route")


def talks(network: Network, a: str, b: str) -> bool:
    words = [*network.around(a), sys.executable, "-c", ASK, network.addresses[b]]
    return subprocess.run(words, capture_output=True).returncode == 0


def test_hosts_talk_until_they_are_cut_off_and_again_when_healed(network: Network) -> None:
    assert talks(network, "a", "b") and talks(network, "b", "a")
    network.cut("a", "b")
    assert not talks(network, "a", "b") and not talks(network, "b", "a")
    with socket.create_connection((network.addresses["a"], 7777), 1):
        pass
    network.heal()
    assert talks(network, "a", "b") and talks(network, "b", "a")


def test_a_one_way_cut_lets_the_other_direction_through(network: Network) -> None:
    with socket.create_connection((network.addresses["a"], 7777), 1) as s:
        s.settimeout(1)
        s.sendall(b"x")
        assert b"x" == s.recv(1)
        network.cut("a", "test", one_way=True)
        s.sendall(b"y")  # arrives; the answer, and all further ones, do not
        with pytest.raises(TimeoutError):
            s.recv(1)
        network.heal("a")
        # The connection has survived: its packets are sent again.
        wait_until(lambda: s.recv(1) == b"y", 10)
