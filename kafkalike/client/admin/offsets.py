"""Offsets of partitions by time, and the deletion of the records before an offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafkalike.client.cluster import Partition
from kafkalike.client.effects import Steps
from kafkalike.client.errors import raise_error
from kafkalike.client.routing import Routing
from kafkalike.protocol import READ_UNCOMMITTED
from kafkalike.protocol.messages import by_name

DELETION_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class OffsetAndTimestamp:
    """What ListOffsets found for a partition; offset -1 is nothing."""

    offset: int
    timestamp: int
    leader_epoch: int


def list_offsets(
    routing: Routing, wanted: Mapping[Partition, int], isolation_level: int = READ_UNCOMMITTED
) -> Steps[dict[Partition, OffsetAndTimestamp]]:
    """Offsets by time: a timestamp, or EARLIEST, LATEST, MAX_TIMESTAMP."""
    api = by_name("list_offsets")

    def attempt() -> Steps[dict[Partition, OffsetAndTimestamp]]:
        found: dict[Partition, OffsetAndTimestamp] = {}
        for node, partitions in (yield from routing.by_leader(wanted)).items():
            topics: dict[str, list[Any]] = {}
            for topic, partition in partitions:
                topics.setdefault(topic, []).append(
                    api.ListOffsetsPartition(partition_index=partition, timestamp=wanted[topic, partition])
                )
            request = api.Request(
                replica_id=-1,
                isolation_level=isolation_level,
                topics=[api.ListOffsetsTopic(name=name, partitions=parts) for name, parts in topics.items()],
            )
            for name, p in _partitions(routing, (yield from routing.ask(node, api, request))):
                found[name, p.partition_index] = OffsetAndTimestamp(p.offset, p.timestamp, p.leader_epoch)
        return found

    return routing.retrying("listOffsets", attempt)


def delete_records(routing: Routing, before: Mapping[Partition, int]) -> Steps[dict[Partition, int]]:
    """Deletes everything before these offsets; the new low watermarks."""
    api = by_name("delete_records")

    def attempt() -> Steps[dict[Partition, int]]:
        done: dict[Partition, int] = {}
        for node, partitions in (yield from routing.by_leader(before)).items():
            topics: dict[str, list[Any]] = {}
            for topic, partition in partitions:
                topics.setdefault(topic, []).append(
                    api.DeleteRecordsPartition(partition_index=partition, offset=before[topic, partition])
                )
            request = api.Request(
                topics=[api.DeleteRecordsTopic(name=name, partitions=parts) for name, parts in topics.items()],
                timeout_ms=DELETION_TIMEOUT_MS,
            )
            for name, p in _partitions(routing, (yield from routing.ask(node, api, request))):
                done[name, p.partition_index] = p.low_watermark
        return done

    return routing.retrying("deleteRecords", attempt)


def _partitions(routing: Routing, response: Any) -> list[tuple[str, Any]]:
    """The partitions of an answer with their topics; raises the first error, after which leaders are looked up anew."""
    found = [(topic.name, p) for topic in response.topics for p in topic.partitions]
    for name, p in found:
        if p.error_code:
            routing.forget_topics([name])
            raise_error(p.error_code, about=f"{name}-{p.partition_index}")
    return found
