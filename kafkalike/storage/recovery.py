"""Opening a partition's directory: after a clean stop by believing it, after a crash by reading it.

After a crash every segment from the recovery point on is read: sizes, checksums, ascending offsets. Indexes, leader
epochs and producer state are derived again. At the first bad batch above the recovery point the log ends: a torn
tail. What is cut off stays beside the log as `<base offset>.<position>.torn` until the next such recovery. Below the
recovery point the data were flushed, so a bad batch there is damage, not a torn tail: nothing is cut for it, the log
goes on behind it, and it is reported.

Files that a crash leaves in the middle of a rename are finished or dropped first, as Kafka does: .deleted and
.cleaned go, .swap replaces the segments it covers.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kafkalike.storage.checkpoints import LEADER_EPOCHS
from kafkalike.storage.file_ranges import CorruptBatch, Found, Hole
from kafkalike.storage.files import PASSING, Files
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.producer_snapshots import SNAPSHOT, drop_above, note, numbered, replay, take
from kafkalike.storage.producer_state import Producers
from kafkalike.storage.segment import FRESH, INDEX, LOG, MAX_POSITION, TIME_INDEX, TXN_INDEX, Segment, name
from kafkalike.storage.verification import next_intact_batch, verified_batches

log = logging.getLogger(__name__)

TORN: Final = ".torn"

READ_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Loaded:
    """What a partition's directory holds."""

    segments: list[Segment]
    end_offset: int
    start_offset: int
    recovery_point: int
    epochs: LeaderEpochs
    producers: Producers
    recovered: bool = False
    cut: bool = False  # by recovery, because it was torn
    torn_bytes: int = 0


def load(
    path: str,
    recovery_point: int,
    start_offset: int,
    clean: bool,
    index_interval: int,
    files: Files,
) -> Loaded:
    """Reads a partition's directory; see the module."""
    names = _finish_renames(path, files)
    segments = [Segment(path, base, files) for base in numbered(names, LOG)]
    for segment in segments:
        segment.index_interval = index_interval
    _drop_orphans(path, names, files)
    epochs = LeaderEpochs.decode(files.read(os.path.join(path, LEADER_EPOCHS)))
    epochs_known = epochs is not None or all(segment.size == 0 for segment in segments)
    loaded = Loaded(segments, 0, start_offset, recovery_point, epochs or LeaderEpochs(), Producers())
    whole = clean and _check_indexes(segments, set(names))
    if segments and not (whole and _read_end(loaded)):
        if clean:
            log.warning("%s was stopped cleanly, but its files do not fit; recovering it", path)
        _recover(path, loaded, files)
    if segments and loaded.end_offset < start_offset:
        log.warning(
            "%s ends at %d, below its start %d: files were removed; it begins again there, empty",
            path,
            loaded.end_offset,
            start_offset,
        )
        for segment in reversed(segments):
            segment.delete()
        segments.clear()
        # Nor is anything known of producers: what the snapshots tell comes from before the start.
        drop_above(path, -1, files)
        epochs_known, loaded.producers = True, Producers()
    if not segments:
        first = Segment(path, start_offset, files)
        first.create()
        segments.append(first)
        loaded.end_offset = start_offset
    loaded.start_offset = max(start_offset, segments[0].base_offset)
    if not epochs_known:
        _derive_epochs(segments, loaded.epochs)
    # An epoch that began at the end has no records yet; after a cut it has none any more. A log that retention has
    # emptied keeps it, for its beginning was moved there.
    emptied = loaded.start_offset == loaded.end_offset > 0
    loaded.epochs.truncate_from_end(loaded.end_offset + (emptied or not loaded.cut))
    loaded.epochs.truncate_from_start(loaded.start_offset)
    if not loaded.recovered:
        loaded.producers = replay(path, segments, loaded.start_offset, loaded.end_offset, files)
    loaded.recovery_point = min(recovery_point, loaded.end_offset) if loaded.recovered else loaded.end_offset
    return loaded


def _finish_renames(path: str, files: Files) -> list[str]:
    names = files.names(path)
    cleaned = [entry for entry in names if entry.endswith(".cleaned")]
    lowest_cleaned = min((int(entry[:20]) for entry in cleaned if entry[:20].isdecimal()), default=None)
    swaps = []
    for entry in names:
        if entry.endswith((".deleted", ".cleaned", ".tmp")):
            files.unlink(os.path.join(path, entry))
        elif entry.endswith(".swap") and entry[:20].isdecimal():
            if lowest_cleaned is not None and int(entry[:20]) >= lowest_cleaned:
                files.unlink(os.path.join(path, entry))
            else:
                swaps.append(entry)
    if swaps:
        _swap_in(path, swaps, files)
    return files.names(path)


def _swap_in(path: str, swaps: list[str], files: Files) -> None:
    """Compacted segments that were ready: those they replace go, then they get their names."""
    covered = []
    for entry in swaps:
        if entry.endswith(LOG + ".swap"):
            segment = Segment(path, int(entry[:20]), files)
            segment.path = os.path.join(path, entry)
            segment.size = files.size(segment.path)
            end = max((found.last_offset + 1 for found in segment.batches(0)), default=segment.base_offset)
            segment.close_file()
            covered += [segment.base_offset, end]
    if covered:
        for suffix in (LOG, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT):
            for base in numbered(files.names(path), suffix):
                if min(covered) <= base < max(covered):
                    files.unlink(os.path.join(path, name(base) + suffix))
    for entry in swaps:
        files.rename(os.path.join(path, entry), os.path.join(path, entry.removesuffix(".swap")))


def _drop_orphans(path: str, names: list[str], files: Files) -> None:
    bases = set(numbered(names, LOG))
    for suffix in (INDEX, TIME_INDEX, TXN_INDEX):
        for base in numbered(names, suffix):
            if base not in bases:
                files.unlink(os.path.join(path, name(base) + suffix))


def _has_indexes(segment: Segment, present: set[str]) -> bool:
    stem = name(segment.base_offset)
    there = stem + INDEX in present and stem + TIME_INDEX in present
    return there and segment.offsets.is_sound() and segment.times.is_sound()


def _check_indexes(segments: list[Segment], present: set[str]) -> bool:
    """Builds indexes again that are missing or cannot be right; False if a segment's records do not read."""
    for segment in segments:
        try:
            if not _has_indexes(segment, present):
                segment.offsets.reset()
                segment.times.reset()
                segment.rescan(0)
        except CorruptBatch as damaged:
            log.warning("%s", damaged)
            return False
    return True


def _read_end(loaded: Loaded) -> bool:
    """The end of a cleanly stopped log, from the last segment's headers; False if they do not add up."""
    active = loaded.segments[-1]
    entry = active.offsets.last()
    position = 0
    if entry is not None:
        found = active.batch_at(entry[1])
        if found is None or found.last_offset < entry[0] + active.base_offset < found.base_offset:
            return False
        position = entry[1]
    loaded.end_offset = active.base_offset
    since_index = 0
    try:
        for found in active.batches(position):
            loaded.end_offset = found.last_offset + 1
            since_index += found.size
    except CorruptBatch as damaged:
        log.warning("%s", damaged)
        return False
    active.since_index = since_index
    # The last thing a clean stop does is to say how far it flushed, which is everything.
    return loaded.recovery_point in (0, loaded.end_offset)


def _derive_epochs(segments: list[Segment], epochs: LeaderEpochs) -> None:
    log.warning("Leader epochs of %s are missing or damaged; reading them from the log", segments[0].path)
    derived = LeaderEpochs()
    try:
        for segment in segments:
            for found in segment.batches(0):
                if found.header.partition_leader_epoch > derived.latest:
                    derived.assign(found.header.partition_leader_epoch, found.base_offset)
    except CorruptBatch as damaged:
        log.error("%s", damaged)
    for epoch, start in epochs.entries:
        if epoch > derived.latest:
            derived.assign(epoch, start)
    epochs.entries = derived.entries


# After a crash


def _recover(path: str, loaded: Loaded, files: Files) -> None:
    """Reads the segments from the recovery point on, and cuts the log where it is torn. Leader epochs that began there
    count as far as the records say so: their file may be one from before a cut."""
    segments, recovery_point = loaded.segments, loaded.recovery_point
    doubtful = loaded.epochs.take_from(recovery_point)
    first = max((i for i, s in enumerate(segments) if s.base_offset <= recovery_point), default=0)
    loaded.recovered = True
    for entry in files.names(path):
        if entry.endswith(TORN):
            files.unlink(os.path.join(path, entry))
    base, names = segments[first].base_offset, set(files.names(path))
    for segment in segments[:first]:
        if not _has_indexes(segment, names):
            segment.rebuild()
    loaded.producers = replay(path, segments[:first], loaded.start_offset, base, files)
    place = first
    while place < len(segments):
        segment = segments[place]
        if place > first and segment.base_offset < loaded.end_offset:
            # A roll that a crash interrupted; its segment is usually empty.
            log.warning("%s begins inside the segment before it; setting it aside", segment.path)
            _set_aside(path, segment, 0, files)
            segment.delete()
            del segments[place]
            continue
        _save_snapshot(path, segment.base_offset, loaded.producers, files)
        following = segments[place + 1].base_offset if place + 1 < len(segments) else recovery_point
        torn = _recover_segment(segment, loaded, path, following)
        if loaded.end_offset < recovery_point:
            _note_lost(loaded, segment, following)
        elif torn:
            for later in reversed(segments[place + 1 :]):
                _set_aside(path, later, 0, files)
                later.delete()
            del segments[place + 1 :]
            break
        place += 1
    if loaded.end_offset < recovery_point:
        # Offsets that were flushed may have been read: none is given out twice.
        segments.append(Segment(path, recovery_point, files))
        segments[-1].create()
        loaded.end_offset = recovery_point
    start_offset = max(loaded.start_offset, segments[0].base_offset)
    loaded.epochs.put_back_empty(doubtful, start_offset, loaded.end_offset)
    drop_above(path, loaded.end_offset, files)
    _save_snapshot(path, loaded.end_offset, loaded.producers, files)
    log.log(
        logging.WARNING if loaded.torn_bytes else logging.DEBUG,  # the directory says how many were recovered
        "Recovered %s up to offset %d, %d bytes cut",
        path,
        loaded.end_offset,
        loaded.torn_bytes,
    )


def _note_lost(loaded: Loaded, segment: Segment, following: int) -> None:
    """Flushed offsets between the end of a segment and what comes next are gone, if there are any."""
    if loaded.end_offset < following:
        segment.holes.append(Hole(segment.size, 0, loaded.end_offset, following - 1))
        log.error("Offsets %d to %d, which were flushed, cannot be read", loaded.end_offset, following - 1)


def _save_snapshot(path: str, offset: int, producers: Producers, files: Files) -> None:
    try:
        take(path, offset, producers, files)
    except OSError as error:
        if error.errno not in PASSING:
            raise
        log.warning("No snapshot of producer state at %d in %s: %s", offset, path, error)


def _recover_segment(segment: Segment, loaded: Loaded, path: str, following: int) -> bool:
    """Reads one segment from its first byte; True if the log was cut in it."""
    segment.offsets.reset()
    segment.times.reset()
    segment.forget()
    segment.max_timestamp, segment.max_timestamp_offset = -1, segment.base_offset
    segment.since_index, segment.times_known = 0, True
    segment.verified_size, segment.verified_ms, segment.holes = MAX_POSITION, FRESH, []
    position, end_offset = 0, segment.base_offset
    epochs, producers = loaded.epochs, loaded.producers
    latest, previous, torn = epochs.latest, -1, False
    while position < segment.size:
        try:
            for found in verified_batches(segment, position, segment.size, end_offset, following, LeaderEpochs()):
                header = found.header
                last, timestamp = found.last_offset, found.max_timestamp
                epoch = header.partition_leader_epoch
                if epoch != previous:
                    _check_epoch(segment, found, previous)
                    previous = epoch
                if epoch > latest:
                    epochs.assign(epoch, found.base_offset)
                    latest = epochs.latest
                if header.producer_id >= 0:
                    note(producers, header, lambda found=found: segment.read_batch(found))  # type: ignore[misc]
                if timestamp > segment.max_timestamp:
                    segment.max_timestamp, segment.max_timestamp_offset = timestamp, last
                if segment.since_index > segment.index_interval:
                    if segment.add_index_entry(found.position, last):
                        _write_indexes(segment.write_indexes)
                    segment.since_index = 0
                segment.since_index += found.size
                position, end_offset = found.position + found.size, last + 1
        except CorruptBatch:
            pass
        if position >= segment.size:
            break
        flushed = end_offset < loaded.recovery_point
        behind = next_intact_batch(segment, position, end_offset) if flushed else None
        if behind is None:
            cut = segment.size - position
            if _set_aside(path, segment, position, segment.files):
                loaded.torn_bytes += cut
                log.warning("Cutting %s at %d: %d bytes, offset %d", segment.path, position, cut, end_offset)
            segment.files.ftruncate(segment.open(), position)
            segment.size = position
            torn = loaded.cut = True
            break
        segment.holes.append(Hole(position, behind[0] - position, end_offset, behind[1] - 1))
        log.error(
            "%s is damaged at %d: offsets %d to %d, which were flushed, cannot be read",
            segment.path,
            position,
            end_offset,
            behind[1] - 1,
        )
        position, end_offset = behind
    loaded.end_offset = end_offset
    _write_indexes(segment.finish)
    return torn


def _check_epoch(segment: Segment, found: Found, previous: int) -> None:
    """Leader epochs only grow: one that does not fit to its neighbours is damaged."""
    epoch, behind = found.header.partition_leader_epoch, segment.batch_at(found.position + found.size)
    if epoch < previous or (behind is not None and previous <= behind.header.partition_leader_epoch < epoch):
        raise CorruptBatch(segment.path, found.position)


def _write_indexes(write: Callable[[], None]) -> None:
    """Writes the indexes; while the disk is full their entries wait in memory."""
    try:
        write()
    except OSError as error:
        if error.errno not in PASSING:
            raise
        log.warning("Indexes are not written: %s", error)


def _set_aside(path: str, segment: Segment, position: int, files: Files) -> bool:
    """Copies what is about to be cut to a file beside the log; False if there was nothing but zeros."""
    fd, size = segment.open(), segment.size
    target = os.path.join(path, f"{name(segment.base_offset)}.{position}{TORN}")
    copy = -1
    start, kept = position, False
    try:
        while start < size:
            block = files.pread(fd, READ_BYTES, start)
            if not block:
                break
            if copy < 0 and block.count(0) == len(block):
                start += len(block)
                continue
            if copy < 0:
                copy, kept = files.open(target, create=True), True
            files.write_all(copy, (block,), start - position)
            start += len(block)
    except OSError as error:
        if error.errno not in PASSING:
            raise
        log.warning("What is cut from %s is not kept: %s", segment.path, error)
    finally:
        if copy >= 0:
            files.close(copy)
    return kept
