"""One accepted connection: frames in, answers out in request order, back-pressure in both directions.

A connection knows frames, order and bytes, nothing of their meaning: `begin(connection, frame)`, handed in by the
broker, makes a call of each frame. A call has `run()`, and `answer`, which is None until it is answered and then a list
of byte strings and file ranges (empty: nothing is sent). When answers are out, `sent(timings, began)` is told of the
calls' `timing`, as nested pairs of one and the pair of those before it, and of the time when sending began. A timing is
a tuple, or None; of those in a row with the same first element the newest tells for all.

Only consecutive requests that begin with the two bytes `overlapping`, which the broker hands in too, overlap (it says
those of Produce): they are answered in order, at most MAX_OVERLAP at a time. Every other request starts when all before
it are answered, and none starts while output is stuck: a client that does not read cannot make us hold its answers.
Frames that may not start yet wait; when many wait, reading pauses. A call that only waits for something to happen may
leave a `hurry` with its connection, called when a frame waits.

Whatever one turn of the reactor produces for a connection leaves in one write, and with what it produces for others
(net/reactor.py), through the connection's outlet (net/outlet.py).
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from twisted.internet import protocol

from kafkalike.errors import ProtocolError
from kafkalike.net.outlet import Outlet
from kafkalike.net.reactor import READ, READ_BULK, TIME
from kafkalike.protocol.framing import Frames

log = logging.getLogger("kafka.network.SocketServer")

MAX_OVERLAP = 1000  # requests of one connection under way at once
MAX_QUEUED = 1 << 20  # bytes of answers that one turn may make for a connection before they must be sent
MAX_WAITING = 100  # frames of one connection that wait before reading pauses


Timings = Any  # nested pairs, or None


class Call(Interface):
    """One request under way, which `begin` makes of a frame."""

    answer: list[Any] | None
    timing: Any

    def run(self) -> None: ...


class Connections(Interface):
    """What a connection needs of all connections of its listener (net/server.py)."""

    listener: str
    begin: Callable[[Connection, Any], Call]
    sent: Callable[[Timings, float], None]
    overlapping: bytes
    max_frame: int
    buffers: tuple[tuple[int, int], tuple[int, int]]  # options of sockets and their values
    outlet: Callable[[Any, Connection], Outlet]
    busy: int
    dirty: list[Connection]

    def admit(self, connection: Connection) -> bool: ...

    def forget(self, connection: Connection) -> None: ...

    def flush(self) -> None: ...


class Connection(protocol.Protocol):
    """The connection of one client. `peer` is its address, `listener` the name of the listener it came through."""

    transport: Any

    def __init__(self, server: Connections) -> None:
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
        self._open_overlap = False  # whether these are of the kind that overlaps
        self._overlapping = server.overlapping
        self._starting = False
        self._paused = False
        self._outlet: Outlet
        self._leaving: Timings = None  # of the calls whose answers are in the output, or are out
        self._dirty = False
        self._closing = False
        self._gone = False

    @property
    def unsent(self) -> int:
        """How many byte strings and file ranges wait until the client has read more."""
        return len(self._outlet.queue)

    @property
    def waiting(self) -> int:
        """How many frames may not start yet."""
        return len(self._waiting)

    def connectionMade(self) -> None:
        self.peer = self.transport.getPeer().host
        self._outlet = self.server.outlet(self.transport, self)
        self.transport.setTcpNoDelay(True)
        for option, size in self.server.buffers:
            if size >= 0:
                self.transport.socket.setsockopt(socket.SOL_SOCKET, option, size)
        if not self.server.admit(self):
            self._outlet.abort()

    def connectionLost(self, reason: Any = None) -> None:
        self._gone = True
        self._waiting.clear()
        self._came.clear()
        self._leaving = None
        self._outlet.release()
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
        waiting, came, open_calls, outlet = self._waiting, self._came, self._open, self._outlet
        try:
            while waiting and not outlet.stuck and not self._closing and outlet.unflushed_bytes < MAX_QUEUED:
                frame = waiting[0]
                overlaps = frame[:2] == self._overlapping
                if open_calls and not (overlaps and self._open_overlap and len(open_calls) < MAX_OVERLAP):
                    if self.hurry is None:
                        break
                    hurry, self.hurry = self.hurry, None
                    hurry()
                    continue
                waiting.popleft()
                self.received_at = came.popleft() if came else TIME.now
                call = self.begin(self, frame)
                self._open_overlap = overlaps
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
        open_calls, outlet = self._open, self._outlet
        if self._gone:
            open_calls.clear()
            return
        while open_calls and open_calls[0].answer is not None:
            call = open_calls.popleft()
            if (timing := call.timing) is not None:
                leaving = self._leaving
                same = leaving is not None and leaving[0][0] is timing[0]
                self._leaving = (timing, leaving[1] if same else leaving)
            # This is Outlet.put, written in line: for small requests a call here would be a fifteenth of their cost.
            for item in call.answer:  # type: ignore[union-attr]
                if isinstance(item, bytes):
                    outlet.unflushed_bytes += len(item)
                else:
                    outlet.unflushed_bytes += item.size
                    item.retain()
                outlet.queue.append(item)
        if (outlet.queue or self._leaving is not None or self._closing) and not self._dirty and not outlet.stuck:
            self._dirty = True
            self.server.dirty.append(self)
        if self._waiting and not self._starting:
            self.advance()
        if not self.server.busy:
            self.server.flush()

    def flush(self) -> None:
        """Sends the answers that this turn of the reactor has produced."""
        self._dirty = False
        outlet = self._outlet
        began = TIME.now
        sends = outlet.queue and not outlet.stuck and not self._gone
        if sends:
            outlet.flush()
        if self._leaving is not None and not outlet.queue:
            leaving, self._leaving = self._leaving, None
            self.server.sent(leaving, began)
        if sends and not outlet.stuck and self._waiting:
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
        if not self._outlet.queue and not self._open and not self._gone:
            self.transport.loseConnection()

    def sends(self, concerns: Callable[[Any], bool]) -> bool:
        """Whether a file range that `concerns` accepts is unsent."""
        return self._outlet.holds(concerns)

    def abort(self) -> None:
        """Closes the connection at once; answers that are not sent yet are dropped."""
        if not self._gone:
            self._gone = True
            self._waiting.clear()
            self._outlet.abort()

    def has_room(self) -> None:
        """The client has taken everything: requests that wait may start again."""
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

    def cannot_send(self, problem: OSError) -> None:
        """The client is gone, or a file under a range is too short."""
        if problem.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN):
            log.warning("Closing the connection from %s: %s", self.peer, problem)
        self.abort()
