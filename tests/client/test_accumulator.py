"""The accumulator: what may leave, and when."""

from kafkalike.client.accumulator import BEGUN, CLOSED, NOTHING, Accumulator

P, Q = ("t", 0), ("t", 1)


def record(value: bytes = b"v") -> tuple[None, bytes, int, tuple[()]]:
    return (None, value, 0, ())


def test_without_linger_a_message_may_leave_at_once() -> None:
    box = Accumulator(linger_ms=0)
    box.append(P, record(), "token", 5)
    assert [P] == box.ready(5)
    batch = box.take(P)
    assert ["token"] == batch.tokens
    assert [] == box.ready(5)
    box.done(batch)
    assert box.empty
    assert 0 == box.buffered_bytes


def test_a_lingering_batch_waits_for_company() -> None:
    box = Accumulator(linger_ms=10)
    box.append(P, record(), 1, 0)
    box.append(P, record(), 2, 9)
    assert [] == box.ready(9)
    assert 10 == box.next_due_ms()
    assert [P] == box.ready(10)
    assert [1, 2] == box.take(P).tokens


def test_a_full_batch_does_not_linger() -> None:
    box = Accumulator(batch_size=250, linger_ms=1000)
    assert BEGUN is box.append(P, record(b"x" * 100), 1, 0)
    assert NOTHING is box.append(P, record(), 1, 0)
    assert CLOSED is box.append(P, record(b"x" * 100), 2, 0), "the batch before was closed"
    assert [P] == box.ready(0)
    assert [1, 1] == box.take(P).tokens


def test_a_message_larger_than_a_batch_travels_alone() -> None:
    box = Accumulator(batch_size=100)
    assert CLOSED is box.append(P, record(b"x" * 500), 1, 0)
    box.append(P, record(), 2, 0)
    assert [1] == box.take(P).tokens


def test_one_batch_of_a_partition_is_under_way_at_a_time() -> None:
    box = Accumulator(batch_size=100)
    for token in (1, 2):
        box.append(P, record(b"x" * 500), token, 0)
    box.append(Q, record(), 3, 0)
    first = box.take(P)
    assert [Q] == box.ready(0)
    box.done(first)
    assert [2] == box.take(P).tokens


def test_what_is_sent_again_goes_before_what_waits() -> None:
    box = Accumulator(batch_size=100)
    for token in (1, 2):
        box.append(P, record(b"x" * 500), token, 0)
    box.again(box.take(P), not_before_ms=50)
    assert [] == box.ready(49)
    assert [P] == box.ready(50)
    batch = box.take(P)
    assert ([1], 1) == (batch.tokens, batch.attempts)


def test_flush_ends_lingering() -> None:
    box = Accumulator(linger_ms=1000)
    box.append(P, record(), 1, 0)
    box.flush()
    assert [P] == box.ready(0)


def test_nothing_joins_a_batch_that_was_taken() -> None:
    box = Accumulator(linger_ms=1000)
    box.append(P, record(), 1, 0)
    box.flush()
    batch = box.take(P)
    box.append(P, record(), 2, 0)
    assert [1] == batch.tokens


def test_dropping_everything_empties_it() -> None:
    box = Accumulator()
    box.append(P, record(), 1, 0)
    box.append(Q, record(), 2, 0)
    assert [1, 2] == [token for batch in box.drop_all() for token in batch.tokens]
    assert box.empty
