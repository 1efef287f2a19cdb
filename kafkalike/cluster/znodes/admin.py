"""What old tools and the admin APIs order of the controller: deletions, preferred elections, reassignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafkalike.cluster.znodes.encoding import Garbage, broker_ids, field_of, json_object, shortened, to_json


class DeleteTopicNode:
    """The order to delete a topic: it has no data."""

    @staticmethod
    def path(topic: str) -> str:
        """/admin/delete_topics/T"""
        return f"/admin/delete_topics/{topic}"

    @staticmethod
    def directory() -> str:
        """The parent of them all."""
        return "/admin/delete_topics"


class PreferredElectionNode:
    """Partitions whose leadership is to go back to the preferred replica: written by old tools."""

    @staticmethod
    def path() -> str:
        """/admin/preferred_replica_election"""
        return "/admin/preferred_replica_election"

    @staticmethod
    def encode(partitions: Iterable[tuple[str, int]]) -> bytes:
        """Version 1."""
        return to_json({"version": 1, "partitions": [{"topic": topic, "partition": p} for topic, p in partitions]})

    @classmethod
    def decode(cls, data: bytes | None) -> list[tuple[str, int]]:
        """The partitions in the order of the list, each once."""
        return list(dict.fromkeys((topic, p) for topic, p, _ in _partition_list(cls.path(), data)))


class ReassignNode:
    """Partitions and the replicas that they are to have: written by old tools. What is done is taken out of it."""

    @staticmethod
    def path() -> str:
        """/admin/reassign_partitions"""
        return "/admin/reassign_partitions"

    @staticmethod
    def encode(wanted: Mapping[tuple[str, int], tuple[int, ...]]) -> bytes:
        """Version 1."""
        entries = [{"topic": topic, "partition": p, "replicas": list(ids)} for (topic, p), ids in wanted.items()]
        return to_json({"version": 1, "partitions": entries})

    @classmethod
    def decode(cls, data: bytes | None) -> dict[tuple[str, int], tuple[int, ...]]:
        """The last entry for a partition counts."""
        found = _partition_list(cls.path(), data)
        return {(topic, p): broker_ids(cls.path(), entry.get("replicas")) for topic, p, entry in found}


def _partition_list(path: str, data: bytes | None) -> list[tuple[str, int, dict[str, Any]]]:
    found = []
    for entry in field_of(json_object(path, data), path, "partitions", list):
        if not isinstance(entry, dict):
            raise Garbage(path, f"no partition: {shortened(entry)}")
        found.append((field_of(entry, path, "topic", str), field_of(entry, path, "partition", int), entry))
    return found
