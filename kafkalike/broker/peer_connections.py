"""Connections to the other brokers: to each one for fetching, one for control requests, one for what is handed on.

Addresses are those of the inter-broker listener in the metadata; when a broker comes back at another address, the next
request goes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from kafkalike.broker import peer_probe
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.config import Config
from kafkalike.net.peer import Peer
from kafkalike.protocol import messages

FETCH, CONTROL, FORWARD = "fetch", "control", "forward"
TIMEOUTS = {
    FETCH: "replica.socket.timeout.ms",
    CONTROL: "controller.socket.timeout.ms",
    FORWARD: "request.timeout.ms",
}
CLIENT_IDS = {FETCH: "broker-{}-fetcher-0", CONTROL: "{}", FORWARD: "broker-{}-relay"}


class Peers:
    """Every connection of this broker to another."""

    def __init__(self, broker_id: int, config: Config, metadata: MetadataCache, reactor: Any) -> None:
        self._broker_id = broker_id
        self._config = config
        self._metadata = metadata
        self._reactor = reactor
        self._listener = config.inter_broker_listener
        self._peers: dict[tuple[str, int], Peer] = {}
        self.lost: Callable[[int, bool], None] = lambda broker_id, was_connected: None

    def knows(self, broker_id: int) -> bool:
        """Whether the metadata have the broker's address."""
        return self._metadata.image.endpoint(broker_id, self._listener) is not None

    def fetch_channel(self, broker_id: int, message: Any, version: int, request: Any) -> Deferred[Any]:
        """Sends a follower's request to a leader."""
        return self._send(FETCH, broker_id, message, version, request, None)

    def control(self, broker_id: int, request: Any, endpoint: Any = None) -> Deferred[Any]:
        """Sends a request between controller and broker, in its newest version; `endpoint` has host and port."""
        message = messages.of(request)
        return self._send(CONTROL, broker_id, message, message.VERSIONS[1], request, endpoint)

    def forward(self, broker_id: int, message: Any, version: int, request: Any) -> Deferred[Any]:
        """Hands a client's request on."""
        return self._send(FORWARD, broker_id, message, version, request, None)

    def keep(self, broker_id: int) -> None:
        """Sees to it that there is a connection for control requests, so that `lost` tells when the broker dies."""
        address = self._address(broker_id, None)
        if address is not None:
            self._peer(CONTROL, broker_id, address).open()

    def refuses(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Whether nobody listens at the broker's address (broker/peer_probe.py)."""
        address = self._address(broker_id, endpoint)
        return succeed(False) if address is None else peer_probe.refuses(self._reactor, *address)

    def answers(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Whether the broker answers."""
        address = self._address(broker_id, endpoint)
        if address is None:
            return succeed(False)
        return peer_probe.answers(self._reactor, *address, str(self._broker_id))

    def close(self) -> None:
        """Ends every connection."""
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()

    def _send(
        self, purpose: str, broker_id: int, message: Any, version: int, request: Any, endpoint: Any
    ) -> Deferred[Any]:
        address = self._address(broker_id, endpoint)
        if address is None:
            return fail(ConnectionError(f"the address of broker {broker_id} is not known"))
        return self._peer(purpose, broker_id, address).request(message, version, request)

    def _address(self, broker_id: int, endpoint: Any) -> tuple[str, int] | None:
        if endpoint is not None:
            return endpoint.host, endpoint.port
        known = self._metadata.image.endpoint(broker_id, self._listener)
        return known[:2] if known is not None else None

    def _peer(self, purpose: str, broker_id: int, address: tuple[str, int]) -> Peer:
        host, port = address
        peer = self._peers.get((purpose, broker_id))
        if peer is None or (peer.host, peer.port) != (host, port):
            if peer is not None:
                peer.close()
            peer = self._peers[(purpose, broker_id)] = Peer(
                self._reactor,
                host,
                port,
                CLIENT_IDS[purpose].format(self._broker_id),
                self._config[TIMEOUTS[purpose]],
                self._config["socket.connection.setup.timeout.ms"],
                lambda was_connected, why: self.lost(broker_id, was_connected),
            )
        return peer
