"""The broker's listeners: bound at the start, served at its end, announced with the ports that were bound."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from twisted.internet import defer

from kafkalike.broker import request_metrics
from kafkalike.broker.dispatch import Dispatch
from kafkalike.config import Config, ConfigException, Endpoint, connections_by_host, unbindable
from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.file_descriptors import FileDescriptors
from kafkalike.net.listener import Listener
from kafkalike.net.server import Server
from kafkalike.protocol.messages import produce
from kafkalike.storage.log import Log

log = logging.getLogger("kafka.server.KafkaServer")

# How a request begins that may overlap with others of its kind.
OVERLAPPING = produce.API_KEY.to_bytes(2, "big")


class Listeners:
    """The broker's listeners, which are bound when this is constructed."""

    def __init__(self, config: Config, dispatch: Dispatch, descriptors: FileDescriptors, reactor: Any) -> None:
        """ConfigException or OSError, each one line, if an address cannot be had."""
        self._config = config
        self._bound: list[Listener] = []
        broken = unbindable(config)
        if broken is not None:
            raise ConfigException(broken.text)
        limits = ConnectionLimits(*self._limits())
        buffers = (config["socket.send.buffer.bytes"], config["socket.receive.buffer.bytes"])
        longest, backlog = config["socket.request.max.bytes"], config["socket.listen.backlog.size"]
        idle_ms = config["connections.max.idle.ms"]
        try:
            for at in config.listeners:
                server = Server(
                    at.listener,
                    dispatch.begin,
                    longest,
                    limits,
                    buffers,
                    descriptors,
                    request_metrics.sent,
                    overlapping=OVERLAPPING,
                )
                self._bound.append(Listener(reactor, server, at.host, at.port, backlog, idle_ms))
        except OSError:
            for listener in self._bound:
                listener.close()
            raise

    def _limits(self) -> tuple[int, int, dict[str, int]]:
        config = self._config
        overrides = connections_by_host(config["max.connections.per.ip.overrides"])
        return config["max.connections"], config["max.connections.per.ip"], overrides

    def configure(self) -> None:
        """The configuration has changed: its limits hold for connections that come from now on."""
        for listener in self._bound:
            listener.server.limit(*self._limits())

    def advertised(self) -> list[Endpoint]:
        """The advertised endpoints, with the ports that were bound and this machine's name for wildcards."""
        ports = {listener.server.listener: listener.port for listener in self._bound}
        return [
            endpoint._replace(host=endpoint.host or _own_name(), port=endpoint.port or ports[endpoint.listener])
            for endpoint in self._config.advertised_listeners
        ]

    def listen(self) -> None:
        """Lets clients connect, and wait: whoever sees the broker's registration can connect."""
        for listener in self._bound:
            listener.listen()

    def accept(self) -> None:
        """Clients are served."""
        for listener in self._bound:
            listener.accept()
            log.info("Awaiting socket connections on %s:%d.", listener.host or "0.0.0.0", listener.port)

    async def close(self) -> None:
        """Closes the listeners and every connection."""
        for listener in self._bound:
            await defer.maybeDeferred(listener.close)
            listener.server.abort_all()

    def abort_readers(self, cut: Log) -> None:
        """Ends the connections that have records of a log in their output: they are about to be cut off."""
        for listener in self._bound:
            listener.server.abort_senders(lambda item: item.segment.path.startswith(cut.path + os.sep))


def _own_name() -> str:
    """The name of this machine if clients here can resolve it, else the loopback address."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "127.0.0.1"
    return name
