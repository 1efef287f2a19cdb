"""What a partition knows of its idempotent and transactional producers: epochs, sequences, open transactions.

A function of the log's batches: `update` and `end_transaction` are called in log order and only for batches that
are in the file (KAFKA-6683), so that a replay of the log ends in the same state. Snapshots save the replay:

    <offset>.snapshot, the state before `offset`:
    0   int16   version, 1
    2   uint32  CRC-32C of the bytes from 6
    6   int32   number of entries; each of 46 bytes:
        int64 producer id, int16 epoch, int32 last sequence, int64 last offset, int32 last - first offset of the last
        batch, int64 timestamp, int32 coordinator epoch, int64 first offset of the open transaction or -1
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import MAX_SEQUENCE

WINDOW: Final = 5  # batches kept for duplicates, and so the most a client may have in flight

_new = tuple.__new__

_HEAD = struct.Struct(">hIi")
_ENTRY = struct.Struct(">qhiqiqiq")


class Sent(NamedTuple):
    """What is remembered of one batch that a producer wrote."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def base_offset(self) -> int:
        return self.last_offset - self.offset_delta

    @property
    def base_sequence(self) -> int:
        return back(self.last_sequence, self.offset_delta)


def ahead(sequence: int, count: int) -> int:
    """The sequence `count` after this one: 0 follows 2^31 - 1."""
    return (sequence + count) & MAX_SEQUENCE


def back(sequence: int, count: int) -> int:
    """The sequence `count` before this one."""
    return (sequence - count) & MAX_SEQUENCE if sequence >= 0 else sequence


class Producer:
    """The state of one producer id."""

    __slots__ = ("epoch", "next_sequence", "coordinator_epoch", "timestamp", "txn_first_offset", "batches", "recalled")

    def __init__(self, epoch: int = -1) -> None:
        self.epoch = epoch
        self.next_sequence = 0  # what this epoch's next batch has to begin with
        self.coordinator_epoch = -1
        self.timestamp = -1
        self.txn_first_offset = -1
        self.batches: list[Sent] = []
        self.recalled = False  # whether the log was looked through for more batches

    def add(self, last_sequence: int, last_offset: int, delta: int, timestamp: int) -> None:
        """A batch of the current epoch is in the log."""
        batches = self.batches
        batches.append(_new(Sent, (last_sequence, last_offset, delta, timestamp)))
        if len(batches) > WINDOW:
            del batches[0]
        self.next_sequence = (last_sequence + 1) & MAX_SEQUENCE
        self.timestamp = timestamp

    def recall(self, earlier: Iterable[Sent]) -> bool:
        """Batches of the current epoch before those that are known, in order: as many as there is room for are known
        again. Whether there were any."""
        room = WINDOW - len(self.batches)
        known = list(earlier)[-room:]
        self.batches[:0] = known
        return bool(known)

    def begin(self, epoch: int) -> None:
        """A new epoch: its sequences begin at 0."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.next_sequence = 0
            self.batches.clear()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Producer) and all(getattr(self, f) == getattr(other, f) for f in self.__slots__[:-1])

    def __repr__(self) -> str:
        return "Producer(" + ", ".join(f"{f}={getattr(self, f)}" for f in self.__slots__) + ")"


class Producers:
    """Producer id -> Producer, and the transactions that keep the last stable offset down."""

    __slots__ = ("entries", "open", "undecided")

    def __init__(self) -> None:
        self.entries: dict[int, Producer] = {}
        # First offset -> producer id of transactions without a marker. Offsets only grow: the oldest comes first.
        self.open: dict[int, int] = {}
        # (first offset, marker's offset) of transactions whose marker may still be above the high watermark.
        self.undecided: list[tuple[int, int]] = []

    def check(
        self, producer_id: int, epoch: int, sequence: int, delta: int, transactional: bool, client: bool = True
    ) -> Sent | None:
        """May this batch be appended? The earlier batch if it is a repeat, None if it is new, else a KafkaError.

        A coordinator's own batches (`client=False`) carry no sequences; only their epoch counts.
        """
        entry = self.entries.get(producer_id)
        if entry is None:
            # Nothing is known, perhaps because it expired or the records are gone: any sequence begins.
            return None
        if client and epoch == entry.epoch:
            last = ahead(sequence, delta)
            for sent in entry.batches:
                if sent.last_sequence == last and sent.offset_delta == delta:
                    return sent
        if epoch < entry.epoch:
            raise KafkaError(
                Error.INVALID_PRODUCER_EPOCH,
                f"Producer {producer_id} has epoch {entry.epoch} here, the batch comes with the older {epoch}.",
            )
        if client:
            expected = entry.next_sequence if epoch == entry.epoch else 0
            if entry.epoch == -1:
                expected = sequence
            if sequence != expected:
                raise KafkaError(
                    Error.OUT_OF_ORDER_SEQUENCE_NUMBER,
                    f"Producer {producer_id}, epoch {epoch}, sent sequence {sequence}; {expected} comes next.",
                )
        if entry.txn_first_offset >= 0 and not transactional:
            raise KafkaError(
                Error.INVALID_TXN_STATE,
                f"Producer {producer_id} has a transaction open; a batch outside of it cannot come between.",
            )
        return None

    def update(
        self, producer_id: int, epoch: int, sequence: int, base_offset: int, delta: int, timestamp: int, txn: bool
    ) -> None:
        """A batch of this producer is in the log."""
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = Producer(epoch)
        entry.begin(epoch)
        entry.add((sequence + delta) & MAX_SEQUENCE if sequence >= 0 else -1, base_offset + delta, delta, timestamp)
        if txn and entry.txn_first_offset < 0:
            entry.txn_first_offset = base_offset
            self.open[base_offset] = producer_id

    def check_marker(self, producer_id: int, epoch: int, coordinator_epoch: int) -> None:
        """May this marker be appended? A coordinator that was replaced is told so."""
        entry = self.entries.get(producer_id)
        if entry is None:
            return
        if epoch < entry.epoch:
            raise KafkaError(
                Error.INVALID_PRODUCER_EPOCH,
                f"Producer {producer_id} has epoch {entry.epoch} here, the marker comes with the older {epoch}.",
            )
        if coordinator_epoch < entry.coordinator_epoch:
            raise KafkaError(
                Error.TRANSACTION_COORDINATOR_FENCED,
                f"A marker for producer {producer_id} came from coordinator epoch {coordinator_epoch}, "
                f"after one from {entry.coordinator_epoch}.",
            )

    def end_transaction(
        self, producer_id: int, epoch: int, coordinator_epoch: int, offset: int, timestamp: int
    ) -> int | None:
        """A marker is in the log at `offset`; the first offset of the transaction it ended, if there was one."""
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = Producer(epoch)
        entry.begin(epoch)
        first = entry.txn_first_offset
        entry.txn_first_offset = -1
        entry.coordinator_epoch = coordinator_epoch
        entry.timestamp = timestamp
        if first < 0:
            return None
        self.open.pop(first, None)
        self.undecided.append((first, offset))
        return first

    def first_unstable_offset(self, high_watermark: int) -> int | None:
        """The first offset of the oldest transaction that readers of committed data must not see yet."""
        if self.undecided:
            self.undecided = [txn for txn in self.undecided if txn[1] >= high_watermark]
        starts = [first for first, _ in self.undecided]
        if self.open:
            starts.append(next(iter(self.open)))
        return min(starts, default=None)

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        """Forgets producers that were silent for so long and have no transaction open; how many."""
        gone = [
            producer_id
            for producer_id, entry in self.entries.items()
            if entry.txn_first_offset < 0 and now_ms - entry.timestamp >= expiration_ms
        ]
        for producer_id in gone:
            del self.entries[producer_id]
        return len(gone)

    def encode(self) -> bytes:
        """The bytes of a snapshot file. Of each producer only the last batch is kept, as in Kafka."""
        parts = [struct.pack(">i", len(self.entries))]
        for producer_id, entry in self.entries.items():
            last = entry.batches[-1] if entry.batches else Sent(-1, -1, 0, entry.timestamp)
            parts.append(
                _ENTRY.pack(
                    producer_id,
                    entry.epoch,
                    last.last_sequence,
                    last.last_offset,
                    last.offset_delta,
                    entry.timestamp,
                    entry.coordinator_epoch,
                    entry.txn_first_offset,
                )
            )
        body = b"".join(parts)
        return struct.pack(">hI", 1, crc32c(body)) + body

    @classmethod
    def decode(cls, data: bytes | None) -> "Producers | None":
        """Decodes a snapshot file; None when it is damaged."""
        if data is None or len(data) < _HEAD.size:
            return None
        version, crc, count = _HEAD.unpack_from(data)
        if version != 1 or crc != crc32c(memoryview(data)[6:]) or len(data) != _HEAD.size + count * _ENTRY.size:
            return None
        producers = cls()
        starts: dict[int, int] = {}
        for fields in _ENTRY.iter_unpack(memoryview(data)[_HEAD.size :]):
            producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, first = fields
            entry = producers.entries[producer_id] = Producer(epoch)
            entry.coordinator_epoch = coordinator_epoch
            entry.timestamp = timestamp
            entry.txn_first_offset = first
            if last_offset >= 0:
                entry.add(last_sequence, last_offset, delta, timestamp)
            if first >= 0:
                starts[first] = producer_id
        producers.open = dict(sorted(starts.items()))
        return producers
