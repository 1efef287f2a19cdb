"""Ports: bound, listening, lost."""

import socket

import pytest
from twisted.internet import reactor

from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.listener import Listener
from kafkalike.net.server import Server


def bound() -> Listener:
    server = Server("PLAINTEXT", None, 1 << 20, ConnectionLimits(9, 9, {}))
    return Listener(reactor, server, "127.0.0.1", 0, 10, 0)


def test_a_listener_refuses_connections_until_it_listens():
    listener = bound()
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.port), 5)
        listener.listen()
        socket.create_connection(("127.0.0.1", listener.port), 5).close()
    finally:
        listener.close()


def test_a_port_that_was_lost_between_bind_and_listen_is_one_clear_line():
    listener = bound()
    with (
        socket.create_server(("127.0.0.1", listener.port)),
        pytest.raises(OSError, match=rf"failed to bind to 127.0.0.1:{listener.port}: Address already in use\.$"),
    ):
        listener.listen()


def test_a_busy_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"failed to bind to 127.0.0.1:{taken}: Address already in use\.$"):
            Listener(reactor, None, "127.0.0.1", taken, 10, 0)
