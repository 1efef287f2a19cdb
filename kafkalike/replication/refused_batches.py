"""Batches that were just refused for a reason that passes, and what this means for those that were sent behind them.

A producer has several batches under way. When the first is refused, for want of space, of replicas or of leadership,
and the reason has passed when the second is looked at, the second leaves a gap in the producer's sequence. Told so
(OUT_OF_ORDER_SEQUENCE_NUMBER), clients believe that records are lost: librdkafka begins a new epoch for everything it
has under way, and what was stored elsewhere without an answer is stored twice. And of a producer that is not known
here any batch may be the first: the second would be taken, and the first refused for ever.

So what comes behind a refused batch is refused for the same reason, until that batch has come again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import MAX_SEQUENCE, read_producer
from kafkalike.storage.producer_state import Producers

# What clients repeat, in order, when they are told.
PASSING: Final = frozenset(
    (
        Error.NOT_LEADER_OR_FOLLOWER,
        Error.UNKNOWN_TOPIC_OR_PARTITION,
        Error.NOT_ENOUGH_REPLICAS,
        Error.KAFKA_STORAGE_ERROR,
    )
)
# What was sent behind a batch is there long before; and a client that has given it up does not wait for ever.
KEPT_MS: Final = 30_000


class Refused(NamedTuple):
    """The earliest batch of a producer that was refused."""

    epoch: int
    sequence: int
    error: Error
    until_ms: int


class RefusedBatches:
    """The refused batches of all partitions; `entries` is empty except for a while after a refusal."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int, int], Refused] = {}

    def note(self, topic: str, index: int, records: memoryview, error: Error, now_ms: int) -> None:
        """A batch was refused."""
        sender = read_producer(records) if error in PASSING else None
        if sender is None:
            return
        producer_id, epoch, sequence = sender
        if producer_id < 0 or sequence < 0:
            return
        self.entries = {key: each for key, each in self.entries.items() if each.until_ms > now_ms}
        known = self.entries.get((topic, index, producer_id))
        if known is None or known.epoch != epoch or _behind(known.sequence, sequence):
            self.entries[topic, index, producer_id] = Refused(epoch, sequence, error, now_ms + KEPT_MS)

    def check(self, topic: str, index: int, records: memoryview, producers: Producers, now_ms: int) -> None:
        """Raises a KafkaError when this batch was sent behind one that was refused and has not come again."""
        sender = read_producer(records)
        if sender is None:
            return
        producer_id, epoch, sequence = sender
        refused = self.entries.get((topic, index, producer_id))
        if refused is None or refused.epoch != epoch:
            return
        producer = producers.entries.get(producer_id)
        if refused.until_ms <= now_ms or (
            producer is not None
            and (producer.epoch > epoch or producer.epoch == epoch and producer.next_sequence != refused.sequence)
        ):
            del self.entries[topic, index, producer_id]
        elif _behind(sequence, refused.sequence):
            raise KafkaError(
                refused.error, f"The batch with sequence {refused.sequence}, which comes before, has just been refused."
            )


def _behind(sequence: int, other: int) -> bool:
    """Whether a sequence comes after another; 0 comes after 2^31 - 1."""
    return 0 < ((sequence - other) & MAX_SEQUENCE) <= MAX_SEQUENCE // 2
