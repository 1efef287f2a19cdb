"""The blocks of producer ids."""

from __future__ import annotations

from dataclasses import dataclass

from kafkalike.cluster.znodes.encoding import Garbage, field_of, json_object, to_json


@dataclass(frozen=True, slots=True)
class ProducerIdBlock:
    """The newest block of producer ids and the broker that has it; `last` belongs to the block."""

    broker_id: int
    first: int
    last: int

    SIZE = 1000

    @staticmethod
    def path() -> str:
        """/latest_producer_id_block"""
        return "/latest_producer_id_block"

    def encode(self) -> bytes:
        """The bounds are strings."""
        return to_json(
            {"version": 1, "broker": self.broker_id, "block_start": str(self.first), "block_end": str(self.last)}
        )

    @classmethod
    def decode(cls, data: bytes | None) -> ProducerIdBlock | None:
        """None for null data: no block was given out yet. Empty bytes are garbage, as to Apache Kafka."""
        if data is None:
            return None
        node = json_object(cls.path(), data)
        first, last = (field_of(node, cls.path(), key, str) for key in ("block_start", "block_end"))
        # 18 digits are numbers of 64 bits, whatever they are.
        if not all(bound.isascii() and bound.isdigit() and len(bound) <= 18 for bound in (first, last)):
            raise Garbage(cls.path(), "a bound is no number")
        return cls(field_of(node, cls.path(), "broker", int), int(first), int(last))

    @classmethod
    def after(cls, block: ProducerIdBlock | None, broker_id: int) -> ProducerIdBlock:
        """The block that follows."""
        first = block.last + 1 if block else 0
        return cls(broker_id, first, first + cls.SIZE - 1)
