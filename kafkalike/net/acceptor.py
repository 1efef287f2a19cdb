"""A listening port that accepts while there are file descriptors, and pauses while there are none.

Twisted's own would close those who wait, or, when the whole machine has run out, ask again without a pause. Here they
stay in the kernel's queue until they can be let in.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

from twisted.internet import tcp

from kafkalike.net.file_descriptors import FileDescriptors

log = logging.getLogger("kafka.network.SocketServer")

AT_ONCE = 64  # connections that one turn of the reactor accepts
PAUSE_SECONDS = 0.1
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor(tcp.Port):
    """The listening socket of a Listener; `adopt` makes one."""

    descriptors: FileDescriptors

    @classmethod
    def adopt(cls, reactor: Any, listening: socket.socket, factory: Any, descriptors: FileDescriptors) -> Acceptor:
        """Takes over a socket that listens already, and accepts."""
        port: Acceptor = cls._fromListeningDescriptor(reactor, listening.fileno(), listening.family, factory)
        port.descriptors = descriptors
        port.startListening()
        return port

    def doRead(self) -> None:
        """Accepts the connections that wait."""
        for _ in range(AT_ONCE):
            if not self.descriptors.admits():
                self._pause()
                return
            try:
                accepted, address = self.socket.accept()
            except OSError as problem:
                if problem.errno in _EXHAUSTED:
                    self.descriptors.exhausted(os.strerror(problem.errno or 0))
                    self._pause()
                elif problem.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                    self.descriptors.all_let_in()
                else:
                    log.info("A connection was not accepted: %s", problem)
                return
            self._let_in(accepted, address)

    def _let_in(self, accepted: socket.socket, address: Any) -> None:
        try:
            if len(address) == 4:
                # The address gets the scope of a link-local address.
                host, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
                address = (host, *address[1:])
            factory: Any = self.factory
            made = factory.buildProtocol(self._buildAddr(address))
            self.sessionno += 1
            transport: Any = self.transport(accepted, made, address, self, self.sessionno, self.reactor)
            made.makeConnection(transport)
        except Exception:
            log.exception("A connection from %s could not be served", address)
            accepted.close()

    def _pause(self) -> None:
        self.stopReading()
        reactor: Any = self.reactor  # the interface that Acceptor names has no clock
        reactor.callLater(PAUSE_SECONDS, self._try_again)

    def _try_again(self) -> None:
        if not self.connected or self.disconnecting:
            return
        if self.descriptors.admits():
            self.startReading()
        else:
            self._pause()
