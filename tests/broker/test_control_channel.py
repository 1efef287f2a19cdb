"""Where control requests go: to this broker by a call, to the others by what the controller or the metadata know."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from kafkalike.broker.control_channel import ControlChannel
from kafkalike.cluster.metadata import Image
from kafkalike.config import broker_config
from kafkalike.protocol.messages import heartbeat

REQUEST = heartbeat.Request()


class Channel(ControlChannel):
    """The channel of broker 1, which keeps what it sends."""

    def __init__(self, controller_id: int = -1, known: int = -1) -> None:
        self.sent: list[tuple[int, Any]] = []
        config, _ = broker_config({"zookeeper.connect": "z"})
        peers: Any = SimpleNamespace(control=self._control)
        super().__init__(1, config, SimpleNamespace(image=Image(controller_id=known)), peers)  # type: ignore[arg-type]
        self.controller = SimpleNamespace(controller_id=controller_id, context=None)  # type: ignore[assignment]
        self.call_locally = lambda request: "here"

    def _control(self, broker_id: int, request: Any, endpoint: Any) -> Deferred[Any]:
        self.sent.append((broker_id, endpoint))
        return succeed("there")


def result(deferred: Deferred[Any]) -> Any:
    """What has come."""
    heard: list[Any] = []
    deferred.addCallback(heard.append)
    return heard[0]


def test_what_this_broker_sends_to_itself_is_a_call() -> None:
    channel = Channel()
    assert ("here", []) == (result(channel.send(1, REQUEST)), channel.sent)


def test_a_new_broker_is_found_where_the_controller_knows_it_to_be() -> None:
    channel = Channel()
    endpoints = [SimpleNamespace(listener="OTHER"), SimpleNamespace(listener="PLAINTEXT")]
    known = SimpleNamespace(node=SimpleNamespace(endpoints=endpoints))
    channel.controller.context = SimpleNamespace(brokers={2: known})  # type: ignore[assignment]
    assert "there" == result(channel.send(2, REQUEST))
    channel.send(3, REQUEST)
    assert [(2, endpoints[1]), (3, None)] == channel.sent


@pytest.mark.parametrize(("elected", "known", "asked"), [(2, 3, 2), (-1, 3, 3)])
def test_the_controller_is_the_elected_one_else_the_one_in_the_metadata(elected: int, known: int, asked: int) -> None:
    channel = Channel(elected, known)
    channel.ask_controller(REQUEST)
    assert [(asked, None)] == channel.sent


def test_without_a_controller_nobody_can_be_asked() -> None:
    failed = Channel().ask_controller(REQUEST)
    failed.addErrback(lambda failure: failure.trap(ConnectionError))
    assert ConnectionError is result(failed)
