"""A cluster as Metadata answers describe it: brokers, topics, and who leads which partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kafkalike.errors import Error

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Node:
    """A broker's address. Negative ids are bootstrap servers, whose real id is not known yet."""

    id: int
    host: str
    port: int
    rack: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port} (id: {self.id} rack: {self.rack or 'null'})"


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """One partition as Metadata tells it."""

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    error: Error


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic as Metadata tells it."""

    name: str
    id: bytes
    internal: bool
    error: Error
    partitions: tuple[PartitionInfo, ...]


@dataclass(slots=True)
class Cluster:
    """What the last Metadata answers said."""

    cluster_id: str | None = None
    controller_id: int = -1
    nodes: dict[int, Node] = field(default_factory=dict)
    topics: dict[str, TopicInfo] = field(default_factory=dict)

    def update(self, response: Any, every_topic: bool) -> None:
        """Takes in an answer. With `every_topic` the topics that it lacks do not exist."""
        self.cluster_id = response.cluster_id
        self.controller_id = response.controller_id
        nodes = {b.node_id: Node(b.node_id, b.host, b.port, b.rack or None) for b in response.brokers}
        if nodes:
            self.nodes = nodes
        found = {topic.name: _topic(topic) for topic in response.topics}
        self.topics = found if every_topic else self.topics | found

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """Partition counts of those topics that exist."""
        return {
            name: len(self.topics[name].partitions)
            for name in topics
            if name in self.topics and self.topics[name].error is Error.NONE
        }


def _topic(topic: Any) -> TopicInfo:
    partitions = tuple(
        PartitionInfo(
            p.partition_index,
            p.leader_id,
            p.leader_epoch,
            tuple(p.replica_nodes),
            tuple(p.isr_nodes),
            Error(p.error_code),
        )
        for p in sorted(topic.partitions, key=lambda p: p.partition_index)
    )
    return TopicInfo(topic.name, bytes(topic.topic_id), topic.is_internal, Error(topic.error_code), partitions)


def parse_servers(text: str) -> list[Node]:
    """`host:port,host:port` as bootstrap nodes; ValueError in Kafka's words."""
    nodes: list[Node] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        host, _, port = part.split("://")[-1].rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"Invalid url in bootstrap.servers: {part}")
        nodes.append(Node(-len(nodes) - 1, host.strip("[]"), int(port)))
    if not nodes:
        raise ValueError("No resolvable bootstrap urls given in bootstrap.servers")
    return nodes
