"""A cluster in which one broker is of Apache's: what that one writes into the log of __consumer_offsets, and reads."""

from __future__ import annotations

from typing import Any

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator import group_records
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.protocol import batch
from tests.coordinator.fakes import FakeBroker, group_in

G = group_in(0)
T0, T1 = ("t", 0), ("t", 1)
NODE = f"/consumers/{G}/offsets/t/0"


def logged(broker: FakeBroker, index: int = 0) -> dict[OffsetKey, tuple[int, str]]:
    """What a broker of Apache's would read from the log: offset and metadata."""
    found: dict[OffsetKey, tuple[int, str]] = {}
    for data in broker.replicas.log(GROUP_METADATA, index).batches:
        for record in batch.records(memoryview(data)):
            key = group_records.read_key(record.key or b"")
            if isinstance(key, OffsetKey) and record.value is None:
                found.pop(key)
            elif isinstance(key, OffsetKey):
                value = group_records.read_offset_value(record.value or b"")
                found[key] = (value.offset, value.metadata)
    return found


def beside_apaches() -> FakeBroker:
    """A broker that leads nothing yet, in a cluster with one of Apache's."""
    broker = FakeBroker(lead=())
    broker.register(2, None)
    broker.settle()
    return broker


def write(broker: FakeBroker, offset: int, ago_ms: int = 0, partition: int = 0, **fields: Any) -> None:
    """A coordinator of Apache's writes an offset into the log."""
    value = OffsetValue(offset, commit_timestamp_ms=broker.zk.now_ms - ago_ms)
    pair = (group_records.offset_key(G, "t", partition), group_records.offset_value(value))
    broker.replicas.log(GROUP_METADATA, 0).batches.append(batch.build([(*pair, broker.zk.now_ms, ())], **fields))


def fetched(broker: FakeBroker, *keys: tuple[str, int], **options: Any) -> list[Committed]:
    return [committed for _, committed in broker.wait(broker.group_coordinator.fetch(G, keys, **options))]
