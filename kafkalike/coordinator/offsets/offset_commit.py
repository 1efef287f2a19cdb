"""What a group commits for a partition, and what it is told when it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kafkalike.errors import Error

TopicPartition = tuple[str, int]
# Is given one error for each partition of a commit, in order.
CommitDone = Callable[[list[Error]], None]


class OffsetCommit(NamedTuple):
    """One partition of an OffsetCommit."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int = -1
    metadata: str = ""


class Committed(NamedTuple):
    """What a group has committed for a partition; offset -1 without an error: nothing."""

    offset: int = -1
    leader_epoch: int = -1
    metadata: str = ""
    error: Error = Error.NONE
