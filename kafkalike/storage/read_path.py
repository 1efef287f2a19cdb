"""How batches, and places in the log by time or stability, are found for readers.

What is given are ranges of segments' files: nothing is read here but headers, and records only to find a timestamp.
"""

import os
from bisect import bisect_right

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.file_ranges import FileRange
from kafkalike.storage.log_files import LogFiles
from kafkalike.storage.segment import CONTINUED


class ReadPath(LogFiles):
    """The part of a Log that reads from it."""

    __slots__ = ()

    def read(self, offset: int, max_bytes: int, limit_offset: int, min_one_batch: bool = True) -> FileRange | None:
        """Whole batches from the one that holds `offset`, below `limit_offset`, at most `max_bytes` long or, with
        `min_one_batch`, at least one batch. None when there is nothing to give."""
        segment = self._active
        recent = segment.recent_offsets
        # The consumer or follower at the end of the log: it wants all from a batch that was just appended.
        if recent and recent[0] <= offset < limit_offset and offset >= self.log_start_offset and self.offline is None:
            place = bisect_right(recent, offset) - 1
            if recent[place] == offset:
                position = end = segment.recent_positions[place]
                if limit_offset == self.log_end_offset:
                    end = segment.size
                else:
                    last = bisect_right(recent, limit_offset) - 1
                    if recent[last] == limit_offset:
                        end = segment.recent_positions[last]
                if 0 < end - position <= max_bytes and segment.fd >= 0:
                    continued = segment.continued
                    continued[limit_offset] = end
                    if len(continued) > CONTINUED:
                        del continued[next(iter(continued))]
                    return FileRange(segment, segment.fd, position, end - position)
        if self.offline is not None:
            raise self._refused()
        if not self.log_start_offset <= offset <= self.log_end_offset:
            raise KafkaError(
                Error.OFFSET_OUT_OF_RANGE,
                f"Offset {offset} is not within [{self.log_start_offset}, {self.log_end_offset}] of {self}.",
            )
        if offset >= limit_offset:
            return None
        with self.disk():
            end_offset = self.log_end_offset
            limit, gaps = min(limit_offset, end_offset), self._config.compacts
            return self._segments.read(offset, max_bytes, limit, end_offset, min_one_batch, self.epochs, gaps)

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """The first record with this timestamp or a later one: (its timestamp, offset, leader epoch)."""
        with self.disk():
            return self._segments.find_timestamp(timestamp, self.log_start_offset)

    def max_timestamp(self) -> tuple[int, int, int] | None:
        """The first record with the largest timestamp in the log: (its timestamp, offset, leader epoch)."""
        with self.disk():
            return self._segments.find_max_timestamp()

    def last_stable_offset(self, high_watermark: int) -> int:
        """How far readers of committed data may read."""
        producers = self.producers
        if not producers.open and not producers.undecided:
            return high_watermark
        first = producers.first_unstable_offset(high_watermark)
        return high_watermark if first is None else min(first, high_watermark)

    def segment_starts(self) -> list[tuple[int, int]]:
        """(base offset, time of the last change in milliseconds) of every segment, oldest first."""
        with self.disk():
            return [(each.base_offset, int(os.stat(each.path).st_mtime * 1000)) for each in self._segments.all]
