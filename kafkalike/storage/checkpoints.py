"""Checkpoint files: "0\\n", the number of entries, then an entry a line. A garbled one counts as absent.

recovery-point-offset-checkpoint   "topic partition offset": all below is flushed
log-start-offset-checkpoint        the same: where logs begin that begin inside their first segment
replication-offset-checkpoint      the same: high watermarks
leader-epoch-checkpoint            "epoch startOffset", in a log's directory (leader_epochs.py)
"""

from collections.abc import Mapping
from typing import Final

Partition = tuple[str, int]

RECOVERY_POINTS: Final = "recovery-point-offset-checkpoint"
LOG_STARTS: Final = "log-start-offset-checkpoint"
HIGH_WATERMARKS: Final = "replication-offset-checkpoint"
LEADER_EPOCHS: Final = "leader-epoch-checkpoint"


def encode_entries(entries: list[str]) -> bytes:
    """A checkpoint file with these entries, each a line of words."""
    return "\n".join(["0", str(len(entries)), *entries, ""]).encode()


def decode_entries(data: bytes) -> list[list[str]] | None:
    """The entries of a checkpoint file, as words; None for one that cannot be believed."""
    try:
        lines = data.decode().split("\n")
        if lines[0] != "0" or int(lines[1]) != len(lines) - 3 or lines[-1] != "":
            return None
    except (ValueError, IndexError):
        return None
    return [line.split() for line in lines[2:-1]]


def encode_offsets(offsets: Mapping[Partition, int]) -> bytes:
    """A checkpoint of one offset of each partition."""
    return encode_entries([f"{topic} {partition} {offset}" for (topic, partition), offset in sorted(offsets.items())])


def decode_offsets(data: bytes) -> dict[Partition, int] | None:
    """Decodes a checkpoint of offsets; None when it is damaged. An empty one has no entries."""
    if not data:
        return {}
    entries = decode_entries(data)
    if entries is None:
        return None
    try:
        offsets = {(topic, int(partition)): int(offset) for topic, partition, offset in entries}
    except ValueError:
        return None
    return offsets if all(partition >= 0 and offset >= 0 for (_, partition), offset in offsets.items()) else None
