"""Replicas are equal as far as all of them have something."""

from kafkalike.cli.planning.replica_comparison import Batch, Difference, Replica, compare

A, B, C = Batch(4, 100), Batch(9, 200), Batch(12, 300)


def test_equal_replicas_are_verified_to_their_end() -> None:
    assert (13, []) == compare([Replica(1, 13, [A, B, C]), Replica(2, 13, [A, B, C])], 0)


def test_nobody_is_verified_beyond_his_high_watermark() -> None:
    assert (5, []) == compare([Replica(1, 13, [A, B, C]), Replica(2, 9, [A, B, C])], 0)


def test_what_one_lacks_is_no_difference() -> None:
    assert (5, []) == compare([Replica(1, 13, [A, B, C]), Replica(2, 5, [A])], 0)
    assert (3, []) == compare([Replica(1, 13, [A, B, C]), Replica(2, 0, [])], 3)


def test_another_checksum_is_told_and_passed() -> None:
    found = compare([Replica(1, 13, [A, B, C]), Replica(2, 13, [A, Batch(9, 201), C])], 0)
    assert (13, [Difference(9, (1, 200), (2, 201), fatal=False)]) == found


def test_another_offset_ends_the_comparison() -> None:
    found = compare([Replica(1, 13, [A, B, C]), Replica(2, 13, [A, Batch(8, 200), C])], 0)
    assert (5, [Difference(9, (1, 9), (2, 8), fatal=True)]) == found
