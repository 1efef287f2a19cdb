"""Is a broker there?"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import protocol, reactor

from kafkalike.broker.peer_probe import PAUSE_SECONDS, answers, refuses
from kafkalike.protocol.messages import api_versions
from tests.reactor import run
from tests.servers import free_port


class Broker(protocol.Protocol):
    """Answers ApiVersions, or is deaf."""

    deaf = False

    def dataReceived(self, data: bytes) -> None:
        if not self.deaf:
            body = data[8:12] + api_versions.Response().encode(0)
            self.transport.write(struct.pack(">i", len(body)) + body)  # type: ignore[union-attr]


class DeafBroker(Broker):
    deaf = True


@pytest.fixture(params=[Broker, DeafBroker])
def port(request: pytest.FixtureRequest) -> Iterator[tuple[int, bool]]:
    factory = protocol.Factory.forProtocol(request.param)
    listening: Any = run(reactor.listenTCP, 0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
    yield listening.getHost().port, request.param.deaf
    run(listening.stopListening)


def test_who_listens_does_not_refuse_and_answers_if_it_can(port: tuple[int, bool]) -> None:
    number, deaf = port
    assert not run(refuses, reactor, "127.0.0.1", number)
    assert run(answers, reactor, "127.0.0.1", number, "1") is not deaf


def test_nobody_refuses_twice_with_a_pause() -> None:
    number = free_port()
    begun = time.monotonic()
    assert run(refuses, reactor, "127.0.0.1", number)
    assert time.monotonic() - begun >= PAUSE_SECONDS
    assert not run(answers, reactor, "127.0.0.1", number, "1")


def test_silence_is_no_refusal() -> None:
    """A queue that is full drops what comes, as a cut cable does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        number = listening.getsockname()[1]
        waiting = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", number))
            waiting.append(s)
        assert not run(refuses, reactor, "127.0.0.1", number)
        for s in waiting:
            s.close()
