"""The segments of one log, oldest first, and everything that is looked up across them."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from kafkalike.protocol.batch import LOG_APPEND_TIME, records
from kafkalike.storage.file_ranges import CorruptBatch, FileRange, Found
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.segment import Segment
from kafkalike.storage.verification import verify_range

SEARCHED: Final = 32 << 20  # how much of the end is looked through for a producer's batches
OPEN: Final = 8  # inactive segments of one log whose files stay open for readers


class Segments:
    """The segments of a log. There is at least one; the newest is the active one, to which batches are appended."""

    __slots__ = ("all", "bases", "_opened")

    def __init__(self, segments: list[Segment]) -> None:
        self.all = segments
        self.bases = [segment.base_offset for segment in segments]
        self._opened: list[Segment] = []

    @property
    def active(self) -> Segment:
        return self.all[-1]

    @property
    def size_bytes(self) -> int:
        return sum(segment.size for segment in self.all)

    def spans(self, end_offset: int) -> Iterator[tuple[Segment, int]]:
        """Each segment with the offset after it."""
        return zip(self.all, [*self.bases[1:], end_offset], strict=True)

    def place_of(self, offset: int) -> int:
        """The place of the segment that `offset` belongs to."""
        return max(0, bisect_right(self.bases, offset) - 1)

    def add(self, segment: Segment) -> None:
        """Adds a segment, which becomes the active one."""
        self._opened.append(self.active)
        self.active.forget()
        self.all.append(segment)
        self.bases.append(segment.base_offset)

    def drop(self, segment: Segment) -> int:
        """Removes a segment and its files; returns its size in bytes."""
        place = self.all.index(segment)
        del self.all[place], self.bases[place]
        segment.delete()
        return segment.size

    def replace(self, segment: Segment) -> None:
        """Replaces all segments by one."""
        self.all, self.bases, self._opened = [segment], [segment.base_offset], []

    # Reading

    def read(
        self,
        offset: int,
        max_bytes: int,
        limit_offset: int,
        end_offset: int,
        min_one_batch: bool,
        epochs: LeaderEpochs,
        gaps: bool,
    ) -> FileRange | None:
        """As Log.read, for offsets that are in the log; `gaps`: compaction may have left some."""
        for place in range(self.place_of(offset), len(self.all)):
            segment = self.all[place]
            if segment.holes and any(hole.first <= offset <= hole.last for hole in segment.holes):
                raise CorruptBatch(segment.path, segment.size)
            if not segment.size or segment.base_offset >= limit_offset:
                continue
            fd = self._open(segment)
            position = segment.locate(offset) if offset > segment.base_offset else 0
            if position is None or position >= segment.size:
                if not gaps and segment.verified_size < segment.size and place + 1 < len(self.bases):
                    # Between the last batch and the next segment nothing should be.
                    raise CorruptBatch(segment.path, segment.size)
                continue
            end, following = segment.size, self.bases[place + 1] if place + 1 < len(self.bases) else end_offset
            if limit_offset < following:
                following = limit_offset
                found = segment.locate(limit_offset)
                end = segment.size if found is None else found
            if end <= position:
                return None
            if end - position > max_bytes:
                segment.read_ahead(position)
                cut = segment.cut(position, max_bytes)
                if cut is None:
                    if not min_one_batch:
                        return None
                    first = segment.batch_at(position)
                    if first is None:
                        raise CorruptBatch(segment.path, position)
                    cut = position + first.size, first.last_offset + 1
                end, following = cut
            if end > segment.verified_size or segment.holes:
                behind = self.bases[place + 1] if place + 1 < len(self.bases) else end_offset
                end, following = verify_range(segment, position, end, offset, following, behind, epochs)
            segment.remember(following, end)
            return FileRange(segment, fd, position, end - position)
        return None

    def batch_start(self, offset: int) -> int:
        """The base offset of the batch that holds `offset`; the offset itself if none does."""
        segment = self.all[self.place_of(offset)]
        position = segment.locate(offset)
        found = segment.batch_at(position) if position is not None else None
        return min(offset, found.base_offset) if found else offset

    def of_producer(self, producer_id: int, epoch: int, before: int) -> list[Found]:
        """The batches with this producer id and epoch below an offset, as far as they lie near the end, in order."""
        found: list[Found] = []
        room = SEARCHED
        for place in range(self.place_of(before), -1, -1):
            segment = self.all[place]
            self._open(segment)
            start = segment.boundary(max(0, segment.size - room))
            found[:0] = [
                batch
                for batch in segment.batches(start)
                if batch.header.producer_id == producer_id
                and batch.header.producer_epoch == epoch
                and batch.header.base_sequence >= 0
                and batch.base_offset < before
            ]
            room -= segment.size - start
            if room <= 0:
                break
        return found

    def _open(self, segment: Segment) -> int:
        """The descriptor of a segment; of the inactive ones only some stay open."""
        if segment.fd < 0:
            segment.open()
            self._opened.append(segment)
            if len(self._opened) > OPEN:
                self.close_idle(OPEN)
        return segment.fd

    def close_idle(self, keep: int = 0) -> None:
        """Closes inactive segments that nobody sends from, but for the `keep` last opened."""
        idle = [segment for segment in self._opened if segment is not self.active and segment.fd >= 0]
        for segment in idle[: max(0, len(idle) - keep)]:
            segment.close_file()
        self._opened = [segment for segment in idle if segment.fd >= 0]

    def close_files(self) -> None:
        """Closes every file that nobody sends from, also the active segment's."""
        for segment in self.all:
            segment.close_file()
        self._opened = [segment for segment in self._opened if segment.fd >= 0]

    # Timestamps

    def find_timestamp(self, timestamp: int, start: int) -> tuple[int, int, int] | None:
        """The first record from offset `start` on with this timestamp or a later one: (its timestamp, offset, leader
        epoch)."""
        for segment in self.all:
            segment.load_times()
            if not segment.size or segment.max_timestamp < timestamp:
                continue
            for found in segment.find_timestamp(timestamp, max(start, segment.base_offset)):
                for record_timestamp, offset in _times(segment, found):
                    if record_timestamp >= timestamp and offset >= start:
                        return record_timestamp, offset, found.header.partition_leader_epoch
        return None

    def find_max_timestamp(self) -> tuple[int, int, int] | None:
        """The first record with the largest timestamp: (its timestamp, offset, leader epoch)."""
        for segment in self.all:
            segment.load_times()
        segment = max(self.all, key=lambda each: each.max_timestamp)
        found = segment.find(segment.max_timestamp_offset) if segment.max_timestamp >= 0 else None
        if found is not None:
            for timestamp, offset in _times(segment, found):
                if timestamp == found.max_timestamp:
                    return timestamp, offset, found.header.partition_leader_epoch
        return None


def _times(segment: Segment, found: Found) -> Iterator[tuple[int, int]]:
    """(timestamp, offset) of the records in a batch."""
    if found.header.attributes & LOG_APPEND_TIME:
        yield found.max_timestamp, found.base_offset
        yield found.max_timestamp, found.last_offset
        return
    for record in records(memoryview(segment.read_batch(found))):
        yield record.timestamp, record.offset
