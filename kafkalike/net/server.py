"""Accepted connections: frames in, answers out in request order, back-pressure in both directions.

The server knows frames, order and bytes, nothing of their meaning: `begin(connection, frame)`, handed in by the broker,
makes a call of each frame. A call has `run()`, and `answer`, which is None until it is answered and then a list of
byte strings and file ranges (empty: nothing is sent). When answers are out, `sent(timings, began)` is told of the
calls' `timing`, as nested pairs of the newest and the pair of those before it, and of the time when sending began.

Only consecutive Produce requests of a connection overlap: they are answered in order, at most MAX_OVERLAP at a time.
Every other request starts when all before it are answered, and none starts while output is stuck: a client that
does not read cannot make us hold its answers. Frames that may not start yet wait; when many wait, reading pauses.
A call that only waits for something to happen may leave a `hurry` with its connection, called when a frame waits.

Output goes straight to the socket; what it does not take waits in the connection's queue, and Twisted tells us, as a
pull producer, when there is room. Whatever one turn of the reactor produces for a connection leaves in one write, and
with what it produces for others (net/reactor.py).
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from twisted.internet import error, protocol, task
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from kafkalike.errors import ProtocolError
from kafkalike.net.descriptors import Descriptors
from kafkalike.net.port import Port
from kafkalike.net.reactor import READ, READ_BULK, TIME, Reactor
from kafkalike.protocol.framing import Frames

log = logging.getLogger("kafka.network.SocketServer")

PRODUCE = b"\0\0"  # API key 0, the first two bytes of a frame
MAX_OVERLAP = 1000  # Produce requests of one connection under way at once
MAX_QUEUED = 1 << 20  # bytes of answers that one turn may make for a connection before they must be sent
MAX_WAITING = 100  # frames of one connection that wait before reading pauses
SENDFILE_MAX = 1 << 20  # bytes handed to one sendfile, so that one fast reader does not hold the reactor
_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


Timings = Any  # nested pairs, or None


class Call(Interface):
    """What `begin` makes of a frame."""

    answer: list[Any] | None
    timing: Any

    def run(self) -> None: ...


@implementer(IPullProducer)
class Connection(protocol.Protocol):
    """One client. `peer` is its address, `listener` the name of the listener it came through."""

    transport: Any

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listener = server.listener
        self.begin = server.begin
        self.peer = ""
        self.local = ""
        self.idle_ticks = 0
        self.fast_path: Any = None  # for the broker: what it learnt from the requests of this connection
        self.hurry: Callable[[], None] | None = None  # answers the call that is open
        self._frames = Frames(server.max_frame)
        self.received_at = 0.0  # when the frame came of which a call is made now
        self._waiting: deque[Any] = deque()  # frames that may not start yet
        self._came: deque[float] = deque()  # when they came, as far as they have waited
        self._open: deque[Call] = deque()  # calls that have started and are not yet in the output
        self._open_is_produce = False
        self._starting = False
        self._paused = False
        self._out: deque[Any] = deque()  # bytes and file ranges to send
        self._leaving: Timings = None  # of the calls whose answers are in the output, or are out
        self._sent = 0  # bytes of the first of them that are out
        self._queued = 0  # bytes put there since the last send
        self._stuck = False  # registered with the transport, which calls resumeProducing when there is room
        self._draining = False
        self._dirty = False
        self._closing = False
        self._gone = False

    def connectionMade(self) -> None:
        self.peer = self.transport.getPeer().host
        self.transport.setTcpNoDelay(True)
        for option, size in self.server.buffers:
            if size >= 0:
                self.transport.socket.setsockopt(socket.SOL_SOCKET, option, size)
        if not self.server.admit(self):
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self._gone = True
        self._waiting.clear()
        self._came.clear()
        self._leaving = None
        for item in self._out:
            if not isinstance(item, bytes):
                item.release()
        self._out.clear()
        self.server.forget(self)

    def dataReceived(self, data: bytes) -> None:
        if self._closing or self._gone:
            return
        server = self.server
        server.busy += 1
        self.idle_ticks = 0
        try:
            frames = self._frames.feed(data)
            if frames:
                self._waiting.extend(frames)
                self.advance()
                if self._waiting:
                    self._came.extend([TIME.now] * (len(self._waiting) - len(self._came)))
            elif len(data) == READ:
                self.transport.bufferSize = READ_BULK
        except ProtocolError as broken:
            self._broken(broken)
        finally:
            server.busy -= 1
            if not server.busy:
                server.flush()

    def advance(self) -> None:
        """Starts whatever of the waiting frames may start now."""
        if self._starting:
            return
        self._starting = True
        waiting, came, open_calls = self._waiting, self._came, self._open
        try:
            while waiting and not self._stuck and not self._closing and self._queued < MAX_QUEUED:
                frame = waiting[0]
                produce = frame[:2] == PRODUCE
                if open_calls and not (produce and self._open_is_produce and len(open_calls) < MAX_OVERLAP):
                    if self.hurry is None:
                        break
                    hurry, self.hurry = self.hurry, None
                    hurry()
                    continue
                waiting.popleft()
                self.received_at = came.popleft() if came else TIME.now
                call = self.begin(self, frame)
                self._open_is_produce = produce
                open_calls.append(call)
                call.run()
        except ProtocolError as broken:
            self._broken(broken)
        finally:
            self._starting = False
        if self._paused:
            if not waiting and not self._gone:
                self._paused = False
                self.transport.resumeProducing()
        elif len(waiting) > MAX_WAITING:
            self._paused = True
            self.transport.pauseProducing()

    def _broken(self, why: ProtocolError) -> None:
        log.warning("Closing the connection from %s: %s", self.peer, why)
        self.close()

    def answered(self) -> None:
        """A call got its `answer`: what is due in order moves to the output."""
        open_calls, out = self._open, self._out
        if self._gone:
            open_calls.clear()
            return
        while open_calls and open_calls[0].answer is not None:
            call = open_calls.popleft()
            self._leaving = (call.timing, self._leaving)
            for item in call.answer:  # type: ignore[union-attr]
                if isinstance(item, bytes):
                    self._queued += len(item)
                else:
                    self._queued += item.size
                    item.retain()
                out.append(item)
        if (self._leaving is not None or self._closing) and not self._dirty and not self._stuck:
            self._dirty = True
            self.server.dirty.append(self)
        if self._waiting and not self._starting:
            self.advance()
        if not self.server.busy:
            self.server.flush()

    def flush(self) -> None:
        """Sends what the turn produced."""
        self._dirty = False
        began = TIME.now
        sends = self._out and not self._stuck and not self._gone
        if sends:
            self._drain()
        if self._leaving is not None and not self._out:
            leaving, self._leaving = self._leaving, None
            self.server.sent(leaving, began)
        if sends and not self._stuck and self._waiting:
            self.advance()
        if self._closing:
            self._close_when_done()

    def close(self) -> None:
        """Closes the connection once everything that was asked before this moment is answered."""
        self._closing = True
        self._waiting.clear()
        if not self.server.busy:
            self._close_when_done()
        elif not self._dirty:
            self._dirty = True
            self.server.dirty.append(self)

    def _close_when_done(self) -> None:
        if not self._out and not self._open and not self._gone:
            self.transport.loseConnection()

    def sends(self, concerns: Callable[[Any], bool]) -> bool:
        """Whether a file range that `concerns` accepts is unsent."""
        return any(not isinstance(item, bytes) and concerns(item) for item in self._out)

    def abort(self) -> None:
        """Closes the connection at once: nothing is sent any more, though Twisted says that it is lost only later."""
        if not self._gone:
            self._gone = True
            self._waiting.clear()
            self.transport.abortConnection()

    def resumeProducing(self) -> None:
        """The transport has room again."""
        if self._draining or self._gone:
            return
        self._drain()
        if not self._stuck:
            server = self.server
            if self._leaving is not None:
                leaving, self._leaving = self._leaving, None
                server.sent(leaving, TIME.now)
            server.busy += 1
            try:
                self.advance()
            finally:
                server.busy -= 1
                if not server.busy:
                    server.flush()
            if self._closing:
                self._close_when_done()

    def stopProducing(self) -> None:
        """The connection is going away; connectionLost cleans up."""

    def _drain(self) -> None:
        self._draining = True
        self._queued = 0
        try:
            done = self._send_all()
        except OSError as problem:
            if problem.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN):
                log.warning("Closing the connection from %s: %s", self.peer, problem)
            self._draining = False
            self.abort()
            return
        if done:
            if self._stuck:
                self._stuck = False
                self.transport.unregisterProducer()
        else:
            if not self._stuck:
                self._stuck = True
                self.transport.registerProducer(self, False)
            # Twisted stops watching for room before it calls resumeProducing: ask again after each partial send.
            self.transport.startWriting()
        self._draining = False

    def _send_all(self) -> bool:
        """Sends until the queue is empty (True) or the socket is full (False)."""
        out = self._out
        sock = self.transport.socket
        while out:
            first = out[0]
            is_bytes = isinstance(first, bytes)
            if is_bytes:
                several = len(out) > 1
                if several and isinstance(out[1], bytes):
                    self._join_bytes()
                    first = out[0]
                    several = len(out) > 1
                more = socket.MSG_MORE if several else 0
                try:
                    sent = sock.send(memoryview(first)[self._sent :] if self._sent else first, more)
                except OSError as problem:
                    if problem.errno in _WOULD_BLOCK:
                        return False
                    raise
                size = len(first)
            else:
                size = first.size
                try:
                    sent = os.sendfile(
                        sock.fileno(), first.fd, first.position + self._sent, min(size - self._sent, SENDFILE_MAX)
                    )
                except OSError as problem:
                    if problem.errno in _WOULD_BLOCK:
                        return False
                    raise
                if sent == 0:
                    raise OSError(errno.EIO, "a segment is shorter than the range that was promised")
            self._sent += sent
            if self._sent == size:
                out.popleft()
                self._sent = 0
                if not is_bytes:
                    first.release()
            elif is_bytes:
                return False
        return True

    def _join_bytes(self) -> None:
        """Makes one string of the run of byte strings at the head of the queue."""
        out = self._out
        run = []
        while out and isinstance(out[0], bytes):
            run.append(out.popleft())
        if self._sent:
            run[0] = run[0][self._sent :]
            self._sent = 0
        out.appendleft(b"".join(run))


class Server(protocol.Factory):
    """One listener's connections, their number and their idleness."""

    noisy = False

    def __init__(
        self,
        listener: str,
        begin: Callable[[Connection, Any], Call],
        max_frame: int,
        limits: Limits,
        buffers: tuple[int, int] = (-1, -1),
        descriptors: Descriptors | None = None,
        sent: Callable[[Timings, float], None] = lambda timings, began: None,
    ) -> None:
        self.sent = sent
        self.listener = listener
        self.begin = begin
        self.max_frame = max_frame
        self.buffers = ((socket.SO_SNDBUF, buffers[0]), (socket.SO_RCVBUF, buffers[1]))
        self.busy = 0  # how many of us and of the reactor hold output back; it is flushed when nobody does
        self.dirty: list[Connection] = []
        self.descriptors = descriptors or Descriptors()
        self._limits = limits
        self._connections: set[Connection] = set()

    def buildProtocol(self, addr: Any) -> Connection:
        return Connection(self)

    def flush(self) -> None:
        """Sends what is in the queues."""
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                try:
                    connection.flush()
                except Exception:
                    log.exception("Closing the connection from %s", connection.peer)
                    connection.abort()

    def limit(self, total: int, per_ip: int, overrides: dict[str, int]) -> None:
        """Other limits for connections that come from now on."""
        self._limits.total, self._limits.per_ip, self._limits.overrides = total, per_ip, overrides

    def admit(self, connection: Connection) -> bool:
        """Whether this connection may stay."""
        self._connections.add(connection)
        self.descriptors.connected()
        return self._limits.admit(connection.peer)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection in self._connections:
            self._connections.discard(connection)
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


class Limits:
    """How many connections there may be, in all and from one address (max.connections, max.connections.per.ip)."""

    def __init__(self, total: int, per_ip: int, overrides: dict[str, int]) -> None:
        self.total = total
        self.per_ip = per_ip
        self.overrides = overrides
        self._count: dict[str, int] = {}
        self._all = 0

    def admit(self, ip: str) -> bool:
        self._all += 1
        count = self._count[ip] = self._count.get(ip, 0) + 1
        if self._all > self.total:
            log.warning("Closing the connection from %s: max.connections is %d", ip, self.total)
            return False
        allowed = self.overrides.get(ip, self.per_ip)
        if count > allowed:
            log.warning("Closing the connection from %s: max.connections.per.ip is %d", ip, allowed)
            return False
        return True

    def forget(self, ip: str) -> None:
        self._all -= 1
        self._count[ip] -= 1
        if not self._count[ip]:
            del self._count[ip]


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
        self._port = Port.adopt(self._reactor, self._socket, self.server, self.server.descriptors)
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
