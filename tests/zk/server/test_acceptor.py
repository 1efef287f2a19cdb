"""A port that waits when there is no file descriptor for who comes."""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from tests.reactor import on_reactor, until
from zk.server.acceptor import Acceptor


class Guests(Factory):
    """Everybody who was let in."""

    noisy = False

    def __init__(self) -> None:
        self.here: list[Any] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        guest = Protocol()
        guest.connectionMade = lambda: self.here.append(guest)  # type: ignore[method-assign]
        return guest


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(100)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
@on_reactor
async def test_without_descriptors_it_pauses_turns_nobody_away_and_says_so_once(
    error: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "zk.server")
    tries = 0
    accept = socket.socket.accept

    def exhausted(self: socket.socket) -> Any:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError(error, os.strerror(error))
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", exhausted)
    guests = Guests()
    port = Acceptor(0, guests, 50, "127.0.0.1", reactor)
    port.startListening()
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as client:
        await until(lambda: guests.here)
        assert 4 <= tries <= 6, "it did not ask all the time"
        guests.here[0].transport.write(b"welcome")
        client.setblocking(False)
        await until(lambda: received(client))
        await until(lambda: len(caplog.messages) == 2)
    assert [
        f"No file descriptor for another connection ({os.strerror(error)}): accepting pauses",
        "There are file descriptors for connections again",
    ] == caplog.messages
    await port.stopListening()


@on_reactor
async def test_a_port_that_is_closed_while_it_pauses_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(self: socket.socket) -> Any:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    guests = Guests()
    port = Acceptor(0, guests, 50, "127.0.0.1", reactor)
    port.startListening()
    monkeypatch.setattr(socket.socket, "accept", exhausted)
    with socket.create_connection(("127.0.0.1", port.getHost().port)):
        await until(lambda: port not in reactor.getReaders())  # type: ignore[attr-defined]
        await port.stopListening()
        monkeypatch.undo()
        later: list[bool] = []
        reactor.callLater(0.3, later.append, True)  # type: ignore[attr-defined]
        await until(lambda: later)
        assert port not in reactor.getReaders() and not guests.here  # type: ignore[attr-defined]
