"""Which records go from the beginning of a log: deleted by somebody (DeleteRecords), too old, or too many; and which
producers are forgotten, as they were silent for too long.

Whole segments go, the oldest first, and none that has offsets from the high watermark on.
"""

import logging
import os
from collections.abc import Callable

from kafkalike.errors import Error, KafkaError
from kafkalike.storage import producer_snapshots
from kafkalike.storage.log_files import LogFiles
from kafkalike.storage.segment import Segment

log = logging.getLogger(__name__)

# Whether the oldest segment goes; it is told where the next one begins.
Due = Callable[[Segment, int], bool]


class Retention(LogFiles):
    """The part of a Log that deletes from its beginning."""

    __slots__ = ()

    def advance_log_start(self, offset: int) -> None:
        """Records below `offset` are no longer read; retain() removes the segments that have no others."""
        if offset > self.log_end_offset:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE, f"{self} ends at {self.log_end_offset}, before {offset}.")
        if offset > self.log_start_offset:
            self.log_start_offset = offset
            if self.epochs.truncate_from_start(offset):
                self._write_epochs()

    def retain(self, now_ms: int, high_watermark: int) -> int:
        """Removes segments that are below the start, too many or too old, but none that has offsets from the high
        watermark on; the bytes freed. A segment whose turn it is although it is the newest is rolled first."""
        if self.offline is not None:
            return 0
        config, freed = self._config, 0
        with self.disk():
            freed += self._remove_oldest(below(self.log_start_offset), high_watermark, now_ms)
            if config.deletes and config.retention_bytes >= 0:
                freed += self._remove_oldest(beyond(self.size_bytes - config.retention_bytes), high_watermark, now_ms)
            if config.deletes and config.retention_ms >= 0:
                freed += self._remove_oldest(older(now_ms - config.retention_ms), high_watermark, now_ms)
            active = self._active
            untimed = active.size and active.roll_base_timestamp is not None and active.roll_base_timestamp < 0
            if untimed and now_ms - active.created_ms > self._segment_ms():
                self.roll(now_ms)
            if freed:
                producer_snapshots.prune(self.path, self._segments.bases, self.files)
        self._segments.close_idle()
        return freed

    def _remove_oldest(self, due: Due, high_watermark: int, now_ms: int) -> int:
        doomed = self._expendable(due, high_watermark)
        if not doomed:
            return 0
        if doomed[-1] is self._active:
            self.roll(now_ms)
        freed = 0
        if not any(segment.size for segment in self._segments.all[len(doomed) :]):
            # No record will tell of the epochs then: their file has to last.
            self._write_epochs(sync=True)
        for segment in doomed:
            freed += self._segments.drop(segment)
            log.info("Removed segment %d of %s by retention", segment.base_offset, self)
        self.advance_log_start(self._segments.bases[0])
        return freed

    def _expendable(self, due: Due, high_watermark: int) -> list[Segment]:
        """The oldest segments as long as each is due; none with offsets from the high watermark on."""
        doomed = []
        for segment, following in self._segments.spans(self.log_end_offset):
            empty = segment is self._active and not segment.size
            if following > high_watermark or empty or not due(segment, following):
                break
            doomed.append(segment)
        return doomed

    def expire_producers(self, now_ms: int) -> int:
        """Forgets producers that were silent for producer.id.expiration.ms; returns how many."""
        return self.producers.expire(now_ms, self._config.producer_id_expiration_ms)


def below(start_offset: int) -> Due:
    """Segments that readers do not reach any more."""
    return lambda segment, following: following <= start_offset


def beyond(excess_bytes: int) -> Due:
    """Segments whose removal leaves at least the wanted size."""

    def due(segment: Segment, following: int) -> bool:
        nonlocal excess_bytes
        excess_bytes -= segment.size
        return excess_bytes >= 0

    return due


def older(than_ms: int) -> Due:
    """Segments whose largest timestamp, or last change if records have none, lies before this time."""

    def due(segment: Segment, following: int) -> bool:
        segment.load_times()
        timestamp = segment.max_timestamp
        return (timestamp if timestamp >= 0 else int(os.stat(segment.path).st_mtime * 1000)) < than_ms

    return due
