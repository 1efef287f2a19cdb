"""One stretch of a log: a file of record batches from its base offset on, with the two indexes beside it.

    <base offset, 20 digits>.log      record batches, one after the other
    <base offset, 20 digits>.index    offset -> position          (index.py)
    <base offset, 20 digits>.timeindex  timestamp -> offset

The file holds whole batches up to `size`; what may lie beyond (a write that failed and could not be cut off) is
overwritten by the next one. Positions that reads will come back to are remembered, so that a consumer who goes on
where it stopped costs no search: those of the newest batches, and the ends of ranges handed out. Any other offset is
found through the index and a short scan of batch headers; an index entry is believed only if a batch that fits it
lies where it points, otherwise the index is built again.
"""

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from kafkalike.protocol.batch import HEADER_SIZE, LOG_OVERHEAD, crc_ok, find_header
from kafkalike.storage.file_ranges import CorruptBatch, FileRange, Found, Hole
from kafkalike.storage.files import DISK, Files
from kafkalike.storage.index import OFFSETS, TIMES, Index
from kafkalike.storage.open_files import OPEN_FILES

log = logging.getLogger(__name__)

MAX_RELATIVE_OFFSET: Final = 2**31 - 1
MAX_POSITION: Final = 2**31 - 1
RECENT: Final = 256  # positions of the newest batches that are kept; twice as many at times
CONTINUED: Final = 128  # ends of ranges that are kept
READ_AHEAD: Final = 8 << 20  # bytes; told again when half of them are read
SCAN_BYTES: Final = 16384
TRUSTED: Final = 4  # index entries that are tried before everything from the segment's beginning is looked at
NEVER, FRESH = -1, -2  # when a segment was verified last: not yet; no need, as it was written or recovered just now

LOG, INDEX, TIME_INDEX, TXN_INDEX = ".log", ".index", ".timeindex", ".txnindex"

_new = tuple.__new__


def name(offset: int) -> str:
    """The file name of a segment or snapshot, without its ending."""
    return f"{offset:020d}"


class Segment:
    """See the module."""

    __slots__ = (
        "files",
        "path",
        "base_offset",
        "fd",
        "size",
        "users",
        "deleted",
        "offsets",
        "times",
        "max_timestamp",
        "max_timestamp_offset",
        "times_known",
        "since_index",
        "index_interval",
        "roll_base_timestamp",
        "created_ms",
        "roll_size",
        "roll_timestamp",
        "max_offset",
        "index_room",
        "recent_offsets",
        "recent_positions",
        "continued",
        "verified_size",
        "verified_ms",
        "holes",
        "verified_stops",
        "ahead",
    )

    def __init__(self, directory: str, base_offset: int, files: Files = DISK) -> None:
        stem = os.path.join(directory, name(base_offset))
        self.files = files
        self.path = stem + LOG
        self.base_offset = base_offset
        self.fd = -1
        self.size = files.size(self.path)
        self.users = 0
        self.deleted = False
        self.offsets = Index(stem + INDEX, OFFSETS, files)
        self.times = Index(stem + TIME_INDEX, TIMES, files)
        # The largest timestamp and the last offset of the first batch that has it. Until times_known these are to be
        # had from the time index.
        self.max_timestamp = -1
        self.max_timestamp_offset = base_offset
        self.times_known = self.size == 0
        self.since_index = 0
        self.index_interval = 4096
        # These say when to roll; the log fills them in for its active segment.
        self.roll_base_timestamp: int | None = None
        self.created_ms = 0
        self.roll_size = MAX_POSITION
        self.roll_timestamp: float = float("inf")
        self.max_offset = base_offset + MAX_RELATIVE_OFFSET
        self.index_room = MAX_POSITION
        # Positions of the newest batches, and ends of ranges handed out.
        self.recent_offsets: list[int] = []
        self.recent_positions: list[int] = []
        self.continued: dict[int, int] = {}
        self.ahead = 0  # up to here the disk was told that the file will be read
        # Up to here the file is as it was written, but for holes (verification.py); when all of it was verified last;
        # and where stretches that were verified ended, with the offset there.
        self.verified_size = 0 if self.size else MAX_POSITION
        self.verified_ms = NEVER if self.size else FRESH
        self.holes: list[Hole] = []
        self.verified_stops: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"Segment({self.path}, {self.size})"

    # The file

    def open(self, create: bool = False) -> int:
        """The descriptor of the records file."""
        if self.fd < 0:
            OPEN_FILES.opening(self.path)
            self.fd = self.files.open(self.path, create=create)
            OPEN_FILES.opened()
        return self.fd

    def create(self) -> None:
        """Makes the three files, empty."""
        fd = self.open(create=True)
        self.files.ftruncate(fd, 0)
        self.size = 0
        self.verified_size, self.verified_ms = MAX_POSITION, FRESH
        self.offsets.reset()
        self.times.reset()

    def read_ahead(self, position: int) -> None:
        """Tells the disk that somebody reads on from here, so that the reactor need not wait for it."""
        if not self.ahead - READ_AHEAD <= position <= self.ahead - READ_AHEAD // 2:
            self.ahead = position + READ_AHEAD
            self.files.will_need(self.open(), position, READ_AHEAD)

    def close_file(self) -> None:
        """Lets go of the descriptor, unless somebody still sends from it."""
        if self.fd >= 0 and self.users == 0:
            fd, self.fd = self.fd, -1
            OPEN_FILES.closed()
            self.files.close(fd)

    def delete(self) -> None:
        """Removes the files, the records first: an index alone is dropped at the next start. Readers keep theirs."""
        stem = self.path.removesuffix(LOG)
        self.deleted = True
        for suffix in (LOG, INDEX, TIME_INDEX, TXN_INDEX):
            self.files.unlink(stem + suffix)
        self.close_file()

    # After an append

    def account(self, position: int, size: int, base_offset: int, last_offset: int, max_timestamp: int) -> None:
        """A batch was written at `position`: memory of its place, largest timestamp, index entries.

        The log's append does the same in line for the common case.
        """
        self.size = position + size
        self.recent_offsets.append(base_offset)
        self.recent_positions.append(position)
        if len(self.recent_offsets) > 2 * RECENT:
            del self.recent_offsets[:RECENT], self.recent_positions[:RECENT]
        if max_timestamp > self.max_timestamp:
            self.max_timestamp = max_timestamp
            self.max_timestamp_offset = last_offset

    def add_index_entry(self, position: int, last_offset: int) -> bool:
        """An entry for the batch at `position` that ends with `last_offset`; True when entries should be written."""
        due = self.offsets.add(last_offset - self.base_offset, position)
        self.index_room -= 1
        if self.index_room <= 0:
            # Kafka's index files have a largest size: the next batch begins another segment.
            self.roll_size = 0
        return self._add_time() or due

    def _add_time(self) -> bool:
        entry = self.times.last()
        if self.max_timestamp >= 0 and (entry is None or self.max_timestamp > entry[0]):
            return self.times.add(self.max_timestamp, self.max_timestamp_offset - self.base_offset)
        return False

    def write_indexes(self) -> None:
        """Puts the waiting index entries into their files."""
        self.offsets.write()
        self.times.write()

    def finish(self) -> None:
        """Adds the last entry to the time index, by which the segment's largest timestamp is known from now on."""
        if self.size:
            self.load_times()
            self._add_time()
        self.write_indexes()

    # Looking things up

    def batches(self, position: int, end: int | None = None) -> Iterator[Found]:
        """The batches from `position` on, headers only, none for holes. CorruptBatch where one is missing."""
        files, fd = self.files, self.open()
        end = self.size if end is None else end
        floor, ceiling = self.base_offset, self.max_offset
        block, start = b"", 0
        while position < end:
            if self.holes:
                behind = self._behind_hole(position)
                if behind != position:
                    position = behind
                    continue
            place = position - start
            if place < 0 or place + HEADER_SIZE > len(block):
                block, start, place = files.pread(fd, SCAN_BYTES, position), position, 0
                if len(block) < HEADER_SIZE:
                    raise CorruptBatch(self.path, position)
            header = find_header(block, place)
            if header is None:
                raise CorruptBatch(self.path, position)
            size, last_offset = header.length + LOG_OVERHEAD, header.base_offset + header.last_offset_delta
            if position + size > self.size or header.base_offset < floor or last_offset > ceiling:
                raise CorruptBatch(self.path, position)
            yield _new(Found, (position, size, header))
            floor = last_offset + 1
            position += size

    def _behind_hole(self, position: int) -> int:
        """The same position, or where the hole ends that it is in."""
        return next((h.position + h.size for h in self.holes if h.position <= position < h.position + h.size), position)

    def batch_at(self, position: int) -> Found | None:
        """The batch that begins at `position`, None if none does."""
        if not 0 <= position <= self.size - HEADER_SIZE:
            return None
        header = find_header(self.files.pread(self.open(), HEADER_SIZE, position))
        if header is None or position + header.length + LOG_OVERHEAD > self.size:
            return None
        return _new(Found, (position, header.length + LOG_OVERHEAD, header))

    def read_batch(self, found: Found) -> bytes:
        """All bytes of a batch."""
        return FileRange(self, self.open(), found.position, found.size).read()

    def _start(self, offset: int) -> int:
        """A batch boundary at or before the batch that holds `offset`, from the index."""
        if offset <= self.base_offset:
            return 0
        entry = self.offsets.floor(0, offset - self.base_offset)
        if entry is None:
            return 0
        if self._fits(entry[0] + self.base_offset, entry[1], offset) is not None:
            return entry[1]
        self.rebuild()
        entry = self.offsets.floor(0, offset - self.base_offset)
        return entry[1] if entry else 0

    def trusted(self, position: int) -> tuple[int, int]:
        """A place at or before `position` where the offset is known for certain, and that offset: where a stretch
        that was looked at ended, or where the index and the batches agree."""
        if position in self.verified_stops:
            return position, self.verified_stops[position]
        at = position
        for _ in range(TRUSTED):
            entry = self.offsets.floor(1, at)
            if entry is None:
                break
            first = found = self.batch_at(entry[1])
            # Our entries name the last offset of the batch, Apache's that of the batches that were appended with it.
            while found is not None and found.last_offset < entry[0] + self.base_offset:
                behind = self.batch_at(found.position + found.size)
                found = behind if behind is not None and behind.base_offset == found.last_offset + 1 else None
            if first is not None and found is not None and found.last_offset == entry[0] + self.base_offset:
                # An index may have been made anew from a batch with a wrong base offset.
                behind = self.batch_at(found.position + found.size)
                if behind is not None and behind.base_offset > found.last_offset:
                    return entry[1], first.base_offset
            at = entry[1] - 1
        return 0, self.base_offset

    def boundary(self, position: int) -> int:
        """The position where a batch begins, at or before a position."""
        entry = self.offsets.floor(1, position)
        if entry is None or self._fits(entry[0] + self.base_offset, entry[1], self.max_offset) is None:
            return 0
        return entry[1]

    def _fits(self, entry_offset: int, position: int, offset: int) -> Found | None:
        """The batch an index entry points to, if it really is one. Ours end with the entry's offset; Java indexes
        sets of batches by the last one's, so there the checksum has to speak for the place."""
        found = self.batch_at(position)
        if found is None or not self.base_offset <= found.base_offset <= offset:
            return None
        if found.last_offset == entry_offset:
            return found
        return found if crc_ok(self.read_batch(found)) else None

    def locate(self, offset: int) -> int | None:
        """The position of the first batch that ends at `offset` or above; None if all of them end before."""
        recent = self.recent_offsets
        if recent and recent[0] <= offset:
            place = bisect_right(recent, offset) - 1
            position = self.recent_positions[place]
            if recent[place] == offset:
                return position
            # Within the batch, or in a gap after it that compaction left.
            inside = self.batch_at(position)
            if inside is not None and inside.last_offset >= offset:
                return position
            return self.recent_positions[place + 1] if place + 1 < len(recent) else None
        if offset in self.continued:
            position = self.continued[offset]
            return position if position < self.size else None
        found = self.find(offset)
        return found.position if found else None

    def find(self, offset: int) -> Found | None:
        """The first batch that ends at `offset` or above."""
        for found in self.batches(self._start(offset)):
            if found.last_offset >= offset:
                return found
        return None

    def remember(self, offset: int, position: int) -> None:
        """Remembers that `offset` is at `position`: a reader that goes on will ask for it."""
        continued = self.continued
        continued[offset] = position
        if len(continued) > CONTINUED:
            del continued[next(iter(continued))]

    def cut(self, position: int, max_bytes: int) -> tuple[int, int] | None:
        """Where a range from `position` ends so that it has whole batches and at most `max_bytes`, and the offset
        there. None if the first batch alone is larger."""
        limit = position + max_bytes
        recent = self.recent_positions
        if recent and recent[0] <= limit:
            place = bisect_right(recent, limit) - 1
            if recent[place] > position:
                return recent[place], self.recent_offsets[place]
        entry = self.offsets.floor(1, limit)
        if entry is not None and entry[1] > position:
            found = self._fits(entry[0] + self.base_offset, entry[1], entry[0] + self.base_offset)
            if found is not None:
                return entry[1], found.base_offset
        end = None
        for found in self.batches(position):
            if found.position + found.size > limit:
                break
            end = found.position + found.size, found.last_offset + 1
        return end

    # Timestamps

    def load_times(self) -> None:
        """Takes the largest timestamp from the time index, if it is not known yet and the index is right."""
        if self.times_known:
            return
        entry = self.times.last()
        if entry is None and self.size:
            self.rebuild()
            return
        if entry is not None:
            timestamp, offset = entry[0], entry[1] + self.base_offset
            try:
                found = self.find(offset)
            except CorruptBatch:
                found = None
            if found is None or found.max_timestamp != timestamp:
                self.rebuild()
                return
            self.max_timestamp, self.max_timestamp_offset = timestamp, offset
        self.times_known = True

    def find_timestamp(self, timestamp: int, offset: int) -> Iterator[Found]:
        """Batches at `offset` or above that may hold a record of `timestamp` or later, in order."""
        self.load_times()
        start = offset
        entry = self.times.floor(0, timestamp - 1)
        if entry is not None:
            indexed = self.find(entry[1] + self.base_offset)
            if indexed is None or indexed.max_timestamp != entry[0]:
                self.rebuild()
            else:
                start = max(start, indexed.base_offset)
        for found in self.batches(self._start(start)):
            if found.max_timestamp >= timestamp and found.last_offset >= offset:
                yield found

    # Mending and cutting

    def rebuild(self) -> None:
        """Builds both indexes again from the records."""
        log.warning("The indexes of %s are missing or damaged; building them again", self.path)
        self.offsets.reset()
        self.times.reset()
        try:
            self.rescan(0)
        except CorruptBatch as damaged:
            log.error("%s; what lies behind cannot be found", damaged)
            self.times_known = True
            self.finish()

    def rescan(self, position: int) -> int:
        """Indexes and largest timestamp again from the records at `position` on; the offset after the last one."""
        end_offset = self.base_offset
        if position == 0:
            self.max_timestamp, self.max_timestamp_offset, self.since_index = -1, self.base_offset, 0
        for found in self.batches(position):
            if found.max_timestamp > self.max_timestamp:
                self.max_timestamp, self.max_timestamp_offset = found.max_timestamp, found.last_offset
            if self.since_index > self.index_interval:
                if self.add_index_entry(found.position, found.last_offset):
                    self.write_indexes()
                self.since_index = 0
            self.since_index += found.size
            end_offset = found.last_offset + 1
        self.times_known = True
        self.finish()
        return end_offset

    def truncate(self, position: int, offset: int) -> None:
        """Cuts the file and its indexes off at `position`, where a batch with base offset `offset` began."""
        self.files.ftruncate(self.open(), position)
        self.size = position
        self.holes = [hole for hole in self.holes if hole.position < position]
        relative = offset - self.base_offset
        self.offsets.truncate(0, relative)
        self.times.truncate(1, relative)
        self.forget()
        self.max_timestamp, self.max_timestamp_offset, self.times_known = -1, self.base_offset, True
        entry = self.times.last()
        if entry is not None:
            self.max_timestamp, self.max_timestamp_offset = entry[0], entry[1] + self.base_offset
        indexed = self.offsets.last()
        self.since_index = 0
        for found in self.batches(indexed[1] if indexed else 0):
            self.since_index += found.size
            if found.max_timestamp > self.max_timestamp:
                self.max_timestamp, self.max_timestamp_offset = found.max_timestamp, found.last_offset

    def forget(self) -> None:
        """Forgets all remembered positions, as the file is about to change."""
        self.recent_offsets.clear()
        self.recent_positions.clear()
        self.continued.clear()
        self.verified_stops.clear()
