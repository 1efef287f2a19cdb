"""Leader epochs: the rules of KIP-101 and KIP-279, and a checkpoint file that is never trusted blindly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.storage.leader_epochs import LeaderEpochs


def test_a_leader_assigns_its_epoch_also_without_data() -> None:
    epochs = LeaderEpochs()
    assert epochs.assign(0, 0)
    assert epochs.assign(2, 10)
    assert not epochs.assign(2, 15), "the epoch is known"
    assert [(0, 0), (2, 10)] == epochs.entries
    assert 2 == epochs.latest


def test_an_epoch_without_records_gives_way_to_the_next_one() -> None:
    epochs = LeaderEpochs([(1, 0), (2, 10)])
    assert epochs.assign(3, 10)
    assert [(1, 0), (3, 10)] == epochs.entries


def test_entries_that_contradict_a_new_one_go() -> None:
    epochs = LeaderEpochs([(1, 0), (3, 10), (5, 20)])
    assert epochs.assign(4, 15)
    assert [(1, 0), (3, 10), (4, 15)] == epochs.entries


def test_what_began_late_is_found_again_in_the_records_or_has_none_yet() -> None:
    epochs = LeaderEpochs([(1, 0), (3, 10), (5, 20), (6, 30)])
    doubtful = epochs.take_from(10)
    assert ([(1, 0)], [(3, 10), (5, 20), (6, 30)]) == (epochs.entries, doubtful)
    epochs.assign(4, 12)
    epochs.put_back_empty(doubtful, 0, 30)
    assert [(1, 0), (4, 12), (6, 30)] == epochs.entries


def test_an_empty_log_has_the_newest_of_what_began_late() -> None:
    epochs = LeaderEpochs([(1, 0), (3, 10), (5, 20)])
    doubtful = epochs.take_from(10)
    epochs.put_back_empty(doubtful, 30, 30)
    assert [(1, 0), (5, 30)] == epochs.entries


def test_nothing_is_not_an_epoch() -> None:
    epochs = LeaderEpochs()
    assert not epochs.assign(-1, 5)
    assert -1 == epochs.latest


@pytest.mark.parametrize(
    "asked, answer",
    [
        (-1, (-1, -1)),
        (0, (0, 5)),  # below the first: where the first began
        (2, (2, 10)),
        (3, (2, 10)),  # not known: the largest below it, and its end (KIP-279)
        (4, (4, 20)),
        (7, (7, 33)),  # the newest goes on to the end of the log
        (8, (-1, -1)),  # F4: never the newest instead
    ],
)
def test_where_an_epoch_ended(asked: int, answer: tuple[int, int]) -> None:
    assert answer == LeaderEpochs([(2, 5), (4, 10), (7, 20)]).end_offset(asked, 33)


def test_no_epochs_know_no_ends() -> None:
    assert (-1, -1) == LeaderEpochs().end_offset(0, 10)


def test_the_epoch_of_an_offset() -> None:
    epochs = LeaderEpochs([(2, 5), (4, 10)])
    assert [-1, 2, 2, 4, 4] == [epochs.epoch_for(offset) for offset in (4, 5, 9, 10, 99)]


def test_cutting_the_end_drops_what_began_there() -> None:
    epochs = LeaderEpochs([(2, 5), (4, 10), (7, 20)])
    assert epochs.truncate_from_end(10)
    assert [(2, 5)] == epochs.entries
    assert not epochs.truncate_from_end(10)


def test_cutting_the_start_moves_the_epoch_that_spans_it() -> None:
    epochs = LeaderEpochs([(2, 5), (4, 10), (7, 20)])
    assert not epochs.truncate_from_start(5)
    assert epochs.truncate_from_start(12)
    assert [(4, 12), (7, 20)] == epochs.entries
    assert not epochs.truncate_from_start(3)


def test_the_file_is_kafkas() -> None:
    assert b"0\n2\n2 5\n4 10\n" == LeaderEpochs([(2, 5), (4, 10)]).encode()
    assert b"0\n0\n" == LeaderEpochs().encode()


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"0",
        b"0\n",
        b"1\n0\n",
        b"0\n1\n",
        b"0\n2\n0 0\n",
        b"0\n1\n0 0",
        b"0\n1\n0 x\n",
        b"0\n1\n0 0 0\n",
        b"0\n2\n3 0\n2 5\n",
        b"0\n2\n2 5\n3 5\n",
        b"0\n1\n-1 0\n",
        b"\0" * 12,
    ],
)
def test_a_file_that_cannot_be_right_counts_as_absent(data: bytes | None) -> None:
    assert None is LeaderEpochs.decode(data)


pairs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), max_size=20)


@given(pairs)
def test_epochs_ascend_whatever_is_assigned_and_survive_the_file(todo: list[tuple[int, int]]) -> None:
    epochs = LeaderEpochs()
    for epoch, offset in todo:
        epochs.assign(epoch, offset)
        entries = epochs.entries
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(entries, entries[1:], strict=False))
    again = LeaderEpochs.decode(epochs.encode())
    assert again is not None and epochs.entries == again.entries


@given(st.binary(max_size=40))
def test_garbage_is_never_an_error(data: bytes) -> None:
    LeaderEpochs.decode(data)
    LeaderEpochs.decode(b"0\n1\n" + data)
