"""The connections of one listener: who is let in, and who is closed for being silent."""

import socket

import pytest
from twisted.internet import reactor

from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.listener import IDLE_TICKS, Listener
from kafkalike.net.server import Server
from tests import reactor as shared


class Answer:
    """Answers every request with what is in it."""

    answer = None
    timing = None

    def __init__(self, connection, frame):
        self.connection, self.frame = connection, frame

    def run(self):
        self.answer = [bytes(self.frame)]
        self.connection.answered()


@pytest.fixture
def connect():
    opened = []
    server = Server("PLAINTEXT", Answer, 1 << 20, ConnectionLimits(100, 2, {}))
    listener = shared.run(Listener, reactor, server, "127.0.0.1", 0, 10, 600_000)
    shared.run(listener.accept)

    def open_one():
        client = socket.create_connection(("127.0.0.1", listener.port), timeout=10)
        opened.append(client)
        return client

    open_one.server = server
    yield open_one
    for client in opened:
        client.close()
    shared.run(listener.close)
    shared.run(server.abort_all)


def is_answered(client):
    client.sendall(b"\0\0\0\3yes")
    return client.recv(3) == b"yes"


def is_closed(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_too_many_connections_from_one_address_are_closed(connect):
    first, second = connect(), connect()
    assert is_answered(first) and is_answered(second)
    try:
        third = connect()
    except ConnectionResetError:
        return
    assert is_closed(third)


def test_only_silent_connections_are_idle(connect):
    silent, busy = connect(), connect()
    assert is_answered(silent) and is_answered(busy)
    for _ in range(IDLE_TICKS):
        shared.run(connect.server.close_idle, IDLE_TICKS)
    assert is_answered(busy)
    shared.run(connect.server.close_idle, IDLE_TICKS)
    assert is_closed(silent)
    assert is_answered(busy)
