"""Whether a file holds what was written: checksums, offsets that go on, epochs that fit, indexes that point there.

A checksum covers a batch but for its first 21 bytes: base offset, length, leader epoch, format, and itself. A wrong
length or format shows at once. A wrong base offset shows by its neighbours, a wrong leader epoch by what is known of
epochs. Gaps between offsets are no damage by themselves: compaction leaves them.

`verified_batches` is for a stretch that is about to be read, `Verification` for a whole segment: taken down on the
log's own thread, run in any, finished on the log's own, as a flush is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from crc32c import crc32c

from kafkalike.protocol.batch import CRC_START, HEADER_SIZE, BatchHeader, crc_ok, find_header, pack_stamp
from kafkalike.storage.file_ranges import CorruptBatch, FileRange, Found, Hole
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.segment import CONTINUED, Segment

log = logging.getLogger(__name__)

CHUNK: Final = 256 << 10
# For each second that a verification works it sleeps so many, as it is in no hurry.
IDLE: Final = 25
NAP_SECONDS: Final = 0.5


def verified_batches(
    segment: Segment, position: int, end: int, offset: int, following: int, epochs: LeaderEpochs
) -> Iterator[Found]:
    """The batches from `position`, where the one for `offset` should be, to `end`; CorruptBatch at the first that is
    not as it was written. `following` is the offset after the segment's last."""
    files, fd, limit = segment.files, segment.open(), segment.size
    block, start = memoryview(b""), position
    while position < end:
        place, size = position - start, HEADER_SIZE
        header: BatchHeader | None = None
        if len(block) - place >= HEADER_SIZE:
            header = find_header(block, place)
            if header is None:
                raise CorruptBatch(segment.path, position)
            size = header.size_bytes
        if position + size > limit:
            raise CorruptBatch(segment.path, position)
        if header is None or len(block) - place < size:
            block, start = memoryview(files.pread(fd, max(CHUNK, size), position)), position
            if len(block) < size:
                raise CorruptBatch(segment.path, position)
            continue
        found = Found(position, size, header)
        if crc32c(block[place + CRC_START : place + size]) != header.crc or not _fits(
            segment, found, offset, following, epochs
        ):
            raise CorruptBatch(segment.path, position)
        yield found
        position += size
        offset = found.last_offset + 1


def _fits(segment: Segment, found: Found, offset: int, following: int, epochs: LeaderEpochs) -> bool:
    """Whether base offset and leader epoch, which no checksum covers, can be right."""
    base, epoch = found.base_offset, found.header.partition_leader_epoch
    known = epochs.epoch_for(offset)
    if base == offset and (known < 0 or epoch == known):
        return True
    behind = segment.batch_at(found.position + found.size)
    if base != offset:
        continuing = behind.base_offset if behind is not None else following
        # A gap, unless all goes on as if there were none.
        if (
            base < offset
            or found.last_offset > segment.max_offset
            or continuing == offset + found.header.last_offset_delta + 1
        ):
            return False
        known = epochs.epoch_for(base)
    # Two that agree with each other are right, and what is known of epochs is not.
    return known < 0 or epoch == known or (behind is not None and behind.header.partition_leader_epoch == epoch)


def next_intact_batch(segment: Segment, position: int, offset: int) -> tuple[int, int] | None:
    """Behind a damaged place, the next sound batch: its position and base offset. Base offsets of a segment share
    their first bytes, so those are searched for and the checksum decides."""
    prefix = pack_stamp(offset, 0, 0)[:5]
    files, fd = segment.files, segment.open()
    start = position + 1
    while start < segment.size:
        block = files.pread(fd, CHUNK + 8, start)
        place = block.find(prefix)
        while 0 <= place < CHUNK:
            found = segment.batch_at(start + place)
            if (
                found is not None
                and offset < found.base_offset <= segment.max_offset
                and crc_ok(segment.read_batch(found))
            ):
                return found.position, found.base_offset
            place = block.find(prefix, place + 1)
        start += CHUNK
    return None


def verify_range(
    segment: Segment, position: int, end: int, offset: int, ended: int, following: int, epochs: LeaderEpochs
) -> tuple[int, int]:
    """How far a range may be given to readers, who want `offset`: its end, and the offset there (`ended` if it is all).
    CorruptBatch when not even its first batch is as it was written.

    Everything that comes from an earlier life of the broker is looked at once before it is read, a piece at a time.
    """
    for hole in segment.holes:
        if hole.position <= position < hole.position + hole.size:
            raise CorruptBatch(segment.path, position)
        if position < hole.position < end:
            end, ended = hole.position, hole.first
    if end <= segment.verified_size:
        return end, ended
    start, expected = segment.trusted(position)
    stop = position
    try:
        for found in verified_batches(segment, start, end, expected, following, epochs):
            stop, ended = found.position + found.size, found.last_offset + 1
            if stop - position >= CHUNK:
                break
    except CorruptBatch:
        if stop <= position:
            raise
    if start <= segment.verified_size:
        segment.verified_size = stop
    segment.verified_stops[stop] = ended
    if len(segment.verified_stops) > CONTINUED:
        del segment.verified_stops[next(iter(segment.verified_stops))]
    return stop, ended


class Stopped(Exception):
    """The verification was stopped before it had a result."""


class Verification:
    """Verifies one segment. run() may be called in a thread; then finish() must be called on the log's own thread."""

    __slots__ = (
        "segment",
        "holes",
        "stale",
        "begun",
        "_end",
        "_following",
        "_gaps",
        "_epochs",
        "_entries",
        "_done",
        "_stopped",
    )

    def __init__(
        self,
        segment: Segment,
        following: int,
        gaps: bool,
        epochs: LeaderEpochs,
        done: Callable[[Verification, BaseException | None], None],
    ) -> None:
        """`gaps`: compaction may have left some, also at the end."""
        self.segment = segment
        self.holes: list[Hole] = []
        self.stale = False  # the indexes point elsewhere
        self.begun = False
        self._end = segment.size
        self._following = following
        self._gaps = gaps
        self._epochs = LeaderEpochs(list(epochs.entries))
        # Entries that are in the files; those in memory are younger than the damage that files may have.
        self._entries = segment.offsets.stored(), segment.times.stored()
        self._done = done
        self._stopped = False
        segment.open()
        segment.users += 1

    def stop(self) -> None:
        """Makes run() come back soon, without a result."""
        self._stopped = True

    def run(self) -> None:
        """Reads the segment slowly, and notes its holes."""
        segment = self.segment
        offsets, times = (_Pointers(entries) for entries in self._entries)
        position, offset = 0, segment.base_offset
        while position < self._end:
            try:
                for found in self._paced(position, offset):
                    offsets.offset(found, segment.base_offset)
                    times.time(found, segment.base_offset)
                    position, offset = found.position + found.size, found.last_offset + 1
                break
            except CorruptBatch:
                behind = next_intact_batch(segment, position, offset)
                end, after = behind if behind is not None else (self._end, max(self._following, offset + 1))
                self.holes.append(Hole(position, end - position, offset, after - 1))
                position, offset = end, after
        if offset < self._following and not self._gaps:
            self.holes.append(Hole(self._end, 0, offset, self._following - 1))
        self.stale = not self.holes and not (offsets.all_met() and times.all_met())

    def _paced(self, position: int, offset: int) -> Iterator[Found]:
        began, done = time.monotonic(), 0
        for found in verified_batches(self.segment, position, self._end, offset, self._following, self._epochs):
            yield found
            done += found.size
            if done >= CHUNK:
                pause, done = IDLE * (time.monotonic() - began), 0
                while pause > 0 and not self._stopped:
                    time.sleep(min(pause, NAP_SECONDS))
                    pause -= NAP_SECONDS
                if self._stopped:
                    raise Stopped
                began = time.monotonic()

    def finish(self, error: BaseException | None = None) -> None:
        """Hands the outcome to the log, which ignores it after an error or when it was truncated meanwhile."""
        FileRange(self.segment, self.segment.fd, 0, 0).release()
        self._done(self, error)


class _Pointers:
    """The entries of an index, compared with the batches that they name, in turn."""

    def __init__(self, entries: Iterable[tuple[int, int]]) -> None:
        self._entries = iter(entries)
        self._next = next(self._entries, None)
        self._due = -1
        self._wrong = False

    def offset(self, found: Found, base: int) -> None:
        """Each entry names a batch's place and the last offset of that batch, or of one behind it that was appended
        with it."""
        while self._next is not None and self._next[1] <= found.position:
            self._wrong |= self._next[1] != found.position or self._due >= 0
            self._due = base + self._next[0]
            self._next = next(self._entries, None)
        if 0 <= self._due <= found.last_offset:
            self._wrong |= self._due != found.last_offset
            self._due = -1

    def time(self, found: Found, base: int) -> None:
        """Each entry names an offset, and the largest timestamp of the batch that has it."""
        while self._next is not None and base + self._next[1] <= found.last_offset:
            at = base + self._next[1]
            self._wrong |= at < found.base_offset or self._next[0] != found.max_timestamp
            self._next = next(self._entries, None)

    def all_met(self) -> bool:
        """Whether every entry pointed where it should."""
        return self._next is None and self._due < 0 and not self._wrong
