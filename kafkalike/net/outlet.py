"""The output of one connection, accepted or outgoing: bytes and ranges of files, sent in the order of `put`.

Nobody else writes to a transport. What the other side does not take waits in the queue; Twisted tells the outlet, as a
pull producer, when there is room. Until then it is `stuck`, and its owner should make no more than has to be.

PlainOutlet hands bytes and ranges to the socket itself, so that a range goes from the page cache to the network and
never enters Python. An outlet for connections of another kind is a class beside it that says how to send (`_send`) and
how to wait (`_wait_for_room`), and is handed to the Server and Peer whose connections are of that kind. One for TLS
would call `transport.startTLS` when it is made, and in `_send` give `transport.write` an item, the bytes of a range too
(`read`), until as much as one turn should encrypt is on its way.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

SENDFILE_MAX: Final = 1 << 20  # bytes handed to one sendfile, so that one fast reader does not hold the reactor
_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


class FileRange(Interface):
    """Bytes of a file that stays open from `retain` to `release`."""

    fd: int
    position: int
    size: int

    def retain(self) -> None: ...

    def release(self) -> None: ...

    def read(self) -> bytes: ...


class Owner(Interface):
    """The connection that an outlet belongs to."""

    def has_room(self) -> None:
        """The outlet was stuck, and now everything is sent."""

    def cannot_send(self, problem: OSError) -> None:
        """The connection is broken."""


@implementer(IPullProducer)
class Outlet:
    """What every kind of outlet has: the queue, and the back-pressure of the transport."""

    def __init__(self, transport: Any, owner: Owner) -> None:
        self.transport = transport
        self.queue: deque[Any] = deque()  # bytes and file ranges
        self.unflushed_bytes = 0  # put there since the last flush
        self.stuck = False
        self._owner = owner
        self._flushing = False
        self._aborted = False

    def put(self, items: Iterable[Any]) -> None:
        """Adds byte strings and file ranges; ranges are retained until they are sent or the connection is gone."""
        for item in items:
            if isinstance(item, bytes):
                self.unflushed_bytes += len(item)
            else:
                self.unflushed_bytes += item.size
                item.retain()
            self.queue.append(item)

    def flush(self) -> None:
        """Sends as much as the other side takes now."""
        self._flushing = True
        self.unflushed_bytes = 0
        try:
            done = self._send()
        except OSError as problem:
            self._flushing = False
            self._owner.cannot_send(problem)
            return
        if done:
            if self.stuck:
                self.stuck = False
                self.transport.unregisterProducer()
        else:
            if not self.stuck:
                self.stuck = True
                self.transport.registerProducer(self, False)
            self._wait_for_room()
        self._flushing = False

    def _send(self) -> bool:
        """Sends until the queue is empty (True) or there is no more room (False)."""
        raise NotImplementedError

    def _wait_for_room(self) -> None:
        """Sees to it that the transport calls `resumeProducing`."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """The transport has room again."""
        if self._flushing or self._aborted:
            return
        self.flush()
        if not self.stuck:
            self._owner.has_room()

    def stopProducing(self) -> None:
        """The connection is going away; its owner hears it and calls `release`."""

    def holds(self, concerns: Callable[[Any], bool]) -> bool:
        """Whether a file range that `concerns` accepts is unsent."""
        return any(not isinstance(item, bytes) and concerns(item) for item in self.queue)

    def abort(self) -> None:
        """Ends the connection at once: nothing is sent any more, though Twisted says that it is lost only later."""
        self._aborted = True
        self.transport.abortConnection()

    def release(self) -> None:
        """The connection is gone: nothing of the queue is sent."""
        self._aborted = True
        for item in self.queue:
            if not isinstance(item, bytes):
                item.release()
        self.queue.clear()


class PlainOutlet(Outlet):
    """Hands bytes and file ranges to a TCP socket."""

    def __init__(self, transport: Any, owner: Owner) -> None:
        super().__init__(transport, owner)
        self._sent = 0  # bytes of the first item that are out

    def _wait_for_room(self) -> None:
        # Twisted stops watching for room before it calls resumeProducing: it is asked again after each partial send.
        self.transport.startWriting()

    def _send(self) -> bool:
        queue = self.queue
        sock = self.transport.socket
        while queue:
            first = queue[0]
            is_bytes = isinstance(first, bytes)
            if is_bytes:
                several = len(queue) > 1
                if several and isinstance(queue[1], bytes):
                    self._join_bytes()
                    first = queue[0]
                    several = len(queue) > 1
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
                queue.popleft()
                self._sent = 0
                if not is_bytes:
                    first.release()
            elif is_bytes:
                return False
        return True

    def _join_bytes(self) -> None:
        """Makes one string of the run of byte strings at the head of the queue."""
        queue = self.queue
        run = []
        while queue and isinstance(queue[0], bytes):
            run.append(queue.popleft())
        if self._sent:
            run[0] = run[0][self._sent :]
            self._sent = 0
        queue.appendleft(b"".join(run))
