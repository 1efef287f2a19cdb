"""What belongs to the cluster as a whole: the directories that every broker makes, its id, its finalized features."""

from __future__ import annotations

from kafkalike.cluster.znodes.encoding import Garbage, field_of, json_object, to_json

# Made by every broker at start, in this order, each with its parents and null data.
TOP_LEVEL = (
    "/consumers",
    "/brokers/ids",
    "/brokers/topics",
    "/config/changes",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
)


class ClusterId:
    """The cluster's name, made by the first broker."""

    @staticmethod
    def path() -> str:
        """/cluster/id"""
        return "/cluster/id"

    @staticmethod
    def encode(cluster_id: str) -> bytes:
        """`{"version":"1","id":...}`"""
        return to_json({"version": "1", "id": cluster_id})

    @classmethod
    def decode(cls, data: bytes | None) -> str:
        """The id."""
        cluster_id: str = field_of(json_object(cls.path(), data), cls.path(), "id", str)
        return cluster_id


class FeatureNode:
    """Finalized features: none in ZooKeeper mode, but brokers of Apache Kafka wait for the node."""

    @staticmethod
    def path() -> str:
        """/feature"""
        return "/feature"

    @staticmethod
    def encode() -> bytes:
        """Version 2, enabled, nothing finalized."""
        return to_json({"features": {}, "version": 2, "status": 1})

    @classmethod
    def is_current(cls, data: bytes | None) -> bool:
        """Whether the node needs no rewriting."""
        try:
            node = json_object(cls.path(), data)
        except Garbage:
            return False
        return node.get("version") == 2 and node.get("status") == 1 and isinstance(node.get("features"), dict)
