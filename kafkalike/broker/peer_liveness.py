"""Whether the other brokers live: a connection to each tells at once when it dies, long before its session ends.

A lost connection is the controller's to judge. Until it has, Metadata answers wait for a moment, if nobody listens at
the broker's address any more: what they would say of its partitions is about to change.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from kafkalike.broker.peer_connections import Peers
from kafkalike.cluster.metadata import Image
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.controller.controller import Controller
from kafkalike.replication.isr import InSyncReplicas

DOUBT_SECONDS = 3.0  # in which a dead leader should have been replaced
LOOK_SECONDS = 1.0  # between two looks whether there is a connection to each broker


class PeerLiveness:
    """Notices when the process of another broker dies."""

    def __init__(
        self,
        broker_id: int,
        metadata: MetadataCache,
        peers: Peers,
        isr: InSyncReplicas,
        controller: Controller,
        reactor: IReactorTime,
    ) -> None:
        self._broker_id = broker_id
        self._metadata = metadata
        self._peers = peers
        self._isr = isr
        self._controller = controller
        self._reactor = reactor
        self._keeping = task.LoopingCall(self._keep_connections)
        self._keeping.clock = reactor
        metadata.on_change(self._brokers_changed)
        peers.lost = self._connection_lost

    def start(self) -> None:
        """Begins to keep connections."""
        self._keeping.start(LOOK_SECONDS)

    def stop(self) -> None:
        """Connections that are there stay."""
        if self._keeping.running:
            self._keeping.stop()

    def _brokers_changed(self, old: Image, new: Image) -> None:
        gone = old.brokers.keys() - new.brokers.keys()
        if gone:
            self._isr.brokers_gone(gone)
        self._keep_connections()

    def _keep_connections(self) -> None:
        for broker_id in self._metadata.image.brokers:
            if broker_id != self._broker_id:
                self._peers.keep(broker_id)

    def _connection_lost(self, broker_id: int, was_connected: bool) -> None:
        self._controller.connection_lost(broker_id, was_connected)
        if not was_connected:
            return

        def heard(refused: Any) -> None:
            if refused is not True:
                self._metadata.trust_alive(broker_id)

        self._metadata.suspect_dead(broker_id)
        self._peers.refuses(broker_id).addBoth(heard)
        self._reactor.callLater(DOUBT_SECONDS, self._metadata.trust_alive, broker_id)
