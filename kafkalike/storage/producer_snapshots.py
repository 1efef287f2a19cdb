"""Producer state on the disk: snapshot files, and what the batches behind the newest one add to it.

The state before an offset is in `<offset>.snapshot` (format: producer_state.py). There is one at each segment's base,
so that a cut costs a replay of one segment at most, and one at the end after a clean stop. A file that fails its
checksum is removed, and the one before it is taken: in the end the log itself says what the state is.
"""

import logging
import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

from kafkalike.protocol.batch import BatchHeader
from kafkalike.protocol.control_records import read_marker
from kafkalike.storage.file_ranges import CorruptBatch
from kafkalike.storage.files import Files
from kafkalike.storage.producer_state import Producers
from kafkalike.storage.segment import Segment, name

log = logging.getLogger(__name__)

SNAPSHOT: Final = ".snapshot"
_NUMBERED = re.compile(r"^(\d{20})(\.[a-z]+)$")


def numbered(names: Sequence[str], suffix: str) -> list[int]:
    """The offsets in file names with this ending, ascending."""
    matches = (_NUMBERED.match(entry) for entry in names if entry.endswith(suffix))
    return sorted(int(match[1]) for match in matches if match and match[2] == suffix)


def path_of(path: str, offset: int) -> str:
    """The snapshot's file."""
    return os.path.join(path, name(offset) + SNAPSHOT)


def take(path: str, offset: int, producers: Producers, files: Files) -> str:
    """Writes the state before `offset`; the file's path. It is not forced to the disk: a checksum is in it."""
    file = path_of(path, offset)
    files.write_new(file, producers.encode())
    return file


def prune(path: str, bases: Collection[int], files: Files) -> None:
    """Keeps the snapshots at segments' bases, and the newest."""
    offsets = numbered(files.names(path), SNAPSHOT)
    keep = {*bases, *offsets[-1:]}
    for offset in offsets:
        if offset not in keep:
            files.unlink(path_of(path, offset))


def drop_above(path: str, offset: int, files: Files) -> None:
    """Removes the snapshots of a future that was cut off."""
    for above in numbered(files.names(path), SNAPSHOT):
        if above > offset:
            files.unlink(path_of(path, above))


def newest(path: str, at_most: int, files: Files) -> tuple[int, Producers] | None:
    """The newest readable snapshot at or below an offset; unreadable ones are removed."""
    for offset in reversed(numbered(files.names(path), SNAPSHOT)):
        if offset > at_most:
            continue
        file = path_of(path, offset)
        producers = Producers.decode(files.read(file))
        if producers is not None:
            return offset, producers
        log.warning("%s cannot be believed; the state is read from the log", file)
        files.unlink(file)
    return None


def replay(path: str, segments: Sequence[Segment], start: int, end: int, files: Files) -> Producers:
    """Producer state at `end`: the newest snapshot, then the batches behind it."""
    snapshot = newest(path, end, files)
    offset, producers = snapshot if snapshot is not None else (start, Producers())
    for place, segment in enumerate(segments):
        following = segments[place + 1].base_offset if place + 1 < len(segments) else end
        if following <= offset or segment.base_offset >= end:
            continue
        position = segment.locate(offset) if offset > segment.base_offset else 0
        if position is None:
            continue
        try:
            for found in segment.batches(position):
                if found.base_offset >= end:
                    break
                if found.header.producer_id >= 0:
                    note(producers, found.header, lambda segment=segment, found=found: segment.read_batch(found))  # type: ignore[misc]
        except CorruptBatch as damaged:
            log.error("%s; what producers wrote behind it in this segment is not known", damaged)
    return producers


def note(producers: Producers, header: BatchHeader, read: Callable[[], bytes | memoryview]) -> None:
    """Adds one batch of the log, of a producer with an id, to the state; only control batches are read."""
    base, timestamp = header.base_offset, header.max_timestamp
    producer_id, epoch = header.producer_id, header.producer_epoch
    if not header.is_control:
        delta, sequence = header.last_offset_delta, header.base_sequence
        producers.update(producer_id, epoch, sequence, base, delta, timestamp, header.is_transactional)
        return
    marker = read_marker(read())
    if marker is not None:
        producers.end_transaction(producer_id, epoch, marker.coordinator_epoch, base, timestamp)
