"""The listeners of a configuration: bound together or not at all, announced with the ports that were bound."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kafkalike.broker.listeners import Listeners
from kafkalike.config import ConfigException, broker_config
from kafkalike.net.file_descriptors import FileDescriptors


def listeners(text: str, **more: str) -> Listeners:
    config, _ = broker_config({"zookeeper.connect": "z", "listeners": text} | more)
    dispatch: Any = SimpleNamespace(begin=None)
    return Listeners(config, dispatch, FileDescriptors(), reactor)


def test_what_is_advertised_has_the_port_that_was_bound() -> None:
    bound = listeners("PLAINTEXT://127.0.0.1:0")
    (endpoint,) = bound.advertised()
    assert "127.0.0.1" == endpoint.host and endpoint.port > 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", endpoint.port), 1)
    bound.listen()
    socket.create_connection(("127.0.0.1", endpoint.port), 1).close()
    finished: list[None] = []
    Deferred.fromCoroutine(bound.close()).addCallback(finished.append)
    assert [None] == finished
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", endpoint.port), 1)


def test_a_protocol_that_is_not_supported_is_refused_before_anything_is_bound() -> None:
    with pytest.raises(ConfigException, match="Listener SSL needs SSL, which is not supported yet"):
        listeners("SSL://127.0.0.1:0", **{"security.inter.broker.protocol": "SSL"})


def test_an_address_that_is_taken_leaves_nothing_bound() -> None:
    with socket.socket() as taken, socket.socket() as other:
        for each in (taken, other):
            each.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        text = f"PLAINTEXT://127.0.0.1:{free},OTHER://127.0.0.1:{taken.getsockname()[1]}"
        protocols = "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT"
        with pytest.raises(OSError, match="Socket server failed to bind"):
            listeners(text, **{"listener.security.protocol.map": protocols})
        with socket.socket() as again:
            again.bind(("127.0.0.1", free))
