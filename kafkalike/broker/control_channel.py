"""Requests between controller and brokers, both ways: to this broker itself they are a call of what its API calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from kafkalike.broker.peer_connections import Peers
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.config import Config
from kafkalike.controller.controller import Controller
from kafkalike.protocol.schema import Message


class ControlChannel:
    """One broker's way to the controller, and its controller's way to the brokers.

    `controller` and `call_locally` are set when they are built; before that nobody has anything to say.
    """

    controller: Controller
    call_locally: Callable[[Message], Message | Awaitable[Message]]

    def __init__(self, broker_id: int, config: Config, metadata: MetadataCache, peers: Peers) -> None:
        self._broker_id = broker_id
        self._listener = config.inter_broker_listener
        self._metadata = metadata
        self._peers = peers

    def send(self, broker_id: int, request: Message) -> Deferred[Any]:
        """Sends a control request to a broker."""
        if broker_id == self._broker_id:
            return defer.maybeDeferred(self.call_locally, request)
        endpoint = None
        context = self.controller.context
        if context is not None and broker_id in context.brokers:
            # The controller knows a new broker before the metadata have it.
            endpoints = context.brokers[broker_id].node.endpoints
            endpoint = next((e for e in endpoints if e.listener == self._listener), None)
        return self._peers.control(broker_id, request, endpoint)

    def ask_controller(self, request: Message) -> Deferred[Any]:
        """Sends a request to the controller; ConnectionError when there is none."""
        controller = self.controller.controller_id
        if controller < 0:
            controller = self._metadata.image.controller_id
        if controller < 0:
            return defer.fail(ConnectionError("there is no controller at the moment"))
        return self.send(controller, request)
