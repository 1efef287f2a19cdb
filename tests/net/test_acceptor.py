"""A port that pauses."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from kafkalike.net.acceptor import Acceptor
from kafkalike.net.file_descriptors import FileDescriptors
from tests.reactor import on_reactor, until


class Guests(Factory):
    """Everybody who was let in."""

    noisy = False

    def __init__(self) -> None:
        self.here: list[Any] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        guest = Protocol()
        guest.connectionMade = lambda: self.here.append(guest)  # type: ignore[method-assign]
        return guest


class Budget(FileDescriptors):
    """Lets in as many as it is told."""

    room = 0

    def admits(self) -> bool:
        return len(self.guests.here) < self.room

    guests: Guests


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(50)
        made.setblocking(False)
        yield made


def arrive(listening: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(listening.getsockname()) for _ in range(count)]


def opened(listening: socket.socket, room: int) -> tuple[Acceptor, Budget]:
    from twisted.internet import reactor

    budget = Budget()
    budget.guests, budget.room = Guests(), room
    return Acceptor.adopt(reactor, listening, budget.guests, budget), budget


@on_reactor
async def test_who_finds_no_room_waits_and_is_let_in_when_there_is_some(listening: socket.socket) -> None:
    port, budget = opened(listening, 3)
    clients = arrive(listening, 8)
    await until(lambda: len(budget.guests.here) == 3)
    await until(lambda: port not in port.reactor.getReaders())
    budget.room = 6
    await until(lambda: len(budget.guests.here) == 6)
    budget.room = 100
    await until(lambda: len(budget.guests.here) == 8)
    await port.stopListening()
    for client in clients:
        client.close()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
@on_reactor
async def test_no_descriptor_pauses_accepting_and_ends_nobody(
    listening: socket.socket, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Exhausted:
        """The listening socket of a process that has no descriptor left."""

        tries = 0

        def accept(self) -> Any:
            self.tries += 1
            if self.tries < 4:
                raise OSError(error, os.strerror(error))
            return listening.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listening, name)

    port, budget = opened(listening, 100)
    port.socket = exhausted = Exhausted()
    (client,) = arrive(listening, 1)
    await until(lambda: len(budget.guests.here) == 1)
    assert 4 <= exhausted.tries <= 5
    assert 1 == sum(os.strerror(error) in message for message in caplog.messages), caplog.messages
    await port.stopListening()
    client.close()


@on_reactor
async def test_a_machine_without_descriptors_is_told_once_and_that_there_are_some_again_too(
    listening: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """Though this process has opened few files itself, so that by its own count there are plenty."""

    class Exhausted:
        """The listening socket while the machine has one descriptor now and then."""

        outcomes = [False, False, True, False, False, True, True]

        def accept(self) -> Any:
            if self.outcomes and not self.outcomes.pop(0):
                raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
            return listening.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listening, name)

    from twisted.internet import reactor

    caplog.set_level(logging.INFO)
    guests = Guests()
    clients = arrive(listening, 3)
    port = Acceptor.adopt(reactor, listening, guests, FileDescriptors())
    port.socket = Exhausted()
    await until(lambda: len(guests.here) == 3)
    await until(lambda: len(caplog.messages) > 1)
    await port.stopListening()
    assert [
        "No file descriptors for more connections (ulimit -n is 0, Too many open files in system): accepting pauses.",
        "There are file descriptors again: connections are accepted.",
    ] == caplog.messages
    for client in clients:
        client.close()


@on_reactor
async def test_a_port_that_is_closed_while_it_pauses_stays_closed(listening: socket.socket) -> None:
    port, budget = opened(listening, 0)
    (client,) = arrive(listening, 1)
    await until(lambda: port not in port.reactor.getReaders())
    await port.stopListening()
    budget.room = 1
    port._try_again()
    assert port not in port.reactor.getReaders() and [] == budget.guests.here
    client.close()
