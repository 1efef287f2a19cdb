"""Replicas side by side: up to which offset they agree, and where they do not.

A replica counts up to its own high watermark; what one of them does not have yet ends the comparison and is no
difference. Differing offsets end it for good, a differing checksum is told and passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Batch(NamedTuple):
    """What identifies a batch."""

    last_offset: int
    checksum: int


class Replica(NamedTuple):
    """The batches that a broker has from the verified offset on."""

    broker: int
    high_watermark: int
    batches: Sequence[Batch]


class Difference(NamedTuple):
    """Two replicas with different batches in one place: (broker, offset) when fatal, else (broker, checksum)."""

    offset: int
    first: tuple[int, int]
    second: tuple[int, int]
    fatal: bool


def compare(replicas: Sequence[Replica], verified: int) -> tuple[int, list[Difference]]:
    """The new verified offset, and what differs before it."""
    differences: list[Difference] = []
    for at in range(min((len(replica.batches) for replica in replicas), default=0)):
        if any(replica.batches[at].last_offset >= replica.high_watermark for replica in replicas):
            break
        first, expected = replicas[0].broker, replicas[0].batches[at]
        for replica in replicas[1:]:
            found = replica.batches[at]
            if found.last_offset != expected.last_offset:
                one, other = (first, expected.last_offset), (replica.broker, found.last_offset)
                return verified, [*differences, Difference(expected.last_offset, one, other, fatal=True)]
            if found.checksum != expected.checksum:
                one, other = (first, expected.checksum), (replica.broker, found.checksum)
                differences.append(Difference(expected.last_offset, one, other, fatal=False))
        verified = expected.last_offset + 1
    return verified, differences
