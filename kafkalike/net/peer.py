"""An outgoing connection to another broker: request to Deferred, pipelined, in order.

The connection is made when it is first needed and again after it was lost; a request that was under way then fails with
ConnectionError, and whoever asked decides whether to ask again. Requests go out in the order of the calls. Between
brokers versions are agreed by inter.broker.protocol.version, so none is asked for: the caller says which.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from twisted.internet import error, protocol
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

from kafkalike.errors import ProtocolError
from kafkalike.net.outlet import Outlet, PlainOutlet
from kafkalike.net.reactor import READ, READ_BULK
from kafkalike.protocol.framing import Frames
from kafkalike.protocol.in_flight import MAX_RESPONSE_BYTES, InFlightRequests

log = logging.getLogger("kafka.clients.NetworkClient")


class _Connection(protocol.Protocol):
    """The present connection of a Peer."""

    transport: Any

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._frames = Frames(MAX_RESPONSE_BYTES)
        self._outlet: Outlet

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._outlet = self._peer.outlet(self.transport, self)

    def send(self, data: bytes) -> None:
        """Sends at once what the other side takes; an error of the connection is heard of by `connectionLost`."""
        self._outlet.put((data,))
        if not self._outlet.stuck:
            self._outlet.flush()

    def abort(self) -> None:
        """Ends the connection; the peer hears it later."""
        self._outlet.abort()

    def has_room(self) -> None:
        """A peer never holds requests back, so nothing waits for room."""

    def cannot_send(self, problem: OSError) -> None:
        """The other broker is gone: the connection ends."""
        self._outlet.abort()

    def dataReceived(self, data: bytes) -> None:
        try:
            frames = self._frames.feed(data)
            for frame in frames:
                self._peer.answered(frame)
            if len(data) == READ and not frames:
                self.transport.bufferSize = READ_BULK
        except ProtocolError as broken:
            log.warning("Connection to %s: %s", self._peer, broken)
            self._outlet.abort()

    def connectionLost(self, reason: Any = None) -> None:
        self._outlet.release()
        self._peer.lost(self, reason)


class Peer:
    """A broker at an address. `on_lost` is called at every end of a connection: (was connected, reason)."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        client_id: str,
        timeout_ms: int = 30_000,
        connect_timeout_ms: int = 10_000,
        on_lost: Callable[[bool, BaseException], None] | None = None,
        outlet: Callable[[Any, _Connection], Outlet] = PlainOutlet,
    ) -> None:
        """`outlet` makes the outlet of each connection."""
        self.host = host
        self.port = port
        self.outlet = outlet
        self._reactor = reactor
        self._timeout = timeout_ms / 1000
        self._connect_timeout = connect_timeout_ms / 1000
        self._on_lost = on_lost
        self._connection: Any = None
        self._connecting: Deferred[Any] | None = None
        self._unsent: list[bytes] = []
        self._in_flight = InFlightRequests(client_id)  # with the Deferred of each
        self._since = 0.0  # from when on the oldest request that waits has its time
        self._timer: Any = None
        self._closed = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connection is not None

    def request(self, message: Any, version: int, request: Any) -> Deferred[Any]:
        """Sends a request of a message module; its response object, ConnectionError, or TimeoutError."""
        if self._closed:
            return fail(ConnectionError(f"the connection to {self} is closed"))
        answer: Deferred[Any] = Deferred()
        frame = self._in_flight.send(message, version, request, answer)
        self._start_timer()
        if self._connection is not None:
            self._connection.send(frame)
        else:
            self._unsent.append(frame)
            self._connect()
        return answer

    def _start_timer(self) -> None:
        """When a request is the only one that waits, its time begins now."""
        if len(self._in_flight) == 1:
            self._since = self._reactor.seconds()
            if self._timer is None:
                self._timer = self._reactor.callLater(self._timeout, self._time_out)

    def open(self) -> None:
        """Connects, though there is nothing to send: so that the end of the connection is noticed."""
        if not self._closed and self._connection is None:
            self._connect()

    def close(self) -> None:
        """Ends the connection; what is under way fails."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.abort()
        self._fail(ConnectionError(f"the connection to {self} is closed"))

    def answered(self, frame: Any) -> None:
        """Gives a response to whoever waits for it."""
        asked, response = self._in_flight.complete(frame)
        self._since = self._reactor.seconds()
        asked.token.callback(response)

    def lost(self, connection: Any, reason: Any) -> None:
        """The connection ended."""
        if self._connection is not connection:
            return
        self._connection = None
        why = reason.value if reason is not None else error.ConnectionDone()
        self._fail(ConnectionError(f"the connection to {self} was lost: {why}"))
        self._hear(True, why)

    def _connect(self) -> None:
        if self._connecting is not None:
            return
        # A refusal is reported when another address of the name could be tried: do not wait 0.3 s for that.
        endpoint = HostnameEndpoint(
            self._reactor, self.host, self.port, timeout=self._connect_timeout, attemptDelay=0.02
        )
        self._connecting = connectProtocol(endpoint, _Connection(self))
        self._connecting.addCallbacks(self._connected, self._refused)

    def _connected(self, connection: Any) -> None:
        self._connecting = None
        if self._closed:
            connection.abort()
            return
        self._connection = connection
        unsent, self._unsent = self._unsent, []
        connection.send(b"".join(unsent))

    def _refused(self, failure: Any) -> None:
        self._connecting = None
        self._fail(ConnectionError(f"{self} cannot be reached: {failure.value}"))
        self._hear(False, failure.value)

    def _hear(self, was_connected: bool, why: BaseException) -> None:
        if self._on_lost is not None and not self._closed:
            self._on_lost(was_connected, why)

    def _time_out(self) -> None:
        """Answers come in order: the oldest request has its whole time from the answer before it. The timer is not set
        anew for each: when it is due, it looks how much time is left."""
        self._timer = None
        if not self._in_flight:
            return
        left = self._since + self._timeout - self._reactor.seconds()
        if left > 0:
            self._timer = self._reactor.callLater(left, self._time_out)
            return
        log.warning("No answer from %s in %.1f s", self, self._timeout)
        if self._connection is not None:
            self._connection.abort()
        elif self._connecting is not None:
            self._connecting.cancel()

    def _fail(self, why: Exception) -> None:
        self._unsent.clear()
        lost = self._in_flight.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for asked in lost:
            asked.token.errback(why)
