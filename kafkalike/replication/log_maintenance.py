"""The periodic work on logs, as Kafka's LogManager does it: checkpoints, flushes, retention, removal of deleted files.

Whatever waits for the disk happens in threads; their outcome is taken over on the reactor thread.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from kafkalike.clock import Clock
from kafkalike.config import Config
from kafkalike.errors import KafkaError
from kafkalike.metrics import Timer
from kafkalike.replication.fetchers import Fetchers
from kafkalike.replication.file_threads import in_thread
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.replication.purgatory import Purgatory
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.flush import Flush
from kafkalike.storage.open_files import OPEN_FILES

log = logging.getLogger("kafka.log.LogManager")

FLUSH_TIME = Timer("kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs")

FLUSHES = 100  # of new partitions, that go through one thread: their directory is synced once for all


class LogMaintenance:
    """The periodic work of one broker, each kind in a loop of its own."""

    def __init__(
        self,
        partitions: HostedPartitions,
        purgatory: Purgatory,
        fetchers: Fetchers,
        clock: Clock,
        config: Config,
        reactor: Any,
    ) -> None:
        self._partitions = partitions
        self._purgatory = purgatory
        self._fetchers = fetchers
        self._clock = clock
        self._config = config
        self._reactor = reactor
        self._loops: list[task.LoopingCall] = []
        self._told: dict[tuple[str, str], str] = {}  # by directory and kind of work: how it failed last
        self._ends: dict[str, int] = {}  # log end offsets, by path, when files were closed last

    def start(self) -> None:
        """Starts the periodic work: retention, checkpoints, flushes, removal of deleted files."""
        config = self._config
        self._every(config["replica.high.watermark.checkpoint.interval.ms"], self.checkpoint)
        self._every(config["log.flush.offset.checkpoint.interval.ms"], self._checkpoint_recovery_points)
        self._every(config["log.flush.start.offset.checkpoint.interval.ms"], self._checkpoint_log_starts)
        self._every(config["log.retention.check.interval.ms"], self._retain)
        self._every(config["producer.id.expiration.check.interval.ms"], self._expire_producers)
        # Segments that a roll has finished and files of new logs are flushed, too, whatever the flush policy.
        self._every(min(config["log.flush.scheduler.interval.ms"], 1000), self._flush_old)
        self._every(1000, self._housekeep)

    def stop(self) -> None:
        """Ends the loops."""
        for loop in self._loops:
            if loop.running:
                loop.stop()

    def _every(self, interval_ms: int, work: Callable[[], Any]) -> None:
        if not 0 < interval_ms < 2**40:
            return
        loop = task.LoopingCall(work)
        loop.clock = self._reactor
        loop.start(interval_ms / 1000, now=False).addErrback(
            lambda failure: log.error("Periodic work ended: %s", failure.getTraceback())
        )
        self._loops.append(loop)

    def _in_thread(self, work: Callable[[LogDirectory], Any]) -> Deferred[Any]:
        """Work on each directory; where it fails the others have theirs all the same. What fails again and again for
        the same reason is told once."""

        def on_all() -> None:
            for directory in self._partitions.directories:
                key = (directory.path, work.__qualname__)
                try:
                    work(directory)
                    self._told.pop(key, None)
                except KafkaError as problem:
                    if self._told.get(key) != str(problem):
                        log.error("Work on the log directories failed: %s", problem)
                    self._told[key] = str(problem)

        def failed(failure: Any) -> None:
            log.error("Work on the log directories failed: %s", failure.getTraceback())

        deferred = in_thread(self._reactor, on_all)
        return deferred.addErrback(failed)

    def _each(
        self, work: Callable[[HostedPartition], Any], partitions: Iterable[HostedPartition] | None = None
    ) -> Iterator[None]:
        """Work on each partition, or on these, one a step; where it fails the others have theirs all the same."""
        for hosted in list(self._partitions.hosted.values() if partitions is None else partitions):
            if self._partitions.hosted.get(hosted.key) is not hosted:
                continue  # The partition was given up in between, and its files are not where they were.
            try:
                work(hosted)
            except KafkaError as problem:
                log.error("Work on %s-%d failed: %s", *hosted.key, problem)
            yield

    def note_high_watermarks(self) -> None:
        """Tells the directories what their next checkpoint is to say."""
        for directory in self._partitions.directories:
            for key in directory.logs:
                hosted = self._partitions.hosted.get(key)
                if hosted is not None:
                    directory.high_watermarks[key] = hosted.partition.high_watermark

    def checkpoint(self) -> Deferred[Any]:
        """Writes the high watermarks."""
        self.note_high_watermarks()
        return self._in_thread(lambda directory: directory.checkpoint_high_watermarks())

    def _checkpoint_recovery_points(self) -> Deferred[Any]:
        return self._in_thread(lambda directory: directory.checkpoint_recovery_points())

    def _checkpoint_log_starts(self) -> Deferred[Any]:
        return self._in_thread(lambda directory: directory.checkpoint_log_starts())

    def _flush_old(self) -> None:
        now = self._clock.wall_ms()

        flushes: dict[str, list[Flush]] = {}

        def begin(hosted: HostedPartition) -> None:
            flush = hosted.log.begin_flush(now)
            if flush is not None:
                flushes.setdefault(os.path.dirname(hosted.log.path), []).append(flush)

        due = [hosted for hosted in self._partitions.hosted.values() if hosted.log.flush_due(now)]
        if OPEN_FILES.count >= OPEN_FILES.most:
            self.close_files(OPEN_FILES.most * 3 // 4)
        for _ in self._each(begin, due):
            if OPEN_FILES.count >= OPEN_FILES.most:
                break  # A flush holds its files; the other logs are due again when these are closed.
        for of_one_directory in flushes.values():
            for at in range(0, len(of_one_directory), FLUSHES):
                self._flush(of_one_directory[at : at + FLUSHES])

    def _flush(self, flushes: list[Flush]) -> None:
        """The fsyncs of logs of one directory in a thread, the outcome of each here."""

        durations: list[float] = []

        def run() -> tuple[int, OSError | None]:
            done: set[str] = set()
            for number, flush in enumerate(flushes):
                began = self._reactor.seconds()
                try:
                    flush.run(done)
                    durations.append(1000 * (self._reactor.seconds() - began))
                except OSError as error:
                    # The directory is lost, and nothing is tried again.
                    return number, error
            return len(flushes), None

        def finish(outcome: tuple[int, OSError | None]) -> None:
            well, error = outcome
            for ms in durations:
                FLUSH_TIME.update(ms)
            if error is None:
                self._told.pop(("", "flush"), None)
            for number, flush in enumerate(flushes):
                try:
                    flush.finish(error if number >= well else None)
                except KafkaError as problem:
                    if number == well and self._told.get(("", "flush")) != str(problem):
                        self._told["", "flush"] = str(problem)
                        log.error("Flush failed: %s", problem)

        deferred = in_thread(self._reactor, run)
        deferred.addCallback(finish).addErrback(lambda failure: log.error("Flush failed: %s", failure.value))

    def _retain(self) -> Deferred[Any]:
        def retain(hosted: HostedPartition) -> None:
            start = hosted.log.log_start_offset
            hosted.log.retain(self._clock.wall_ms(), hosted.partition.high_watermark)
            if hosted.log.log_start_offset != start:
                self._purgatory.wake(hosted.key)
                self._fetchers.stir(*hosted.key)

        return task.coiterate(self._each(retain))

    def _expire_producers(self) -> None:
        for hosted in self._partitions.hosted.values():
            hosted.log.expire_producers(self._clock.wall_ms())

    def _housekeep(self) -> Deferred[Any]:
        """Looks at the free space and removes what was deleted a while ago."""

        def work(directory: LogDirectory) -> None:
            directory.watch_space()
            directory.purge(self._clock.wall_ms())

        return self._in_thread(work)

    def close_files(self, most: int) -> None:
        """Closes files of logs, first of those where nothing was appended since the last time, until at most so many
        are open. Not within a turn that reads."""
        logs = [each for directory in self._partitions.directories for each in directory.logs.values()]
        logs.sort(key=lambda each: self._ends.get(each.path) != each.log_end_offset)
        self._ends = {each.path: each.log_end_offset for each in logs}
        for each in logs:
            if OPEN_FILES.count <= most:
                return
            each.close_files()
