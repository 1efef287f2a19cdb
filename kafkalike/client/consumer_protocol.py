"""The bytes that members of a consumer group exchange through the coordinator, which does not read them.

    subscription: int16 version, [string] topics, bytes user data, from version 1 [string, [int32]] owned partitions,
                  from version 2 int32 generation, from version 3 nullable string rack
    assignment:   int16 version, [string, [int32]] partitions, bytes user data

Newer versions only append, so a reader takes what it knows and ignores the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from kafkalike.errors import ProtocolError

VERSION = 1


def encode_subscription(topics: Iterable[str], owned: Iterable[tuple[str, int]] = ()) -> bytes:
    """What a member wants."""
    names = sorted(topics)
    return b"".join(
        [
            struct.pack(">hi", VERSION, len(names)),
            *(_string(name) for name in names),
            struct.pack(">i", -1),
            _partitions(owned),
        ]
    )


def decode_subscription(data: bytes) -> list[str]:
    """The topics a member wants."""
    reader = _Reader(data)
    reader.int16()
    return [reader.string() for _ in range(reader.count())]


def encode_assignment(partitions: Iterable[tuple[str, int]]) -> bytes:
    """What a member gets."""
    return struct.pack(">h", VERSION) + _partitions(partitions) + struct.pack(">i", -1)


def decode_assignment(data: bytes) -> list[tuple[str, int]]:
    """The partitions a member got; no bytes are no partitions."""
    if not data:
        return []
    reader = _Reader(data)
    reader.int16()
    found: list[tuple[str, int]] = []
    for _ in range(reader.count()):
        topic = reader.string()
        found.extend((topic, reader.int32()) for _ in range(reader.count()))
    return found


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def _partitions(partitions: Iterable[tuple[str, int]]) -> bytes:
    by_topic: dict[str, list[int]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(partition)
    parts = [struct.pack(">i", len(by_topic))]
    for topic, numbers in by_topic.items():
        parts += [_string(topic), struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)]
    return b"".join(parts)


class _Reader:
    """Reads forward; anything that does not fit is a ProtocolError."""

    def __init__(self, data: bytes) -> None:
        self.data = bytes(data)
        self.position = 0

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise ProtocolError("a group member's metadata ends early")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def count(self) -> int:
        count = max(self.int32(), 0)
        if count > len(self.data):
            raise ProtocolError("a group member's metadata claims more entries than it has bytes")
        return count

    def string(self) -> str:
        return self._take(self.int16()).decode("utf-8", "replace")
