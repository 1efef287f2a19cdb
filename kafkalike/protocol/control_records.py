"""Control records: what a coordinator writes into the log of each partition to end a transaction.

    a control batch holds one record
    key     int16 version, int16 type: 0 abort, 1 commit; others are Kafka's own in KRaft
    value   int16 version, int32 coordinator_epoch

A batch is a control batch by its attributes (batch.py); producer id and epoch in its header say whose transaction ends.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from kafkalike.protocol.batch import build, records
from kafkalike.protocol.primitives import Buffer
from kafkalike.protocol.record import Record

ABORT: Final = 0
COMMIT: Final = 1

_KEY = Struct(">hh")
_VALUE = Struct(">hi")


class EndTxnMarker(NamedTuple):
    """The end of one producer's transaction in one partition."""

    type: int
    coordinator_epoch: int


def read_marker(batch: Buffer) -> EndTxnMarker | None:
    """The marker in a control batch; None if it holds something else. KafkaError if it cannot be read."""
    return next((marker_of(record) for record in records(batch)), None)


def marker_of(record: Record) -> EndTxnMarker | None:
    """The marker that a control record is; None if it is something else."""
    key, value = record.key or b"", record.value or b""
    if len(key) < _KEY.size or len(value) < _VALUE.size:
        return None
    kind = _KEY.unpack_from(key)[1]
    return EndTxnMarker(kind, _VALUE.unpack_from(value)[1]) if kind in (ABORT, COMMIT) else None


def build_marker(
    marker: EndTxnMarker, producer_id: int, producer_epoch: int, now_ms: int, base_offset: int = 0
) -> bytes:
    """The control batch that ends this producer's transaction."""
    key, value = _KEY.pack(0, marker.type), _VALUE.pack(0, marker.coordinator_epoch)
    return build(
        [(key, value, now_ms, ())],
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
        control=True,
    )
