"""AssignedPartitions: what is fetched, handed out, acknowledged."""

from kafkalike.client.assigned_partitions import AssignedPartitions, ConsumerRecord

P, Q = ("t", 0), ("t", 1)


def records(*offsets: int, partition: int = 0) -> list[ConsumerRecord]:
    return [ConsumerRecord("t", partition, offset, 0, "CreateTime", None, b"", ()) for offset in offsets]


def at(offset: int) -> AssignedPartitions:
    positions = AssignedPartitions()
    positions.assign([P])
    positions[P].seek(offset)
    return positions


def test_new_partitions_have_no_position_yet() -> None:
    positions = AssignedPartitions()
    positions.assign([P, Q])
    assert [P, Q] == positions.unknown()
    assert {} == positions.wanted()
    positions[P].seek(5)
    assert [Q] == positions.unknown()
    assert {P: (5, 1)} == positions.wanted()


def test_a_batch_may_begin_before_the_offset_asked_for() -> None:
    positions = at(5)
    positions.fetched(P, records(3, 4, 5, 6), 7)
    assert [5, 6] == [r.offset for r in positions.take(10)]
    assert 7 == positions[P].position


def test_a_partition_with_unread_records_is_not_fetched() -> None:
    positions = at(0)
    positions.fetched(P, records(0, 1), 2)
    assert {} == positions.wanted()
    positions.take(1)
    assert {} == positions.wanted()
    positions.take(1)
    assert {P: (2, 1)} == positions.wanted()


def test_position_skips_what_holds_nothing_for_us() -> None:
    positions = at(0)
    positions.fetched(P, [], 9)
    assert {P: 9} == positions.consumed()
    positions.fetched(P, records(9), 12)
    positions.take(1)
    assert {P: 12} == positions.consumed()


def test_an_answer_to_a_fetch_from_before_a_seek_is_void() -> None:
    positions = at(0)
    (_, version) = positions.wanted()[P]
    positions[P].seek(7)
    assert not positions.current(P, version)
    assert positions.current(P, version + 1)


def test_seek_forgets_what_was_buffered() -> None:
    positions = at(0)
    positions.fetched(P, records(0, 1, 2), 3)
    positions[P].seek(1)
    assert [] == positions.take(10)
    assert {P: (1, 2)} == positions.wanted()


def test_records_put_back_come_again() -> None:
    positions = at(0)
    positions.fetched(P, records(0, 1, 2), 3)
    taken = positions.take(10)
    positions.put_back(taken[1:])
    assert {P: 1} == positions.consumed()
    assert [1, 2] == [r.offset for r in positions.take(10)]


def test_acknowledging_commits_the_contiguous_prefix() -> None:
    positions = at(0)
    positions.fetched(P, records(0, 1, 2, 3), 4)
    positions.take(10)
    assert None is positions.acknowledge(P, 1)
    assert None is positions.acknowledge(P, 3)
    assert 2 == positions.acknowledge(P, 0)
    assert 4 == positions.acknowledge(P, 2)


def test_the_prefix_passes_over_holes_in_the_log() -> None:
    positions = at(0)
    positions.fetched(P, records(0, 5), 9)
    positions.take(10)
    assert 1 == positions.acknowledge(P, 0)
    assert 9 == positions.acknowledge(P, 5), "nothing else of what was fetched is left to do"


def test_acknowledging_twice_or_what_is_not_ours_commits_nothing() -> None:
    positions = at(0)
    positions.fetched(P, records(0), 1)
    positions.take(10)
    assert 1 == positions.acknowledge(P, 0)
    assert None is positions.acknowledge(P, 0)
    assert None is positions.acknowledge(Q, 0)


def test_taking_respects_the_limit_over_all_partitions() -> None:
    positions = AssignedPartitions()
    positions.assign([P, Q])
    for partition in (P, Q):
        positions[partition].seek(0)
        positions.fetched(partition, records(0, 1, partition=partition[1]), 2)
    assert [(0, 0), (0, 1), (1, 0)] == [(r.partition, r.offset) for r in positions.take(3)]
    assert [(1, 1)] == [(r.partition, r.offset) for r in positions.take(3)]


def test_paused_partitions_keep_their_records() -> None:
    positions = at(0)
    positions.fetched(P, records(0), 1)
    positions[P].paused = True
    assert [] == positions.take(3)
    positions[P].paused = False
    assert 1 == len(positions.take(3))
