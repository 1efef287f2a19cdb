"""Who the controller is, and how many there have been."""

from __future__ import annotations

from dataclasses import dataclass

from kafkalike.cluster.znodes.encoding import Garbage, field_of, is_int32, json_object, shortened, to_json


@dataclass(frozen=True, slots=True)
class ControllerNode:
    """Who the controller is. A positive `kraft_epoch` means that a migration to KRaft owns the cluster."""

    broker_id: int
    timestamp_ms: int = 0
    kraft_epoch: int = -1

    @staticmethod
    def path() -> str:
        """/controller"""
        return "/controller"

    def encode(self) -> bytes:
        """Version 2."""
        return to_json(
            {
                "version": 2,
                "brokerid": self.broker_id,
                "timestamp": str(self.timestamp_ms),
                "kraftControllerEpoch": self.kraft_epoch,
            }
        )

    @classmethod
    def decode(cls, data: bytes | None) -> ControllerNode:
        """Version 1 has no kraftControllerEpoch."""
        node = json_object(cls.path(), data)
        kraft = node.get("kraftControllerEpoch", -1)
        return cls(field_of(node, cls.path(), "brokerid", int), 0, kraft if isinstance(kraft, int) else -1)


class ControllerEpoch:
    """How many controllers there have been. Its znode's version is what fences them."""

    @staticmethod
    def path() -> str:
        """/controller_epoch"""
        return "/controller_epoch"

    @staticmethod
    def encode(epoch: int) -> bytes:
        """Plain decimal text."""
        return b"%d" % epoch

    @classmethod
    def decode(cls, data: bytes | None) -> int:
        """The number."""
        text = (data or b"").strip()
        if not text.isdigit() or len(text) > 10 or not is_int32(int(text)):
            raise Garbage(cls.path(), f"not a number: {shortened(data)}")
        return int(text)
