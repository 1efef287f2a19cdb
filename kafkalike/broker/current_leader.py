"""Where the leader is now, told with the error that says it is not here (KIP-951).

A client that gets this goes on at once, instead of asking for metadata after its retry backoff.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafkalike.errors import Error

MOVED = frozenset((Error.NOT_LEADER_OR_FOLLOWER, Error.FENCED_LEADER_EPOCH))


def fill_where_moved(call: Any, messages: Any, response: Any, answers: Iterable[tuple[str | None, int, Any]]) -> None:
    """Fills current_leader of every (topic, partition, answer) whose leader has moved, and their addresses.

    `messages` is the message module: Produce from version 10 or Fetch from version 16.
    """
    fill(call, messages, response, (item for item in answers if item[2].error_code in MOVED))


def fill(call: Any, messages: Any, response: Any, answers: Iterable[tuple[str | None, int, Any]]) -> None:
    """Does so whatever the answers are."""
    broker = call.broker
    image = broker.metadata.image
    nodes: dict[int, Any] = {}
    for topic, index, answer in answers:
        if topic is None:
            continue
        leader, epoch = _newest(broker, image, topic, index)
        if leader < 0 or leader == broker.broker_id:
            continue
        answer.current_leader = messages.LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
        endpoint = image.endpoint(leader, call.listener)
        if endpoint is not None and leader not in nodes:
            rack = image.brokers[leader].rack
            nodes[leader] = messages.NodeEndpoint(node_id=leader, host=endpoint[0], port=endpoint[1], rack=rack)
    response.node_endpoints = list(nodes.values())


def _newest(broker: Any, image: Any, topic: str, index: int) -> tuple[int, int]:
    """(leader, leader epoch) as the controller last told this broker, by either of its two ways."""
    known = image.partition(topic, index)
    newest = (known.leader, known.leader_epoch) if known is not None else (-1, -1)
    hosted = broker.replicas.hosted.get((topic, index))
    if hosted is not None and hosted.partition.leader_epoch > newest[1]:
        newest = (hosted.partition.leader, hosted.partition.leader_epoch)
    return newest
