"""A bound port: it refuses connections until it listens, lets them wait until it accepts, and closes idle ones."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import error, task

from kafkalike.net.acceptor import Acceptor
from kafkalike.net.reactor import Reactor
from kafkalike.net.server import Server

IDLE_TICKS = 8  # idleness is looked at this many times in connections.max.idle.ms


class Listener:
    """A bound port and the connections that came through it. Bound first, it refuses connections until it listens;
    those that are made before it accepts wait."""

    def __init__(self, reactor: Any, server: Server, host: str, port: int, backlog: int, max_idle_ms: int) -> None:
        """Binds; OSError with one clear line if the address cannot be had."""
        self.server = server
        self._backlog = max(backlog, 1)
        self._listening = False
        self._reactor = reactor
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        self.host = host
        self.port = port
        self._try(lambda: self._socket.bind((host, port)))
        self.port = self._socket.getsockname()[1]
        self._port: Any = None
        self._idle = task.LoopingCall(server.close_idle, IDLE_TICKS)
        self._idle.clock = reactor
        self._idle_seconds = max_idle_ms / 1000 / IDLE_TICKS if max_idle_ms > 0 else 0

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (OSError, OverflowError) as problem:
            self._socket.close()
            why = getattr(problem, "strerror", None) or str(problem)
            raise OSError(f"Socket server failed to bind to {self.host or '0.0.0.0'}:{self.port}: {why}.") from problem

    def listen(self) -> None:
        """Connections can be made from now on, and wait; OSError if somebody else was quicker."""
        if not self._listening:
            self._try(lambda: self._socket.listen(self._backlog))
            self._listening = True

    def accept(self) -> None:
        """Starts to accept; connections made since `listen` are served now."""
        self.listen()
        self._port = Acceptor.adopt(self._reactor, self._socket, self.server, self.server.descriptors)
        if isinstance(self._reactor, Reactor):
            self._reactor.holders += (self.server,)
        self._socket.close()
        if self._idle_seconds:
            self._idle.start(self._idle_seconds, now=False)

    def close(self) -> Any:
        """Stops accepting. Connections stay until `server.abort_all()`."""
        if self._idle.running:
            self._idle.stop()
        if self._port is None:
            self._socket.close()
            return None
        try:
            return self._port.stopListening()
        except error.NotListeningError:
            return None
