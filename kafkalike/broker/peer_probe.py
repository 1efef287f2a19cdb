"""Is a broker there? Two questions, each over connections of its own.

A process that has died is noticed by its machine: connections to it are reset, new ones refused. One refusal can be
somebody's restart or a full queue, so it takes two, with a pause between them. Silence proves nothing either way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import error, protocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater

from kafkalike.net.peer import Peer
from kafkalike.protocol.messages import api_versions

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 0.5
ATTEMPT_SECONDS = 0.005


def refuses(reactor: Any, host: str, port: int) -> Deferred[bool]:
    """Whether connections are refused, twice in a row. False when one is accepted, or when nothing is heard."""

    async def ask() -> bool:
        # With a longer delay a refusal would be reported only after another address of the name could be tried.
        endpoint = HostnameEndpoint(reactor, host, port, timeout=PATIENCE_SECONDS, attemptDelay=ATTEMPT_SECONDS)
        for last in (False, True):
            try:
                made = await connectProtocol(endpoint, protocol.Protocol())
            except error.ConnectionRefusedError:
                if not last:
                    await deferLater(reactor, PAUSE_SECONDS)
                continue
            except Exception:
                return False
            made.transport.abortConnection()
            return False
        return True

    return Deferred.fromCoroutine(ask())


def answers(reactor: Any, host: str, port: int, client_id: str) -> Deferred[bool]:
    """Whether a broker answers there: its ports may be open before it is ready, or while it is frozen."""
    patience_ms = int(PATIENCE_SECONDS * 1000)
    peer = Peer(reactor, host, port, client_id, patience_ms, patience_ms)

    def heard(outcome: Any) -> bool:
        peer.close()
        return isinstance(outcome, api_versions.Response)

    return peer.request(api_versions, 0, api_versions.Request()).addBoth(heard)
