"""Which partition a message goes to. Called by producers, before batching, so that nothing after it can change it.

With a key: murmur2 of the key, as the Java client does, so that both put the same key into the same partition.
Without a key: strict round robin by default; every call gives the next partition, whatever happens to the batch.
"""

from __future__ import annotations

from typing import Protocol

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash that the Java client uses, as an unsigned number."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for position in range(0, whole, 4):
        k = int.from_bytes(data[position : position + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition of a message with this key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class Keyless(Protocol):
    """A policy for messages without a key."""

    def choose(self, topic: str, partitions: int) -> int:
        """The partition of the next message."""

    def batch_closed(self, topic: str, partitions: int) -> None:
        """A batch of this topic is complete."""


class RoundRobin:
    """Partitions 0, 1, 2, ... in turn, a turn for each message."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def choose(self, topic: str, partitions: int) -> int:
        """The partition after the one before; partitions added meanwhile join the round."""
        partition = self._next.get(topic, 0) % partitions
        self._next[topic] = partition + 1
        return partition

    def batch_closed(self, topic: str, partitions: int) -> None:
        """Batches do not matter here."""


class Sticky:
    """One partition until its batch is complete, then the next: fewer and larger batches, as Kafka does since 2.4."""

    def __init__(self) -> None:
        self._current: dict[str, int] = {}

    def choose(self, topic: str, partitions: int) -> int:
        """The partition whose batch is being filled."""
        return self._current.setdefault(topic, 0) % partitions

    def batch_closed(self, topic: str, partitions: int) -> None:
        """Move on to the next partition."""
        self._current[topic] = (self._current.get(topic, 0) + 1) % partitions
