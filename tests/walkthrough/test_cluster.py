"""The walk's own cluster: on ports that are its own, whoever has the usual ones."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kafkalike.cli.walkthrough import cluster
from kafkalike.cli.walkthrough.cluster import OwnCluster, Server, Trouble, free_port, is_taken, listens
from tests.servers import wait_until


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that stand for 2181 and 9092, 9093: other walks run on this machine."""
    monkeypatch.setattr(cluster, "ZOOKEEPER_PORT", free_port())
    first = next(port for port in iter(free_port, 0) if not is_taken(port + 1))
    monkeypatch.setattr(cluster, "BROKER_PORT", first)


@pytest.fixture
def own(said: list[str]) -> Iterator[OwnCluster]:
    own = OwnCluster(2, usual_ports=True, tell=said.append)
    yield own
    own.stop()
    own.remove()


def test_the_usual_ports_are_taken_when_they_are_free(own: OwnCluster, said: list[str]) -> None:
    own.start()
    assert f"127.0.0.1:{cluster.ZOOKEEPER_PORT}" == own.connect
    assert f"127.0.0.1:{cluster.BROKER_PORT},127.0.0.1:{cluster.BROKER_PORT + 1}" == own.bootstrap
    assert re.match(rf"Starting zookeeper on {own.connect} \.* done\nStarting broker-1 on ", "".join(said))
    assert "is taken" not in "".join(said)


def test_two_clusters_at_once_each_have_their_own_servers(own: OwnCluster, said: list[str]) -> None:
    own.start()
    words: list[str] = []
    other = OwnCluster(2, usual_ports=True, tell=words.append)
    try:
        other.start()
        assert f"{cluster.ZOOKEEPER_PORT} is taken, using {other.zookeeper.port}.\n" == words[0]
        assert f"{cluster.BROKER_PORT} is taken, using {other.brokers[1].port}.\n" in words
        assert not set(_ports(own)) & set(_ports(other))
    finally:
        other.stop()
        other.remove()
    assert own.zookeeper.listens(), "it was not the other's to end"


def _ports(own: OwnCluster) -> list[int]:
    return [own.zookeeper.port, *(broker.port for broker in own.brokers.values())]


def test_a_port_that_somebody_takes_while_the_server_starts_is_left_to_them(
    own: OwnCluster, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers there is not taken for the own server, which has ended."""
    launch = Server.launch
    with closing(socket.socket()) as thief:
        thief.bind(("127.0.0.1", cluster.ZOOKEEPER_PORT))

        def late(server: Server) -> None:
            if server is own.zookeeper:
                thief.listen()
            launch(server)

        monkeypatch.setattr(
            cluster, "is_taken", lambda port: port == cluster.ZOOKEEPER_PORT and bool(own.zookeeper.process)
        )
        monkeypatch.setattr(Server, "launch", late)
        own.start()
        assert cluster.ZOOKEEPER_PORT != own.zookeeper.port
        assert f"{cluster.ZOOKEEPER_PORT} is taken, using {own.zookeeper.port}.\n" in said


def test_a_server_that_ends_is_told_with_its_last_words(own: OwnCluster, said: list[str]) -> None:
    own.zookeeper.command = lambda port: ["-c", "raise SystemExit('no luck today')"]
    with pytest.raises(Trouble, match="The zookeeper ended with code 1: no luck today"):
        own.start()
    assert "".join(said).endswith("failed\n")


def test_listening_is_asked_of_the_process() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            assert listens(os.getpid(), port)
            assert not listens(other.pid, port), "somebody listens there, but not this process"
            assert not listens(os.getpid(), free_port())
        finally:
            other.kill()
            other.communicate()
        wait_until(lambda: not Path(f"/proc/{other.pid}").exists())
        assert not listens(other.pid, port)
