"""The connections and timers under the client's engine, on a reactor. Everything is called on the reactor's thread."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from kafkalike.client.cluster import parse_servers
from kafkalike.client.connection import Connection
from kafkalike.client.effects import Probe, Steps, Task
from kafkalike.client.engine import Engine
from kafkalike.client.routing import Routing
from kafkalike.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("kafka.clients.NetworkClient")

PROBE_SECONDS = 1.0


class Driver:
    """Runs steps of the client; `run` gives a Deferred."""

    def __init__(
        self,
        reactor: Any,
        bootstrap_servers: str,
        client_id: str,
        *,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        default_api_timeout_ms: int = 60_000,
    ) -> None:
        self.reactor = reactor
        self.engine = Engine(self, Clock(), client_id, min(10_000, request_timeout_ms))
        self.routing = Routing(
            parse_servers(bootstrap_servers),
            self.engine.clock,
            random.Random(),
            log.warning,
            request_timeout_ms=request_timeout_ms,
            retry_backoff_ms=retry_backoff_ms,
            default_api_timeout_ms=default_api_timeout_ms,
        )
        self._wires: dict[Connection, _Wire] = {}
        self._alarm: Any = None
        self._alarm_ms = 0.0
        self._closed = False

    def run(self, steps: Steps[T]) -> Deferred[T]:
        """What the steps return. Cancelling it ends them."""
        task = self.engine.start(steps)
        result: Deferred[T] = Deferred(lambda _: task.cancel())

        def ended(task: Task[T]) -> None:
            if task.failure is not None:
                result.errback(task.failure)
            else:
                result.callback(task.result())

        task.when_done.append(ended)
        self.go_on()
        return result

    def go_on(self) -> None:
        """Something happened: the engine goes on, and is called again when the next timer is due."""
        self.engine.turn()
        due = self.engine.due_ms
        if self._alarm is not None and (self._closed or due != self._alarm_ms):
            self._alarm.cancel()
            self._alarm = None
        if due is not None and self._alarm is None and not self._closed:
            self._alarm_ms = due
            delay = max(due - self.engine.clock.monotonic_ms(), 0) / 1000
            self._alarm = self.reactor.callLater(delay, self._due)

    def _due(self) -> None:
        self._alarm = None
        self.go_on()

    def close(self) -> None:
        """Closes every connection."""
        self._closed = True
        self.engine.close()
        self.go_on()

    # For the engine.

    def open(self, connection: Connection) -> None:
        """Begins to connect."""
        wire = self._wires[connection] = _Wire(self, connection)
        endpoint = HostnameEndpoint(self.reactor, connection.node.host, connection.node.port, attemptDelay=0.02)
        wire.connecting = connectProtocol(endpoint, wire)
        wire.connecting.addErrback(lambda failure: self._lost(connection, failure.getErrorMessage()))

    def send(self, connection: Connection, data: bytes) -> None:
        """Sends."""
        self._wires[connection].transport.write(data)

    def close_connection(self, connection: Connection) -> None:
        """Closes its socket."""
        wire = self._wires.pop(connection)
        if wire.connected:
            wire.transport.abortConnection()
        elif wire.connecting is not None:
            wire.connecting.cancel()

    def resolve(self, host: str, done: Callable[[Any], None]) -> None:
        """Looks up a host name."""

        def failed(_: Any) -> None:
            self._done(done, f"the host name {host} does not resolve")

        looked_up: Deferred[str] = self.reactor.resolve(host)
        looked_up.addCallbacks(lambda _: self._done(done, None), failed)

    def probe(self, probe: Probe, done: Callable[[Any], None]) -> None:
        """Says some bytes to a server and listens."""
        listener = _Listener(probe, lambda answer: self._done(done, answer))
        endpoint = HostnameEndpoint(self.reactor, probe.host, probe.port, timeout=PROBE_SECONDS)
        connectProtocol(endpoint, listener).addErrback(lambda _: self._done(done, b""))

    def _done(self, done: Callable[[Any], None], outcome: Any) -> None:
        done(outcome)
        self.reactor.callLater(0, self.go_on)

    def _lost(self, connection: Connection, reason: str) -> None:
        if connection in self._wires:
            self.engine.lost(connection, reason)
            self.go_on()


class _Wire(Protocol):
    """The socket of one connection."""

    transport: Any

    def __init__(self, driver: Driver, connection: Connection) -> None:
        self.connecting: Deferred[Any] | None = None
        self._driver = driver
        self._connection = connection

    def connectionMade(self) -> None:
        self.connecting = None
        if self._connection not in self._driver._wires:
            self.transport.abortConnection()
            return
        self.transport.setTcpNoDelay(True)
        self._driver.engine.connected(self._connection)
        self._driver.go_on()

    def dataReceived(self, data: bytes) -> None:
        if self._connection in self._driver._wires:
            self._driver.engine.received(self._connection, data)
            self._driver.go_on()

    def connectionLost(self, reason: Any = None) -> None:
        self._driver._lost(self._connection, "the broker closed the connection")


class _Listener(Protocol):
    """Says some bytes, and hears the first of the answer."""

    transport: Any

    def __init__(self, probe: Probe, done: Callable[[bytes], None]) -> None:
        self._probe = probe
        self._done = done
        self._heard = b""

    def connectionMade(self) -> None:
        self.transport.write(self._probe.words)
        self._alarm = self.transport.reactor.callLater(PROBE_SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) >= self._probe.size:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if self._alarm.active():
            self._alarm.cancel()
        self._done(self._heard)


class _Client(TypingProtocol):
    driver: Driver


class Operation(Generic[P, T]):
    """Steps as a method that gives a Deferred: `list_topics = Operation(admin.topics.list_topics)`."""

    def __init__(self, steps: Callable[Concatenate[Routing, P], Steps[T]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    def __get__(self, client: _Client, owner: Any) -> Callable[P, Deferred[T]]:
        def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
            return client.driver.run(self.steps(client.driver.routing, *args, **kwargs))

        return run
