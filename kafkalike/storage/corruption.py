"""Which offsets of a log cannot be read any more: found by verification, kept as holes, repaired from another replica.

A segment is verified (verification.py) when something in it is not as it was written, when a reader asks for the same
again, and every seven days. A hole is a range of offsets whose batches are not there as they were appended; nobody is
given anything of it, and everything around it is served.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Final

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.file_ranges import Hole
from kafkalike.storage.files import PASSING
from kafkalike.storage.log_files import LogFiles
from kafkalike.storage.segment import FRESH, MAX_POSITION, NEVER, Segment
from kafkalike.storage.segments import Segments
from kafkalike.storage.validation import followed
from kafkalike.storage.verification import Verification

log = logging.getLogger(__name__)

DAMAGED: Final = ".damaged"
ASKED_AGAIN_MS: Final = 60_000
CHECK_AGAIN_MS: Final = 7 * 24 * 3600 * 1000  # flushed data rot: every segment is verified so often


class Corruption:
    """What is corrupt in one log. Blocking, as the log is; only Verification.run may be in a thread."""

    __slots__ = ("known", "on_suspicion", "_log", "_segments")

    def __init__(self, owner: LogFiles, segments: Segments) -> None:
        self._log = owner
        self._segments = segments
        # Whether there are holes.
        self.known = False
        # Called when the log is to be verified soon.
        self.on_suspicion: Callable[[Any], None] | None = None
        self._count()

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """(first, last) offset of each range of records that was written and cannot be read any more."""
        return [(hole.first, hole.last) for segment in self._segments.all for hole in segment.holes]

    def first(self) -> tuple[int, Hole] | None:
        """The first hole, with the base offset of the segment that it is in; None if there is none."""
        return next(((s.base_offset, hole) for s in self._segments.all for hole in s.holes), None)

    def _count(self) -> None:
        self.known = any(segment.holes for segment in self._segments.all)

    # Finding

    def asked_again(self, offset: int, now_ms: int) -> None:
        """A reader asks again for the batches that it was given from `offset` on: perhaps they came corrupt."""
        segment = self._segments.all[self._segments.place_of(offset)]
        if now_ms - segment.verified_ms > ASKED_AGAIN_MS:
            log.info("What is at offset %d of %s is looked at again", offset, self._log)
            self._look_again(segment)

    def suspect(self, path: str) -> None:
        """The file at `path` is not as it was written: its segment is verified again, unless its holes are known."""
        segment = next((each for each in self._segments.all if each.path == path), None)
        if segment is not None and not segment.holes:
            log.error("%s is damaged", path)
            self._look_again(segment)

    def _look_again(self, segment: Segment) -> None:
        segment.verified_size, segment.verified_ms = 0, NEVER
        segment.verified_stops.clear()
        if self.on_suspicion is not None:
            self.on_suspicion(self._log)

    def begin_verification(self, now_ms: int) -> Verification | None:
        """The verification of a segment that is due for it, whose `run` goes into a thread; None when none is due."""
        owner = self._log
        if owner.offline is not None or owner.closed:
            return None
        for segment, following in self._segments.spans(owner.log_end_offset):
            if segment.verified_ms == FRESH:
                segment.verified_ms = now_ms
            again = segment is not self._segments.active and now_ms - segment.verified_ms > CHECK_AGAIN_MS
            if segment.verified_ms == NEVER or again:
                segment.verified_ms = now_ms
                done = functools.partial(self._checked, owner.cuts)
                with owner.disk():
                    return Verification(segment, following, owner.config.compacts, owner.epochs, done)
        return None

    def _checked(self, cuts: int, check: Verification, error: BaseException | None) -> None:
        owner, segment = self._log, check.segment
        if isinstance(error, OSError) and error.errno is not None and error.errno not in PASSING:
            raise owner.lost(error)
        if error is not None or cuts != owner.cuts or segment.deleted:
            segment.verified_ms = NEVER
            return
        before, segment.holes = segment.holes, check.holes
        segment.verified_size = MAX_POSITION
        self._count()
        for hole in check.holes:
            if hole not in before:
                log.error(
                    "%s is damaged at %d: offsets %d to %d cannot be read",
                    segment.path,
                    hole.position,
                    hole.first,
                    hole.last,
                )
        if check.stale or check.holes != before:
            with owner.disk():
                segment.rebuild()
        self._segments.close_idle()

    # Repairing

    def repair(self, base_offset: int, hole: Hole, records: memoryview) -> None:
        """Puts another replica's batches, which must be exactly those that are missing, where they were. What lay there
        is kept aside."""
        owner, files = self._log, self._log.files
        segment = next((each for each in self._segments.all if each.base_offset == base_offset), None)
        if segment is None or hole not in segment.holes:
            return
        batches = followed(records, hole.first)
        offsets = [hole.first, *(found.last_offset + 1 for found in batches)]
        whole = sum(found.size for found in batches) == len(records)
        grows = hole.position + hole.size == segment.size and segment is not self._segments.active
        if (
            not whole
            or [found.base_offset for found in batches] != offsets[:-1]
            or offsets[-1] != hole.last + 1
            or len(records) != hole.size
            and not grows
        ):
            raise KafkaError(
                Error.CORRUPT_MESSAGE, f"{owner} is not mended: the other replica has something else there."
            )
        with owner.disk():
            fd = segment.open()
            if hole.size:
                aside = f"{segment.path}.{hole.position}{DAMAGED}"
                files.write_new(aside, files.pread(fd, hole.size, hole.position), sync=True)
            files.write_all(fd, (records,), hole.position)
            if grows:
                segment.size = hole.position + len(records)
                files.ftruncate(fd, segment.size)
            files.fdatasync(fd)
            segment.holes.remove(hole)
            segment.forget()
            if not segment.holes:
                segment.rebuild()
                self._look_again(segment)
        self._count()
        log.warning("Offsets %d to %d of %s are mended from another replica", hole.first, hole.last, owner)

    def accept_gap(self, base_offset: int, hole: Hole) -> None:
        """The other replicas have no records there either, so the gap does not come from this disk: it is no hole."""
        for segment in self._segments.all:
            if segment.base_offset == base_offset and hole in segment.holes:
                segment.holes.remove(hole)
        self._count()
