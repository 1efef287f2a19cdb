"""Which partition of __consumer_offsets a group belongs to."""

from __future__ import annotations

import pytest

from kafkalike.coordinator.group_partition import java_hash, partition_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("a", 97),
        ("grp", 102629),
        ("console-consumer-12345", 158455506),
        ("é😀", 1996812),
        ("polygenelubricants", -(2**31)),
    ],
)
def test_java_hash(text: str, value: int) -> None:
    assert java_hash(text) == value


def test_the_smallest_hash_belongs_to_partition_0() -> None:
    assert partition_of("polygenelubricants", 50) == 0
