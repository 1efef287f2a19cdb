"""Outgoing connections: pipelined requests, lost connections, silence, nobody there."""

import socket
import struct

import pytest
from twisted.internet import defer, reactor

from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.listener import Listener
from kafkalike.net.outlet import PlainOutlet
from kafkalike.net.peer import Peer
from kafkalike.net.server import Server
from kafkalike.protocol.messages import heartbeat
from tests import reactor as shared
from tests.net.outlets import WritingOutlet


class Remote:
    """The other side: answers what it is told to answer, in order."""

    def __init__(self):
        self.calls = []
        self.arrived = defer.Deferred()

    def begin(self, connection, frame):
        remote = self

        class Call:
            answer = None
            timing = None
            correlation_id = struct.unpack_from(">i", frame, 4)[0]

            def run(self):
                remote.calls.append(self)
                arrived, remote.arrived = remote.arrived, defer.Deferred()
                arrived.callback(None)

            def reply(self, error=0, correlation_id=None):
                number = self.correlation_id if correlation_id is None else correlation_id
                body = struct.pack(">i", number) + heartbeat.Response(error_code=error).encode(0)
                self.answer = [struct.pack(">i", len(body)) + body]
                connection.answered()

            def hang_up(self):
                connection.abort()

        return Call()


@pytest.fixture
def remote():
    return Remote()


@pytest.fixture
def server(remote):
    made = Server("PLAINTEXT", remote.begin, 1 << 20, ConnectionLimits(100, 100, {}))
    listener = shared.run(Listener, reactor, made, "127.0.0.1", 0, 10, 600_000)
    shared.run(listener.accept)
    yield listener
    shared.run(listener.close)
    shared.run(made.abort_all)


@pytest.fixture(params=[PlainOutlet, WritingOutlet])
def outlet(request):
    return request.param


@pytest.fixture
def peer(server, outlet):
    lost = []
    peer = Peer(
        reactor,
        "127.0.0.1",
        server.port,
        "test",
        timeout_ms=300,
        on_lost=lambda was, why: lost.append((was, why)),
        outlet=outlet,
    )
    peer.heard = lost
    yield peer
    shared.run(peer.close)


def ask(peer):
    return peer.request(heartbeat, 0, heartbeat.Request(group_id="g", member_id="m"))


def test_an_answer_belongs_to_its_request(peer, remote):
    async def scenario():
        answer = ask(peer)
        await remote.arrived
        remote.calls[0].reply(error=25)
        return await answer

    assert shared.run(scenario).error_code == 25


def test_a_lost_connection_fails_what_was_asked_and_the_next_request_makes_another(peer, remote):
    async def scenario():
        answer = ask(peer)
        await remote.arrived
        remote.calls[0].hang_up()
        with pytest.raises(ConnectionError):
            await answer
        again = ask(peer)
        await remote.arrived
        remote.calls[1].reply()
        return await again

    assert shared.run(scenario).error_code == 0
    assert [was_connected for was_connected, _ in peer.heard] == [True]


def test_silence_ends_the_connection(peer):
    async def scenario():
        with pytest.raises(ConnectionError):
            await ask(peer)

    shared.run(scenario)
    assert [was_connected for was_connected, _ in peer.heard] == [True]


def test_nobody_there_is_an_error_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    lost = []

    async def scenario():
        peer = Peer(reactor, "127.0.0.1", port, "test", on_lost=lambda was, why: lost.append(was))
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} cannot be reached"):
            await ask(peer)

    shared.run(scenario)
    assert lost == [False]


def test_an_answer_to_another_question_breaks_the_connection(peer, remote):
    async def scenario():
        answer = ask(peer)
        await remote.arrived
        remote.calls[0].reply(correlation_id=12345)
        with pytest.raises(ConnectionError):
            await answer

    shared.run(scenario)


def test_a_closed_peer_sends_nothing(peer):
    async def scenario():
        peer.close()
        with pytest.raises(ConnectionError):
            await ask(peer)

    shared.run(scenario)
    assert peer.heard == []


def test_more_than_the_socket_takes_arrives_in_order(server, remote, outlet):
    """The other side reads no more until it has answered what it has: most waits with the transport."""
    count = 600
    lost = []

    async def scenario():
        peer = Peer(reactor, "127.0.0.1", server.port, "test", on_lost=lambda was, why: lost.append(was), outlet=outlet)
        members = [f"{number:030000d}" for number in range(count)]
        answers = [peer.request(heartbeat, 0, heartbeat.Request(group_id="g", member_id=each)) for each in members]
        for number in range(count):
            while len(remote.calls) <= number:
                await remote.arrived
            remote.calls[number].reply(error=number % 100)
        late = ask(peer)
        while len(remote.calls) <= count:
            await remote.arrived
        remote.calls[count].reply(error=7)
        codes = [(await answer).error_code for answer in (*answers, late)]
        peer.close()
        return codes

    assert shared.run(scenario) == [number % 100 for number in range(count)] + [7]
    assert lost == []
