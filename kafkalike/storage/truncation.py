"""Cutting a log's end off, as a follower that has what its leader has not, or all of it.

The recovery point and the start come down first, also in their checkpoints: whatever a crash leaves, what is missing
afterwards does not count as damage.
"""

from kafkalike.storage import producer_snapshots
from kafkalike.storage.log_files import LogFiles
from kafkalike.storage.producer_state import Producers
from kafkalike.storage.segment import Segment


class Truncation(LogFiles):
    """The part of a Log that cuts it."""

    __slots__ = ()

    def truncate(self, offset: int) -> None:
        """Drops all batches from the one that holds `offset` on, of which nothing may be on its way to a reader."""
        if offset < self._segments.bases[0]:
            self.truncate_fully(offset)
            return
        if offset < self.log_end_offset:
            with self.disk():
                offset = self._segments.batch_start(offset)
                self._before_cut(offset, offset)
                self._cut(offset)
        # The epochs go even if no records do (KAFKA-10706).
        if self.epochs.truncate_from_end(offset):
            self._latest_epoch = self.epochs.latest
            self._write_epochs()

    def _cut(self, end: int) -> None:
        """Drops what begins at `end` or above, which is where a batch begins."""
        segments = self._segments
        while segments.bases[-1] >= end and len(segments.all) > 1:
            # The newest first: after a crash the log has no hole.
            segments.drop(segments.active)
        active = segments.active
        active.open()
        position = active.locate(end)
        active.truncate(active.size if position is None else position, end)
        # The next flush, a second later at most, makes the cut durable: until then a loss of power would bring the
        # records back.
        self._unsynced += [active.path, self.path]
        self._activate(active, active.created_ms)
        self.log_end_offset = end
        self._saved_offset = 0
        producer_snapshots.drop_above(self.path, end, self.files)
        self.producers = producer_snapshots.replay(self.path, segments.all, self.log_start_offset, end, self.files)

    def truncate_fully(self, start_offset: int) -> None:
        """Drops everything; the log begins again, empty, at `start_offset`."""
        self._before_cut(min(start_offset, self._segments.bases[0]), start_offset)
        with self.disk():
            for segment in reversed(self._segments.all):
                segment.delete()
            producer_snapshots.drop_above(self.path, -1, self.files)
            segment = Segment(self.path, start_offset, self.files)
            segment.create()
        self._segments.replace(segment)
        self._activate(segment, 0)
        self.producers = Producers()
        self._saved_offset = 0
        self.log_start_offset = self.log_end_offset = start_offset
        self.epochs.entries = []
        self._latest_epoch = -1
        self._write_epochs()

    def _before_cut(self, flushed: int, end: int) -> None:
        """The recovery point comes down first, and the start, also in their checkpoints. After a crash with a recovery
        point above the end, what is missing would count as damage, and what is appended next would not be looked at;
        with a start above the end, all of it would be dropped."""
        falls = end < self.log_start_offset
        self.recovery_point = min(self.recovery_point, flushed)
        self.log_start_offset = min(self.log_start_offset, end)
        self.cuts += 1
        if self.on_cut is not None:
            self.on_cut(falls)
