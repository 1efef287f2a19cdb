"""The settings of one log, from Kafka's topic keys."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

FOREVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The settings of a log, one field per topic key ("segment.bytes"), with Kafka's defaults; retention is unlimited
    unless set."""

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * 24 * 3600 * 1000
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    flush_messages: int = FOREVER
    flush_ms: int = FOREVER
    retention_ms: int = -1
    retention_bytes: int = -1
    max_message_bytes: int = 1048588
    file_delete_delay_ms: int = 60000
    cleanup_policy: tuple[str, ...] = ("delete",)
    compression_type: str = "producer"
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = FOREVER
    message_timestamp_after_max_ms: int = FOREVER
    producer_id_expiration_ms: int = 86400000

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "LogConfig":
        """The settings from a mapping by Kafka's keys; a key that is absent or None has its default."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            key = each.name.replace("_", ".")
            value = config.get(key)
            if value is not None:
                values[each.name] = value
        # Deprecated by the other two (KIP-937), it counts where they say nothing.
        both = config.get("message.timestamp.difference.max.ms", FOREVER)
        for name in ("message_timestamp_before_max_ms", "message_timestamp_after_max_ms"):
            if values.get(name, FOREVER) == FOREVER:
                values[name] = both
        policy = values.get("cleanup_policy")
        if isinstance(policy, str):
            policy = [word.strip() for word in policy.split(",") if word.strip()]
        if policy is not None:
            values["cleanup_policy"] = tuple(policy)
        return cls(**values)

    @property
    def deletes(self) -> bool:
        """Whether old segments are deleted by time and size."""
        return "delete" in self.cleanup_policy

    @property
    def compacts(self) -> bool:
        """Whether the log is compacted, so that every record needs a key."""
        return "compact" in self.cleanup_policy
