"""Producer state: which batches are new, repeated or wrong, and the snapshot that survives a restart."""

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.producer_state import MAX_SEQUENCE, Producers, Sent

P = 7


class Fed(Producers):
    """Producers with a log's end."""

    offset = 0

    def send(self, epoch: int, sequence: int, count: int = 1, txn: bool = False, client: bool = True) -> Sent | None:
        sent = self.check(P, epoch, sequence, count - 1, txn, client)
        if sent is None:
            self.update(P, epoch, sequence, self.offset, count - 1, 1000 + self.offset, txn)
            self.offset += count
        return sent


def refusal(fed: Fed, *args: int, **kwargs: bool) -> Error:
    with pytest.raises(KafkaError) as raised:
        fed.send(*args, **kwargs)
    return raised.value.error


def test_sequences_go_on() -> None:
    fed = Fed()
    assert [None] * 3 == [fed.send(0, 0, 3), fed.send(0, 3, 2), fed.send(0, 5)]


def test_a_gap_or_a_step_back_is_refused() -> None:
    fed = Fed()
    fed.send(0, 0, 3)
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refusal(fed, 0, 4)
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refusal(fed, 0, 2)
    assert None is fed.send(0, 3)


@pytest.mark.parametrize("position", range(5))
def test_a_repeat_within_five_batches_is_answered_with_the_first_place(position: int) -> None:
    fed = Fed()
    for n in range(8):
        fed.send(0, 2 * n, 2)
    repeated = fed.send(0, 2 * (3 + position), 2)
    assert repeated is not None
    assert (2 * (3 + position), 1000 + 2 * (3 + position)) == (repeated.base_offset, repeated.timestamp)
    assert 16 == fed.offset


def test_a_repeat_of_an_older_batch_is_out_of_order() -> None:
    fed = Fed()
    for n in range(8):
        fed.send(0, 2 * n, 2)
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refusal(fed, 0, 4, 2)


def test_a_repeat_with_another_length_is_not_a_repeat() -> None:
    fed = Fed()
    fed.send(0, 0, 3)
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refusal(fed, 0, 0, 2)


def test_an_unknown_producer_may_begin_anywhere() -> None:
    """Its records may have been deleted, or it was silent for a day (KIP-360)."""
    fed = Fed()
    assert None is fed.send(3, 100, 5)
    assert None is fed.send(3, 105)


def test_epochs_only_grow_and_begin_at_sequence_0() -> None:
    fed = Fed()
    fed.send(1, 0, 3)
    assert Error.INVALID_PRODUCER_EPOCH == refusal(fed, 0, 3)
    assert Error.OUT_OF_ORDER_SEQUENCE_NUMBER == refusal(fed, 2, 3)
    assert None is fed.send(2, 0)
    assert Error.INVALID_PRODUCER_EPOCH == refusal(fed, 1, 0, 3)


def test_sequences_wrap() -> None:
    fed = Fed()
    fed.send(0, MAX_SEQUENCE - 1, 1)
    assert None is fed.send(0, MAX_SEQUENCE, 3)  # MAX, 0, 1
    assert None is fed.send(0, 2, 1)
    repeated = fed.send(0, MAX_SEQUENCE, 3)
    assert repeated is not None and (1, MAX_SEQUENCE) == (repeated.base_offset, repeated.base_sequence)


def test_a_sequence_ends_with_the_largest_number() -> None:
    fed = Fed()
    fed.send(0, MAX_SEQUENCE, 1)
    assert None is fed.send(0, 0, 1)


def test_a_coordinators_batches_have_no_sequences_but_epochs() -> None:
    fed = Fed()
    fed.send(1, -1, 1, client=False)
    fed.send(1, -1, 1, client=False)
    assert Error.INVALID_PRODUCER_EPOCH == refusal(fed, 0, -1, client=False)


def test_a_batch_outside_of_the_open_transaction_is_refused() -> None:
    fed = Fed()
    fed.send(0, 0, 2, txn=True)
    assert Error.INVALID_TXN_STATE == refusal(fed, 0, 2)
    assert None is fed.send(0, 2, txn=True)


def test_a_transaction_holds_back_what_is_stable_until_its_marker_is_committed() -> None:
    fed = Fed()
    fed.send(0, 0, 2, txn=True)
    assert 0 == fed.first_unstable_offset(2)
    assert 0 == fed.end_transaction(P, 0, 4, 2, 5000)
    assert 0 == fed.first_unstable_offset(2), "the marker is not replicated yet"
    assert None is fed.first_unstable_offset(3)
    assert None is fed.end_transaction(P, 0, 4, 3, 5000), "nothing was open"


def test_markers_of_a_deposed_coordinator_are_refused() -> None:
    fed = Fed()
    fed.check_marker(P, 0, 1)
    fed.end_transaction(P, 2, 5, 0, 1)
    for epoch, coordinator_epoch, error in (
        (1, 6, Error.INVALID_PRODUCER_EPOCH),
        (2, 4, Error.TRANSACTION_COORDINATOR_FENCED),
    ):
        with pytest.raises(KafkaError) as raised:
            fed.check_marker(P, epoch, coordinator_epoch)
        assert error == raised.value.error
    fed.check_marker(P, 2, 5)


def test_idle_producers_are_forgotten_but_never_one_with_an_open_transaction() -> None:
    producers = Producers()
    producers.update(1, 0, 0, 0, 0, 1000, False)
    producers.update(2, 0, 0, 1, 0, 1000, True)
    producers.update(3, 0, 0, 2, 0, 5000, False)
    assert 1 == producers.expire(4000, 3000)
    assert [2, 3] == list(producers.entries)


def test_the_snapshot_is_kafkas() -> None:
    producers = Producers()
    producers.update(9, 3, 10, 100, 4, 12345, False)
    producers.update(9, 3, 15, 105, 1, 12346, True)
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 9, 3, 16, 106, 1, 12346, -1, 105)
    assert struct.pack(">hI", 1, crc32c(body)) + body == producers.encode()
    assert 10 + 46 == len(producers.encode())


def test_a_producer_without_batches_has_none_in_the_snapshot() -> None:
    producers = Producers()
    producers.end_transaction(9, 3, 8, 50, 777)
    fields = struct.unpack_from(">qhiqiqiq", producers.encode(), 10)
    assert (9, 3, -1, -1, 0, 777, 8, -1) == fields
    again = Producers.decode(producers.encode())
    assert again is not None and producers.entries == again.entries


def test_after_a_restart_the_last_batch_is_still_known() -> None:
    fed = Fed()
    for n in range(4):
        fed.send(0, 2 * n, 2)
    again = Producers.decode(fed.encode())
    assert again is not None
    repeated = again.check(P, 0, 6, 1, False)
    assert repeated is not None and 6 == repeated.base_offset
    assert None is again.check(P, 0, 8, 1, False)
    with pytest.raises(KafkaError):
        again.check(P, 0, 9, 1, False)


def test_open_transactions_come_back_oldest_first() -> None:
    producers = Producers()
    producers.update(5, 0, 0, 10, 0, 1, True)
    producers.update(3, 0, 0, 12, 0, 1, True)
    again = Producers.decode(producers.encode())
    assert again is not None and {10: 5, 12: 3} == again.open
    assert 10 == again.first_unstable_offset(50)


def test_each_flipped_byte_of_a_snapshot_is_noticed() -> None:
    producers = Producers()
    producers.update(9, 3, 10, 100, 4, 12345, False)
    whole = producers.encode()
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 0x10
        assert None is Producers.decode(bytes(broken)), at
    for size in range(len(whole)):
        assert None is Producers.decode(whole[:size])
    assert None is Producers.decode(None)


sends = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([0, 1, 2**31 - 2]), st.integers(1, 4)), max_size=40
)


@given(sends)
def test_state_in_memory_is_what_a_replay_of_the_accepted_batches_gives(todo: list[tuple[int, int, int, int]]) -> None:
    live, accepted, offset = Producers(), [], 0
    for producer_id, epoch, sequence, count in todo:
        entry = live.entries.get(producer_id)
        if entry is not None and sequence == 1:
            sequence = entry.next_sequence
        try:
            if live.check(producer_id, epoch, sequence, count - 1, False) is None:
                accepted.append((producer_id, epoch, sequence, offset, count - 1, offset, False))
                live.update(*accepted[-1])
                offset += count
        except KafkaError:
            continue
    replayed = Producers()
    for fields in accepted:
        replayed.update(*fields)
    assert live.entries == replayed.entries
    again = Producers.decode(live.encode())
    assert again is not None
    for producer_id, entry in live.entries.items():
        assert entry.next_sequence == again.entries[producer_id].next_sequence
        assert entry.batches[-1:] == again.entries[producer_id].batches
