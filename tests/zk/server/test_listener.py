"""Sockets, batches and threads: who is told what, when. Real processes are killed in test_crash.py."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection

from tests.zk.raw import OPEN, buffer, frame, string
from zk.server import listener
from zk.server.config import read
from zk.server.listener import Client, Server
from zk.wire import Op


class Thread:
    """The journal's thread, which works when it is told to."""

    made: list[Thread] = []

    def __init__(self, reactor: object) -> None:
        self.jobs: list[tuple[Callable[[], object], Callable[..., None]]] = []
        Thread.made.append(self)

    def do(self, job: Callable[[], object], done: Callable[..., None]) -> None:
        self.jobs.append((job, done))

    def step(self) -> None:
        """One job, and its report."""
        job, done = self.jobs.pop(0)
        try:
            result, error = job(), None
        except OSError as failure:
            result, error = None, failure
        done(result, error)

    def run(self) -> None:
        """All of them."""
        while self.jobs:
            self.step()

    def stop(self) -> None:
        """As the real one."""


class Transport(StringTransportWithDisconnection):
    """A connection's other end."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, port))

    def setTcpNoDelay(self, on: bool) -> None: ...

    def setTcpKeepAlive(self, on: bool) -> None: ...

    def abortConnection(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        if self.connected:
            super().loseConnection()


class Peer:
    """A client of a server in this process."""

    def __init__(self, server: Server, port: int, host: str = "127.0.0.1") -> None:
        protocol = server.buildProtocol(None)
        assert protocol is not None
        self.protocol: Client = protocol
        self.transport = Transport(port, host)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.xid = 0

    def data(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def handshake(self) -> None:
        self.data(frame(struct.pack("!iqiq", 0, 0, 30000, 0) + buffer(bytes(16)) + b"\0"))

    def call(self, op: int, record: bytes = b"") -> None:
        self.xid += 1
        self.data(frame(struct.pack("!ii", self.xid, op) + record))

    def heard(self) -> list[int]:
        """The xids of the replies since the last time; 0 for the handshake's."""
        data, xids = self.transport.value(), []
        self.transport.clear()
        while data:
            (length,) = struct.unpack_from("!i", data)
            xids.append(struct.unpack_from("!i", data, 4)[0])
            data = data[4 + length :]
        return xids


def create(path: str) -> bytes:
    return string(path) + buffer(b"") + OPEN + struct.pack("!i", 0)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes servers on this test's directory, one after the other."""
    monkeypatch.setattr(listener, "Writer", Thread)
    running: list[Server] = []

    def start(**settings: object) -> tuple[Server, Thread, list[str]]:
        for server in running:
            server.journal.close()
        failures: list[str] = []
        pairs = {"dataDir": str(tmp_path)} | {key: str(value) for key, value in settings.items()}
        clock = MemoryReactorClock()
        server = Server(clock, read(pairs), failures.append)
        server.now_ms = lambda: round(clock.seconds() * 1000)
        server.recover()
        server.start()
        running.append(server)
        return server, Thread.made[-1], failures

    yield start
    for server in running:
        server.journal.close()


def connected(server: Server, thread: Thread, port: int = 1) -> Peer:
    peer = Peer(server, port)
    peer.handshake()
    thread.run()
    assert [0] == peer.heard()
    return peer


def test_a_change_is_answered_when_it_is_durable(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    peer.call(Op.CREATE, create("/a"))
    assert [] == peer.heard()
    thread.step()
    assert [1] == peer.heard()


def test_a_read_is_answered_at_once_when_nothing_is_under_way(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    peer.call(Op.EXISTS, string("/") + b"\0")
    assert [1] == peer.heard() and [] == thread.jobs


def test_nobody_sees_what_is_not_durable(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    one, two = connected(server, thread, 1), connected(server, thread, 2)
    one.call(Op.CREATE, create("/a"))
    two.call(Op.EXISTS, string("/a") + b"\0")
    assert [] == two.heard()
    thread.step()
    assert [1] == one.heard() and [1] == two.heard()


def test_what_comes_during_a_sync_is_one_batch(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peers = [connected(server, thread, port) for port in range(5)]
    peers[0].call(Op.CREATE, create("/first"))
    for number, peer in enumerate(peers[1:]):
        peer.call(Op.CREATE, create(f"/n{number}"))
        peer.call(Op.EXISTS, string("/first") + b"\0")
    assert 1 == len(thread.jobs)
    thread.step()
    assert [1] == peers[0].heard() and [] == peers[1].heard()
    assert 1 == len(thread.jobs)
    thread.step()
    assert [[1, 2]] * 4 == [peer.heard() for peer in peers[1:]]


def test_a_read_waits_for_the_batch_it_has_seen_and_no_longer(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    one, two = connected(server, thread, 1), connected(server, thread, 2)
    one.call(Op.CREATE, create("/a"))
    two.call(Op.EXISTS, string("/a") + b"\0")
    one.call(Op.CREATE, create("/b"))
    two.call(Op.EXISTS, string("/b") + b"\0")
    thread.step()
    assert ([1], [1]) == (one.heard(), two.heard())
    thread.step()
    assert ([2], [2]) == (one.heard(), two.heard())


def test_a_failing_disk_ends_the_server_without_an_answer(
    started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, thread, failures = started()
    peer = connected(server, thread)

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("zk.server.journal.os.fdatasync", fail)
        peer.call(Op.CREATE, create("/a"))
        thread.run()
    assert [] == peer.heard() and 1 == len(failures)
    assert "Cannot write the transaction log" in failures[0] and "Input/output error" in failures[0]


def test_frames_may_come_in_any_pieces(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    data = b"".join(frame(struct.pack("!ii", xid, Op.PING)) for xid in (1, 2, 3))
    for byte in data:
        peer.data(bytes([byte]))
    assert [-2] * 3 == peer.heard()
    peer.data(data)
    assert [-2] * 3 == peer.heard()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\xff\xff\xff\xff", struct.pack("!i", 0x100000), b"\0\0\0\0"])
def test_garbage_closes_its_connection(started: Callable[..., Any], data: bytes) -> None:
    server, thread, _ = started()
    other, peer = connected(server, thread, 1), Peer(server, 2)
    peer.data(data)
    assert not peer.transport.connected and 1 == len(server.clients)
    other.call(Op.PING)
    assert [-2] == other.heard()


def test_a_word_is_answered_and_the_connection_closed(started: Callable[..., Any]) -> None:
    server, _, _ = started(**{"4lw.commands.whitelist": "ruok,srvr"})
    peer, refused = Peer(server, 1), Peer(server, 2)
    peer.data(b"ruok")
    assert b"imok" == peer.transport.value() and not peer.transport.connected
    refused.data(b"stat\n")
    assert b"stat is not executed because it is not in the whitelist.\n" == refused.transport.value()


def test_a_word_after_the_first_frame_is_garbage(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    peer.data(b"ruok")
    assert b"" == peer.transport.value() and not peer.transport.connected


def test_connections_of_one_address_are_limited(started: Callable[..., Any]) -> None:
    server, _, _ = started(maxClientCnxns=2)
    peers = [Peer(server, port) for port in range(3)]
    assert [True, True, False] == [peer.transport.connected for peer in peers]
    assert Peer(server, 4, host="10.0.0.9").transport.connected
    peers[0].transport.loseConnection()
    assert Peer(server, 5).transport.connected


def test_more_clients_than_descriptors_are_turned_away_with_one_line(
    started: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zk.server")
    server, _, _ = started()
    server.most_clients = 10
    peers = [Peer(server, port) for port in range(10)]
    assert [None, None] == [server.buildProtocol(None) for _ in range(2)]
    peers[0].transport.loseConnection()
    peers[0] = Peer(server, 11)
    assert server.buildProtocol(None) is None
    for peer in peers[:3]:
        peer.transport.loseConnection()
    Peer(server, 12)
    lines = [message for message in caplog.messages if "descriptors" in message]
    assert [
        "No file descriptors for more than 10 clients: others are turned away",
        "There are file descriptors for clients again",
    ] == lines


def test_a_connection_without_session_is_closed_after_a_while(started: Callable[..., Any]) -> None:
    server, thread, _ = started(tickTime=1000)
    silent, speaking = Peer(server, 1), connected(server, thread, 2)
    server.reactor.pump([0.1] * 100)
    assert silent.transport.connected
    server.reactor.pump([0.1] * 20)
    assert not silent.transport.connected and speaking.transport.connected


def test_after_a_stall_signs_of_life_are_read_before_anybody_expires(started: Callable[..., Any]) -> None:
    server, thread, _ = started(tickTime=1000)
    alive, dead = connected(server, thread, 1), connected(server, thread, 2)
    server.reactor.advance(32)
    alive.call(Op.PING)
    server.reactor.advance(0.1)
    thread.run()
    assert alive.transport.connected and not dead.transport.connected


def test_expiry_reaches_the_connection(started: Callable[..., Any]) -> None:
    server, thread, _ = started(tickTime=1000)
    peer = connected(server, thread)
    server.reactor.pump([0.1] * 310)
    assert peer.transport.connected and 1 == len(thread.jobs)
    thread.run()
    assert not peer.transport.connected and {} == server.standalone.sessions.by_id


def test_one_who_reads_slowly_is_not_read(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    peer.protocol.pauseProducing()
    assert "paused" == peer.transport.producerState
    peer.protocol.resumeProducing()
    assert "producing" == peer.transport.producerState


def test_one_who_never_reads_is_cut_off(started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_UNSENT", 2000)
    server, thread, _ = started()
    lazy, busy = connected(server, thread, 1), connected(server, thread, 2)
    lazy.call(Op.ADD_WATCH, string("/") + struct.pack("!i", 1))
    lazy.protocol.pauseProducing()
    for number in range(100):
        busy.call(Op.CREATE, create(f"/n{number}"))
        thread.run()
    assert not lazy.transport.connected and busy.transport.connected


def test_too_much_waiting_for_the_disk_is_not_read(
    started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_HELD", 100)
    server, thread, _ = started()
    peer = connected(server, thread)
    for number in range(5):
        peer.call(Op.CREATE, create(f"/n{number}"))
    assert "paused" == peer.transport.producerState
    thread.run()
    assert "producing" == peer.transport.producerState and [1, 2, 3, 4, 5] == peer.heard() and 0 == server.held


def test_snapshots_are_written_between_other_work(
    started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(listener, "SNAPSHOT_STEP", 7)
    server, thread, _ = started(snapCount=50)
    peer = connected(server, thread)
    for number in range(200):
        peer.call(Op.CREATE, create(f"/n{number}"))
        if number % 3 == 0:
            peer.call(Op.SET_DATA, string(f"/n{number // 2}") + buffer(b"new") + struct.pack("!i", -1))
        if number % 10 == 0:
            thread.step()
    thread.run()
    assert any(name.startswith("snapshot.") for name in os.listdir(tmp_path / "state"))
    expected = {path: (node.stat(), node.data) for path, node in server.standalone.tree.nodes.items()}
    zxid = server.standalone.zxid
    again, _, _ = started()
    assert expected == {path: (node.stat(), node.data) for path, node in again.standalone.tree.nodes.items()}
    assert zxid == again.standalone.zxid


def test_a_stop_finishes_what_was_received(started: Callable[..., Any]) -> None:
    server, thread, _ = started()
    peer = connected(server, thread)
    peer.call(Op.CREATE, create("/a"))
    stopped: list[bool] = []
    server.stop(lambda: stopped.append(True))
    assert [] == stopped
    thread.run()
    assert [True] == stopped and [1] == peer.heard() and not peer.transport.connected


def test_a_reconnection_before_the_first_is_durable(started: Callable[..., Any]) -> None:
    """Effects for connections that are gone are dropped."""
    server, thread, _ = started()
    peer = Peer(server, 1)
    peer.handshake()
    peer.transport.loseConnection()
    thread.run()
    assert b"" == peer.transport.value() and 1 == len(server.standalone.sessions.by_id)
