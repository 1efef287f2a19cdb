"""The reactor does for a connection what Twisted's does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from twisted.internet import protocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from kafkalike.errors import ProtocolError
from kafkalike.net.connection import MAX_QUEUED
from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.listener import Listener
from kafkalike.net.reactor import HOLD_S, IDLE_WINDOW_S, LONG_MS, LONG_TURNS, READ, READ_BULK, TURN_TIME, Reactor, Time
from kafkalike.net.server import Server

BIG = b"x" * (8 << 20)


class Echo(protocol.Protocol):
    """Answers with more than a socket holds; what it does not like, it raises."""

    def __init__(self) -> None:
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("no")
        self.transport.write(BIG)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.lost.append(reason)


class Scene:
    """A reactor of its own, turned by hand, with one connection."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.echo = Echo()
        factory = protocol.Factory.forProtocol(lambda: self.echo)
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        self.client.setblocking(False)
        self.until(lambda: self.echo.transport is not None)

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
        raise AssertionError("it does not happen")

    def received(self) -> int:
        try:
            return len(self.client.recv(1 << 20))
        except BlockingIOError:
            return 0


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.client.close()
    made.port.stopListening()
    made.reactor.removeAll()


def test_what_is_written_arrives_though_the_socket_was_full(scene: Scene) -> None:
    total = 0

    def all_there() -> bool:
        nonlocal total
        total += scene.received()
        return total == len(BIG)

    scene.client.send(b"go")
    scene.until(all_there)


def test_the_end_of_a_connection_is_told(scene: Scene) -> None:
    scene.client.close()
    scene.until(lambda: bool(scene.echo.lost))
    assert scene.echo.lost[0].check(ConnectionDone)


def test_a_reset_is_told(scene: Scene) -> None:
    scene.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    scene.client.close()
    scene.until(lambda: bool(scene.echo.lost))
    assert scene.echo.lost[0].check(ConnectionLost)


def test_a_reader_that_raises_loses_its_connection_and_no_other(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.client.send(b"bad")
    scene.until(lambda: bool(scene.echo.lost))
    assert scene.echo.lost[0].check(ValueError)
    scene.echo = Echo()
    again = socket.create_connection(("127.0.0.1", scene.port.getHost().port))
    scene.until(lambda: scene.echo.transport is not None)
    again.close()
    scene.until(lambda: bool(scene.echo.lost))


class Answer:
    """A call that answers with what was asked as soon as it runs, once it has said so."""

    answer: list[bytes] | None = None
    timing = None

    def __init__(self, scene: Served, connection: object, frame: bytes) -> None:
        self.scene, self.connection, self.frame = scene, connection, frame

    def run(self) -> None:
        self.scene.run(bytes(self.frame[2:]))
        self.answer = [bytes(self.frame[2:])] if self.frame[2:] != b"big" else [bytes(1 + self.scene.longest)]
        self.connection.answered()  # type: ignore[attr-defined]


class Served:
    """A server on a reactor that is turned by hand, with a few clients."""

    def __init__(self, clients: int) -> None:
        self.reactor = Reactor()
        self.run: Callable[[bytes], None] = lambda asked: None
        self.longest = 0
        self.server = Server("PLAINTEXT", self.begin, 1 << 20, ConnectionLimits(100, 100, {}), overlapping=b"\0\0")
        self.listener = Listener(self.reactor, self.server, "127.0.0.1", 0, 10, 0)
        self.listener.accept()
        self.clients = [socket.create_connection(("127.0.0.1", self.listener.port)) for _ in range(clients)]
        for client in self.clients:
            client.setblocking(False)
        while len(self.server._connections) < clients:
            self.turn()

    def begin(self, connection: object, frame: bytes) -> Answer:
        if frame[2:] == b"bad":
            raise ProtocolError("no")
        return Answer(self, connection, frame)

    def turn(self) -> None:
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0.01)

    def ask(self, asked: bytes) -> None:
        for client in self.clients:
            client.send((2 + len(asked)).to_bytes(4, "big") + b"\0\0" + asked)

    def received(self, client: socket.socket) -> int | None:
        """How many bytes; None when the connection has ended."""
        try:
            return len(client.recv(1 << 20)) or None
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            return None

    def heard(self) -> list[bytes]:
        found = []
        for client in self.clients:
            try:
                found.append(client.recv(100))
            except BlockingIOError:
                found.append(b"")
        return found


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served(3)
    yield made
    for client in made.clients:
        client.close()
    made.listener.close()
    made.reactor.removeAll()


def test_the_answers_of_one_turn_leave_together(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafkalike.net.reactor.monotonic", lambda: 0.0)  # however long the machine takes
    before: list[list[bytes]] = []
    served.run = lambda asked: before.append(served.heard())
    served.ask(b"a")
    served.turn()
    assert before == [[b"", b"", b""]] * 3
    assert served.heard() == [b"a", b"a", b"a"]


def test_no_answer_waits_for_what_takes_long(served: Served) -> None:
    before: list[int] = []

    def slow(asked: bytes) -> None:
        before.append(sum(map(bool, served.heard())))
        time.sleep(2 * HOLD_S)

    served.run = slow
    served.ask(b"a")
    served.turn()
    assert before == [0, 1, 1]


def test_what_a_timer_answers_leaves_at_the_end_of_the_timers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafkalike.net.reactor.monotonic", lambda: 0.0)  # however long the machine takes
    connections = list(served.server._connections)
    for connection in connections:
        connection._open.append(Answer(served, connection, b"\0\0t"))
        served.reactor.callLater(0, connection._open[0].run)
    before: list[list[bytes]] = []
    served.run = lambda asked: before.append(served.heard())
    served.reactor.runUntilCurrent()
    assert before == [[b"", b"", b""]] * 3
    assert served.heard() == [b"t", b"t", b"t"]


def test_a_turn_that_keeps_others_waiting_is_counted(served: Served) -> None:
    long, turns = LONG_TURNS.of().count, TURN_TIME.of().count
    served.run = lambda asked: time.sleep(LONG_MS / 1000)
    served.ask(b"a")
    served.turn()
    served.turn()  # each turn is measured when the next begins
    assert turns + 2 <= TURN_TIME.of().count
    assert long + 1 <= LONG_TURNS.of().count
    assert max(TURN_TIME.of().newest) > LONG_MS


def test_the_idle_share_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("kafkalike.net.reactor.monotonic", lambda: now)
    watch = Time()
    assert 1.0 == watch.idle_share(), "nothing is known yet"
    now, watch.idle = 100.0 + IDLE_WINDOW_S, 0.25 * IDLE_WINDOW_S
    assert 0.25 == watch.idle_share()
    for _ in range(2):  # what was before is forgotten in two windows
        now, watch.idle = now + IDLE_WINDOW_S, watch.idle + IDLE_WINDOW_S
        share = watch.idle_share()
    assert 1.0 == share


def test_a_server_that_starts_in_a_turn_is_held_from_the_next(served: Served) -> None:
    late = Server("OTHER", served.begin, 1 << 20, ConnectionLimits(100, 100, {}))
    listener = Listener(served.reactor, late, "127.0.0.1", 0, 10, 0)
    served.run = lambda asked: listener.accept() if listener._port is None else None
    served.ask(b"a")
    served.turn()
    assert late.busy == served.server.busy == 0
    served.turn()
    assert late.busy == 0
    listener.close()


def test_a_request_that_nobody_can_read_ends_its_connection_alone_though_it_had_to_wait(served: Served) -> None:
    """It waited behind an answer that was to be sent first, with those of other connections."""
    served.longest = MAX_QUEUED
    first, *others = served.clients
    first.send(b"\0\0\0\5\0\0big\0\0\0\5\0\1bad")
    for other in others:
        other.send(b"\0\0\0\5\0\0big")
    ended = False
    left = [1 + served.longest] * 2
    for _ in range(10_000):
        served.turn()
        ended = ended or served.received(first) is None
        left = [some - (served.received(other) or 0) for some, other in zip(left, others, strict=True)]
        if ended and left == [0, 0]:
            break
    assert ended and left == [0, 0]
    assert len(served.server._connections) == 2


def test_a_fault_in_sending_ends_its_connection_alone(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    first, *others = served.server._connections

    def broken() -> bool:
        raise RuntimeError("a fault")

    first._outlet._send = broken
    late = Server("OTHER", served.begin, 1 << 20, ConnectionLimits(100, 100, {}))
    listener = Listener(served.reactor, late, "127.0.0.1", 0, 10, 0)
    listener.accept()
    served.ask(b"a")
    for _ in range(10):
        served.turn()
    assert sorted(served.received(client) or 0 for client in served.clients) == [0, 1, 1]
    assert served.server._connections == set(others) and served.server.busy == late.busy == 0
    assert "Closing the connection from 127.0.0.1" in caplog.text
    listener.close()


def test_what_is_held_back_for_a_connection_that_is_aborted_is_not_sent(served: Served) -> None:
    """What its ranges stand for may be gone before the turn ends."""
    sent: list[object] = []
    released: list[object] = []

    class Range:
        position, size = 0, 10

        @property
        def fd(self) -> int:
            sent.append(self)
            return -1

        def retain(self) -> None: ...

        def release(self) -> None:
            released.append(self)

    first, *others = served.server._connections
    call = Answer(served, first, b"")
    call.answer = [Range()]
    served.server.busy += 1
    first._open.append(call)
    first.answered()
    served.server.abort_senders(lambda item: True)
    served.server.busy -= 1
    served.server.flush()
    assert not sent and not released
    for _ in range(10):
        served.turn()
    assert not sent and len(released) == 1 and served.server._connections == set(others)


def test_a_connection_with_large_frames_is_read_more_at_once(served: Served) -> None:
    first, *_ = served.clients
    heard: list[bytes] = []
    served.run = heard.append
    asked = bytes(10 * READ)
    unsent = memoryview((2 + len(asked)).to_bytes(4, "big") + b"\0\0" + asked)
    while unsent:
        unsent = unsent[first.send(unsent) :]  # as much as the socket takes, which is more than is read at once
        served.turn()
    for _ in range(100):
        served.turn()
    assert heard == [asked]
    sizes = sorted(connection.transport.bufferSize for connection in served.server._connections)
    assert sizes == [READ, READ, READ_BULK]


def test_a_connection_with_many_small_frames_is_not(served: Served) -> None:
    """What is read at once is dealt with at once."""
    small = b"\0\0\0\x42\0\0" + bytes(64)
    unsent = memoryview(small * (4 * READ // len(small)))
    while unsent:
        unsent = unsent[served.clients[0].send(unsent) :]
        served.turn()
    assert {connection.transport.bufferSize for connection in served.server._connections} == {READ}
