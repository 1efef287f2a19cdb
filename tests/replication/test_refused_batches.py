"""What was sent behind a refused batch is refused as that was, until that has come again (F3)."""

from __future__ import annotations

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.replication.refused_batches import KEPT_MS, RefusedBatches
from kafkalike.storage.producer_state import MAX_SEQUENCE, Producers


def sent(sequence: int, producer_id: int = 7, epoch: int = 0) -> memoryview:
    return memoryview(
        batch.build([(None, b"v", 1, ())], producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
    )


def outcome(refusals: RefusedBatches, records: memoryview, producers: Producers, now_ms: int = 1) -> Error:
    try:
        refusals.check("t", 0, records, producers, now_ms)
    except KafkaError as problem:
        return problem.error
    return Error.NONE


def refused(error: Error = Error.KAFKA_STORAGE_ERROR, sequence: int = 3, **more: int) -> RefusedBatches:
    refusals = RefusedBatches()
    refusals.note("t", 0, sent(sequence, **more), error, 0)
    return refusals


def stored(last_sequence: int, epoch: int = 0) -> Producers:
    producers = Producers()
    producers.update(7, epoch, last_sequence, 0, 0, 0, False)
    return producers


@pytest.mark.parametrize("producers", [Producers(), stored(2)], ids=["not known here", "known"])
def test_F3_what_follows_is_refused_for_the_same_reason_and_the_batch_itself_is_welcome(producers: Producers) -> None:
    refusals = refused(Error.NOT_LEADER_OR_FOLLOWER)
    for sequence in (4, 5, 8):
        assert Error.NOT_LEADER_OR_FOLLOWER == outcome(refusals, sent(sequence), producers)
    assert Error.NONE == outcome(refusals, sent(3), producers)
    assert Error.NONE == outcome(refusals, sent(2), producers)
    # Others, other partitions, other epochs have nothing to do with it.
    assert Error.NONE == outcome(refusals, sent(4, producer_id=8), producers)
    assert Error.NONE == outcome(refusals, sent(0, epoch=1), producers)
    refusals.check("t", 1, sent(4), producers, 1)


def test_it_is_over_when_the_batch_is_stored_or_a_new_epoch_or_after_a_while() -> None:
    for producers, now in ((stored(3), 1), (stored(0, epoch=1), 1), (stored(2), KEPT_MS)):
        refusals = refused()
        assert Error.NONE == outcome(refusals, sent(4), producers, now)
        assert {} == refusals.entries


def test_the_earliest_is_waited_for() -> None:
    refusals = refused()
    refusals.note("t", 0, sent(4), Error.NOT_ENOUGH_REPLICAS, 1)
    assert Error.NONE == outcome(refusals, sent(3), stored(2))
    assert Error.KAFKA_STORAGE_ERROR == outcome(refusals, sent(4), stored(2))
    refusals.note("t", 0, sent(2), Error.NOT_ENOUGH_REPLICAS, 1)
    assert Error.NOT_ENOUGH_REPLICAS == outcome(refusals, sent(3), stored(1))
    refusals.note("t", 0, sent(0, epoch=1), Error.NOT_ENOUGH_REPLICAS, 1)
    assert Error.NOT_ENOUGH_REPLICAS == outcome(refusals, sent(1, epoch=1), stored(1))


def test_sequences_begin_again_at_0() -> None:
    refusals = refused(sequence=MAX_SEQUENCE)
    assert Error.KAFKA_STORAGE_ERROR == outcome(refusals, sent(0), stored(MAX_SEQUENCE - 1))
    assert Error.NONE == outcome(refusals, sent(MAX_SEQUENCE), stored(MAX_SEQUENCE - 1))


def test_only_refusals_that_pass_and_only_of_producers_with_an_id_are_noted() -> None:
    for error in (Error.OUT_OF_ORDER_SEQUENCE_NUMBER, Error.CORRUPT_MESSAGE, Error.MESSAGE_TOO_LARGE):
        assert {} == refused(error).entries
    assert {} == refused(producer_id=-1).entries
    refusals = RefusedBatches()
    refusals.note("t", 0, memoryview(b"garbage"), Error.KAFKA_STORAGE_ERROR, 0)
    assert {} == refusals.entries
    refusals = refused()
    refusals.note("u", 0, sent(1), Error.KAFKA_STORAGE_ERROR, KEPT_MS)
    assert [("u", 0, 7)] == list(refusals.entries)
    refusals.check("u", 0, memoryview(b"garbage"), Producers(), 1)
