"""The messages inside the bytes that Fetch brought. Pure.

A broker sends batches as they lie in its files: the first may begin before the offset asked for, the last may be cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafkalike.client.assigned_partitions import ConsumerRecord
from kafkalike.client.cluster import Partition
from kafkalike.protocol import batch as batches
from kafkalike.protocol.control_records import ABORT, read_marker


def read_records(
    partition: Partition, data: Any, aborted: Iterable[Any] | None = None
) -> tuple[list[ConsumerRecord], int]:
    """The messages in fetched bytes, and the offset behind the last whole batch. Control batches are not for us;
    with `aborted` (read_committed), nor are the messages of those transactions."""
    view = memoryview(data)
    topic, number = partition
    records: list[ConsumerRecord] = []
    waiting = sorted(((a.first_offset, a.producer_id) for a in aborted or ()), reverse=True)
    cancelled: set[int] = set()
    position, behind = 0, -1
    while position + batches.HEADER_SIZE <= len(view):
        header = batches.read_header(view, position)
        end = position + header.size_bytes
        if end > len(view):
            break
        whole = view[position:end]
        position, behind = end, header.last_offset + 1
        while waiting and waiting[-1][0] <= header.last_offset:
            cancelled.add(waiting.pop()[1])
        if header.is_control:
            marker = read_marker(whole)
            if marker is not None and marker.type == ABORT:
                cancelled.discard(header.producer_id)
            continue
        if aborted is not None and header.is_transactional and header.producer_id in cancelled:
            continue
        kind = batches.TIMESTAMP_TYPES[header.timestamp_type]
        for r in batches.records(whole):
            timestamp = header.max_timestamp if kind == "LogAppendTime" else r.timestamp
            key = None if r.key is None else bytes(r.key)
            value = None if r.value is None else bytes(r.value)
            records.append(ConsumerRecord(topic, number, r.offset, timestamp, kind, key, value, tuple(r.headers)))
    return records, behind
