"""Messages on their way out: one queue of batches per partition. Pure; the producer's sender performs what it says.

Invariant: at most one batch of a partition is under way, and a batch that has to be sent again goes back to the head
of its queue with the same contents and sequence. So order within a partition survives retries, and an idempotent
producer's repeats are recognised by the broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kafkalike.client.cluster import Partition
from kafkalike.protocol.batch import HEADER_SIZE

Headers = tuple[tuple[str, bytes | None], ...]

# What an appended message does: nothing for the sender, it begins a batch, or it completes the one before or its own.
NOTHING, BEGUN, CLOSED = None, "begun", "closed"

# What a record costs beside its key and value: length, offset, time and header counts, generously.
RECORD_OVERHEAD_BYTES = 21


@dataclass(slots=True)
class Batch:
    """Messages of one partition that travel together. `tokens` belong to the caller, one for each record."""

    partition: Partition
    created_ms: int
    records: list[tuple[bytes | None, bytes | None, int, Headers]] = field(default_factory=list)
    tokens: list[Any] = field(default_factory=list)
    size_bytes: int = HEADER_SIZE
    closed: bool = False
    base_sequence: int = -1
    attempts: int = 0
    not_before_ms: int = 0
    payload: bytes | None = None


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """An upper bound of the bytes a record takes in a batch, before compression."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    return size + sum(10 + 3 * len(name) + len(data or b"") for name, data in headers)


class Accumulator:
    """Batches by partition, and which of them may leave now."""

    def __init__(self, batch_size: int = 16384, linger_ms: int = 0) -> None:
        self.batch_size = batch_size
        self.linger_ms = linger_ms
        self.buffered_bytes = 0
        self._queues: dict[Partition, deque[Batch]] = {}
        self._under_way: set[Partition] = set()
        self._flushing = False

    def append(
        self,
        partition: Partition,
        record: tuple[bytes | None, bytes | None, int, Headers],
        token: Any,
        now_ms: int,
    ) -> str | None:
        """Adds one message: NOTHING, BEGUN or CLOSED."""
        queue = self._queues.setdefault(partition, deque())
        size = record_size(record[0], record[1], record[3])
        self.buffered_bytes += size
        change: str | None = NOTHING
        batch = queue[-1] if queue else None
        if batch is None or batch.closed or batch.size_bytes + size > self.batch_size:
            if batch is not None and not batch.closed:
                batch.closed = True
                change = CLOSED
            else:
                change = BEGUN
            batch = Batch(partition, now_ms)
            queue.append(batch)
        batch.records.append(record)
        batch.tokens.append(token)
        batch.size_bytes += size
        if batch.size_bytes >= self.batch_size:
            batch.closed = True
            change = CLOSED
        return change

    def flush(self, on: bool = True) -> None:
        """While on, nothing lingers."""
        self._flushing = on

    @property
    def empty(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not self._under_way and not any(self._queues.values())

    def ready(self, now_ms: int) -> list[Partition]:
        """Partitions whose next batch may leave."""
        return [partition for partition, due in self._due() if due <= now_ms]

    def next_due_ms(self) -> int | None:
        """When something will be ready that is not yet; None when nothing waits."""
        return min((due for _, due in self._due()), default=None)

    def _due(self) -> Iterator[tuple[Partition, int]]:
        for partition, queue in self._queues.items():
            if queue and partition not in self._under_way:
                head = queue[0]
                hurry = head.closed or self._flushing or len(queue) > 1 or head.attempts
                yield partition, max(head.not_before_ms, head.created_ms + (0 if hurry else self.linger_ms))

    def take(self, partition: Partition) -> Batch:
        """The next batch of a partition, now under way: finish it with `done` or `again`."""
        assert partition not in self._under_way, f"{partition} has a batch under way already"
        batch = self._queues[partition].popleft()
        batch.closed = True
        self._under_way.add(partition)
        return batch

    def done(self, batch: Batch) -> None:
        """The batch was answered for good, or given up."""
        self._under_way.remove(batch.partition)
        self.buffered_bytes -= batch.size_bytes - HEADER_SIZE

    def again(self, batch: Batch, not_before_ms: int) -> None:
        """The batch has to be sent again, before everything behind it."""
        self._under_way.remove(batch.partition)
        batch.attempts += 1
        batch.not_before_ms = not_before_ms
        self._queues[batch.partition].appendleft(batch)

    def drop_all(self) -> list[Batch]:
        """Takes out everything that waits; for a producer that cannot go on."""
        batches = [batch for queue in self._queues.values() for batch in queue]
        self._queues.clear()
        self.buffered_bytes = 0
        return batches
