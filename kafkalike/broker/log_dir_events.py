"""Tells the controller that it should ask this broker which of its replicas are well.

At once when a log directory has failed. And a while after a replica was refused for want of something that comes back,
descriptors or space: the controller counts it as gone, and hears that it is there only when it asks again.
"""

from __future__ import annotations

import logging

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from kafkalike.cluster import zookeeper
from kafkalike.cluster.znodes.brokers import LogDirEvent
from zk import recipes
from zk.client import SessionExpired, ZkClient

log = logging.getLogger("kafka.server.ReplicaManager")

# How long this broker waits before it tells the controller, and before it tells it again.
FIRST_SECONDS, LONGEST_SECONDS = 2.0, 60.0


class LogDirEvents:
    """What one broker tells the controller of its log directories."""

    def __init__(self, zk: ZkClient, broker_id: int, reactor: IReactorTime) -> None:
        self._zk = zk
        self._broker_id = broker_id
        self._reactor = reactor
        self._timer: IDelayedCall | None = None
        self._pause = FIRST_SECONDS
        self._last = -LONGEST_SECONDS

    def tell(self) -> None:
        """Tells the controller now."""
        event = LogDirEvent(self._broker_id)
        told = Deferred.fromCoroutine(recipes.insist(lambda: zookeeper.notify(self._zk, event)))
        # A new session brings a new registration, and with that the controller sends LeaderAndIsr by itself.
        told.addErrback(_session_expired)
        told.addErrback(lambda failure: log.error("The controller is not told: %s", failure.getTraceback()))

    def replica_refused(self) -> None:
        """A replica could not be opened or made for a reason that passes."""
        if self._timer is not None:
            return
        now = self._reactor.seconds()
        again = now - self._last < 2 * self._pause
        self._pause = min(2 * self._pause, LONGEST_SECONDS) if again else FIRST_SECONDS
        self._timer = self._reactor.callLater(self._pause, self._tell_again)

    def _tell_again(self) -> None:
        self._timer = None
        self._last = self._reactor.seconds()
        self.tell()

    def stop(self) -> None:
        """Nothing is told any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _session_expired(failure: Failure) -> None:
    """A failure that is none; any other goes on."""
    if not failure.check(SessionExpired):
        failure.raiseException()
