"""The image of the cluster that this broker answers Metadata from: what the controller last told it, and nothing else.

Immutable: each UpdateMetadata makes a new image, which shares with the old one all that the request did not touch.
metadata_cache.py holds the current one. Dictionaries inside are never changed after they were put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kafkalike.cluster.znodes.topics import NO_TOPIC_ID
from kafkalike.protocol.messages import update_metadata
from kafkalike.protocol.messages.update_metadata import FULL
from kafkalike.protocol.messages.update_metadata import UpdateMetadataPartitionState as State

# The leader of a partition that is being deleted, in UpdateMetadata: forget it.
LEADER_DURING_DELETE = -2

# SecurityProtocol ids of the wire, and back.
SECURITY_PROTOCOLS = {0: "PLAINTEXT", 1: "SSL", 2: "SASL_PLAINTEXT", 3: "SASL_SSL"}
SECURITY_PROTOCOL_IDS = {name: number for number, name in SECURITY_PROTOCOLS.items()}

Endpoint = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Broker:
    """A live broker: endpoints are listener name -> (host, port, security protocol's name)."""

    id: int
    rack: str | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition, in the controller's words. `zk_version` is the partition epoch."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]
    offline_replicas: tuple[int, ...] = ()
    zk_version: int = 0
    controller_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; `id` is 16 bytes, all zero when it has none."""

    name: str
    id: bytes
    partitions: Mapping[int, PartitionState]


@dataclass(frozen=True, slots=True)
class Image:
    """What a broker knows of the cluster. `names` finds a topic's name by its id."""

    cluster_id: str = ""
    controller_id: int = -1
    brokers: Mapping[int, Broker] = field(default_factory=dict)
    topics: Mapping[str, Topic] = field(default_factory=dict)
    names: Mapping[bytes, str] = field(default_factory=dict)

    def apply(self, request: update_metadata.Request) -> Image:
        """The image after an UpdateMetadata request: brokers replaced, the partitions it names merged or dropped; of a
        full one, no others."""
        full = request.type == FULL
        topics = {} if full else dict(self.topics)
        names = {} if full else dict(self.names)
        for topic_name, topic_id, states in topic_states(request):
            known = self.topics.get(topic_name)
            partitions = dict(known.partitions) if known and not full else {}
            identity = topic_id if topic_id != NO_TOPIC_ID else (known.id if known else NO_TOPIC_ID)
            if known and identity != known.id:
                # The same name made anew: nothing of the old topic may stay.
                names.pop(known.id, None)
                partitions = {}
            for state in states:
                if state.leader == LEADER_DURING_DELETE:
                    partitions.pop(state.partition_index, None)
                else:
                    partitions[state.partition_index] = _partition(state)
            if partitions:
                topics[topic_name] = Topic(topic_name, identity, partitions)
                if identity != NO_TOPIC_ID:
                    names[identity] = topic_name
            else:
                topics.pop(topic_name, None)
                names.pop(identity, None)
        brokers = {broker.id: _broker(broker) for broker in request.live_brokers}
        return replace(self, controller_id=request.controller_id, brokers=brokers, topics=topics, names=names)

    def partition(self, topic: str, partition: int) -> PartitionState | None:
        """One partition's state, or None when the image has none."""
        known = self.topics.get(topic)
        return known.partitions.get(partition) if known else None

    def endpoint(self, broker_id: int, listener: str) -> Endpoint | None:
        """Where a live broker is reached on a listener, or None."""
        broker = self.brokers.get(broker_id)
        return broker.endpoints.get(listener) if broker else None


def topic_states(request: update_metadata.Request) -> list[tuple[str, bytes, list[State]]]:
    """(topic, its id, partition states): versions up to 4 have a flat list of partitions, later ones topics."""
    grouped: dict[str, tuple[bytes, list[State]]] = {}
    for state in request.ungrouped_partition_states:
        grouped.setdefault(state.topic_name, (NO_TOPIC_ID, []))[1].append(state)
    for topic in request.topic_states:
        grouped[topic.topic_name] = (bytes(topic.topic_id), topic.partition_states)
    return [(name, topic_id, states) for name, (topic_id, states) in grouped.items()]


def _partition(state: State) -> PartitionState:
    return PartitionState(
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        isr=tuple(state.isr),
        replicas=tuple(state.replicas),
        offline_replicas=tuple(state.offline_replicas),
        zk_version=state.zk_version,
        controller_epoch=state.controller_epoch,
    )


def _broker(broker: update_metadata.UpdateMetadataBroker) -> Broker:
    endpoints: dict[str, Endpoint] = {}
    for endpoint in broker.endpoints:
        protocol = SECURITY_PROTOCOLS.get(endpoint.security_protocol, "PLAINTEXT")
        # Before version 3 an endpoint had no listener name: it was that of its protocol.
        endpoints[endpoint.listener or protocol] = (endpoint.host, endpoint.port, protocol)
    if not endpoints and broker.v0_host:
        endpoints["PLAINTEXT"] = (broker.v0_host, broker.v0_port, "PLAINTEXT")
    return Broker(broker.id, broker.rack or None, endpoints)
