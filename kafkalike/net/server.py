"""The accepted connections of one listener: who is admitted, who was silent for too long, and when output leaves."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import protocol

from kafkalike.metrics import Gauge, Meter
from kafkalike.net.connection import Call, Connection, Timings
from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.file_descriptors import FileDescriptors
from kafkalike.net.outlet import Outlet, PlainOutlet

log = logging.getLogger("kafka.network.SocketServer")

# socket-server-metrics, as exporters show it; Kafka has it by listener and network thread.
CONNECTIONS = Gauge("kafka_server_socketservermetrics_connection_count", "listener")
CREATED = Meter("kafka_server_socketservermetrics_connection_creation_total", "listener")
CLOSED = Meter("kafka_server_socketservermetrics_connection_close_total", "listener")
QUEUED_RESPONSES = Gauge("kafka.network:type=RequestChannel,name=ResponseQueueSize")
QUEUED_REQUESTS = Gauge("kafka.network:type=RequestChannel,name=RequestQueueSize")


class Server(protocol.Factory):
    """The connections that came through one listener."""

    noisy = False

    def __init__(
        self,
        listener: str,
        begin: Callable[[Connection, Any], Call],
        max_frame: int,
        limits: ConnectionLimits,
        buffers: tuple[int, int] = (-1, -1),
        descriptors: FileDescriptors | None = None,
        sent: Callable[[Timings, float], None] = lambda timings, began: None,
        overlapping: bytes = b"",
        outlet: Callable[[Any, Connection], Outlet] = PlainOutlet,
    ) -> None:
        """`begin`, `sent`, `overlapping`: see net/connection.py. `outlet` makes the outlet of each connection."""
        self.sent = sent
        self.listener = listener
        self.begin = begin
        self.max_frame = max_frame
        self.overlapping = overlapping
        self.outlet = outlet
        self.buffers = ((socket.SO_SNDBUF, buffers[0]), (socket.SO_RCVBUF, buffers[1]))
        self.busy = 0  # how many hold output back (this server, and the reactor); it is flushed when none does
        self.dirty: list[Connection] = []
        self.descriptors = descriptors or FileDescriptors()
        self._limits = limits
        self._connections: set[Connection] = set()
        CONNECTIONS.watch(self, lambda server: [((server.listener,), len(server._connections))])
        QUEUED_RESPONSES.watch(self, lambda server: sum(each.unsent for each in server._connections))
        QUEUED_REQUESTS.watch(self, lambda server: sum(each.waiting for each in server._connections))

    def buildProtocol(self, addr: Any) -> Connection:
        return Connection(self)

    def flush(self) -> None:
        """Has every connection send its output."""
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                try:
                    connection.flush()
                except Exception:
                    log.exception("Closing the connection from %s", connection.peer)
                    connection.abort()

    def limit(self, total: int, per_ip: int, overrides: dict[str, int]) -> None:
        """Sets other limits for connections that come from now on."""
        self._limits.total, self._limits.per_ip, self._limits.overrides = total, per_ip, overrides

    def admit(self, connection: Connection) -> bool:
        """Whether this connection may stay."""
        self._connections.add(connection)
        CREATED.mark(1, self.listener)
        self.descriptors.connected()
        return self._limits.admit(connection.peer)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self._connections:
            self._connections.discard(connection)
            CLOSED.mark(1, self.listener)
            self.descriptors.disconnected()
            self._limits.forget(connection.peer)

    def close_idle(self, ticks: int) -> None:
        """Called once a tick: closes connections that were silent for `ticks` of them."""
        for connection in list(self._connections):
            connection.idle_ticks += 1
            if connection.idle_ticks > ticks:
                connection.abort()

    def abort_senders(self, concerns: Callable[[Any], bool]) -> None:
        """Closes connections that have a file range to send which `concerns` accepts."""
        for connection in list(self._connections):
            if connection.sends(concerns):
                connection.abort()

    def abort_all(self) -> None:
        """Closes every connection, once what was held back is sent as far as there is room."""
        self.flush()
        for connection in list(self._connections):
            connection.abort()
