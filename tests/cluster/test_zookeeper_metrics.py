"""What the session does is counted, and how long operations take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kafkalike.cluster import zookeeper_metrics
from kafkalike.cluster.zookeeper_metrics import CHANGES, IS_CONNECTED, LATENCY
from zk.client import CONNECTED, LOST, SUSPENDED


class Client(SimpleNamespace):
    """What is watched of a client."""

    __hash__ = object.__hash__


def test_each_change_of_the_session_counts_and_each_operation_is_timed() -> None:
    listeners: list[Any] = []
    client: Any = Client(state=SUSPENDED, add_listener=listeners.append)
    before = {state: meter.of().count for state, meter in CHANGES.items()}
    zookeeper_metrics.watch(client)
    for state in (CONNECTED, SUSPENDED, CONNECTED, LOST):
        listeners[0](state)
    grown = {state: meter.of().count - before[state] for state, meter in CHANGES.items()}
    assert {CONNECTED: 2, SUSPENDED: 1, LOST: 1} == grown
    timed = LATENCY.of().count
    client.on_answer(3.5)
    assert timed + 1 == LATENCY.of().count
    assert 0 == IS_CONNECTED._watched[client](client)
    client.state = CONNECTED
    assert 1 == IS_CONNECTED._watched[client](client)
