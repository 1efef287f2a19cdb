"""The reactor does for a connection what Twisted's does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.internet import protocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from kafkalike.net.reactor import Reactor

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
