"""Where a partition's leader is now, told with the error that says it is not here (KIP-951).

A client that gets this goes on at once, instead of asking for metadata after its retry backoff.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from kafkalike.cluster.metadata import Image
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.errors import Error
from kafkalike.replication.hosted_partitions import HostedPartitions

MOVED = frozenset((Error.NOT_LEADER_OR_FOLLOWER, Error.FENCED_LEADER_EPOCH))

Answers = Iterable[tuple[str | None, int, Any]]  # (topic, partition, its part of the response)


class CurrentLeader:
    """Fills the fields `current_leader` and `node_endpoints` of responses."""

    def __init__(self, broker_id: int, metadata: MetadataCache, partitions: HostedPartitions) -> None:
        self._broker_id = broker_id
        self._metadata = metadata
        self._partitions = partitions

    def fill_where_moved(self, listener: str, messages: ModuleType, response: Any, answers: Answers) -> None:
        """Fills those of the partitions whose leader has moved, and the addresses of the leaders on `listener`.

        `messages` is the message module: Produce from version 10 or Fetch from version 16.
        """
        self.fill(listener, messages, response, (item for item in answers if item[2].error_code in MOVED))

    def fill(self, listener: str, messages: ModuleType, response: Any, answers: Answers) -> None:
        """Fills those of all the partitions."""
        image = self._metadata.image
        nodes: dict[int, Any] = {}
        for topic, index, answer in answers:
            if topic is None:
                continue
            leader, epoch = self._newest(image, topic, index)
            if leader < 0 or leader == self._broker_id:
                continue
            answer.current_leader = messages.LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
            endpoint = image.endpoint(leader, listener)
            if endpoint is not None and leader not in nodes:
                rack = image.brokers[leader].rack
                nodes[leader] = messages.NodeEndpoint(node_id=leader, host=endpoint[0], port=endpoint[1], rack=rack)
        response.node_endpoints = list(nodes.values())

    def _newest(self, image: Image, topic: str, index: int) -> tuple[int, int]:
        """(leader, leader epoch) as the controller last told this broker, by either of its two ways."""
        known = image.partition(topic, index)
        newest = (known.leader, known.leader_epoch) if known is not None else (-1, -1)
        hosted = self._partitions.hosted.get((topic, index))
        if hosted is not None and hosted.partition.leader_epoch > newest[1]:
            newest = (hosted.partition.leader, hosted.partition.leader_epoch)
        return newest
