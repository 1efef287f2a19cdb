"""A listening port that waits a moment when there is no file descriptor for who comes.

Twisted's own would close those who wait, or, when the whole machine has run out, ask again without a pause. Here they
stay in the kernel's queue until they can be let in.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp

log = logging.getLogger("zk.server")

PAUSE_SECONDS = 0.1
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class _ListeningSocket(socket.socket):
    """Where Twisted accepts: nobody seems to be there when nobody can be let in."""

    exhausted: Callable[[OSError], None]

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as problem:
            if problem.errno not in _EXHAUSTED:
                raise
            self.exhausted(problem)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None


class Acceptor(tcp.Port):
    """Takes the place of the port that `reactor.listenTCP` makes."""

    _short = False

    def createInternetSocket(self) -> socket.socket:
        """The socket, before it is bound."""
        made = super().createInternetSocket()
        listening = _ListeningSocket(made.family, made.type, made.proto, fileno=made.detach())
        listening.setblocking(False)
        listening.exhausted = self._pause
        return listening

    def doRead(self) -> None:
        """Somebody wants to be let in."""
        super().doRead()
        if self._short and self.connected and self in self.reactor.getReaders():
            self._short = False
            log.info("There are file descriptors for connections again")

    def _pause(self, problem: OSError) -> None:
        if not self._short:
            log.warning("No file descriptor for another connection (%s): accepting pauses", problem.strerror)
        self._short = True
        self.stopReading()
        self.reactor.callLater(PAUSE_SECONDS, self._go_on)  # type: ignore[attr-defined]

    def _go_on(self) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()
