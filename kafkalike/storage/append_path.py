"""How batches get into a log: from clients and coordinators, as leader, and from the leader, as follower.

A produced batch stays the memoryview it came in: its header is read once, its checksum verified, and one writev puts a
new base offset and leader epoch in front of the untouched rest. State in memory (end offset, producers) changes only
after the bytes are in the file. A violation by the client is a KafkaError and nothing is written.
"""

from typing import NamedTuple

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import (
    CONTROL,
    CRC_START,
    HEADER,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    MAGIC,
    MAX_SEQUENCE,
    STAMP_SIZE,
    TRANSACTIONAL,
    BatchHeader,
    pack_stamp,
)
from kafkalike.protocol.control_records import read_marker
from kafkalike.storage import producer_snapshots
from kafkalike.storage.files import PASSING
from kafkalike.storage.flush import Flushing
from kafkalike.storage.producer_state import WINDOW, Sent, back
from kafkalike.storage.segment import RECENT, Segment
from kafkalike.storage.validation import followed, inspect

# Who appends. A client's batches are checked for everything a client could get wrong; a coordinator's own may be
# control batches, carry no sequences, and are as large as they need to be.
CLIENT, COORDINATOR = 0, 1

_new = tuple.__new__
_unpack_header = HEADER.unpack_from


class Appended(NamedTuple):
    """Where a batch was appended. log_append_time_ms is -1 when the records keep their own timestamps."""

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    log_start_offset: int
    duplicate: bool


class AppendPath(Flushing):
    """The part of a Log that appends to it."""

    __slots__ = ()

    def append(self, records: memoryview, leader_epoch: int, now_ms: int, origin: int = CLIENT) -> Appended:
        """One batch from a client, as leader: gets the next offsets. KafkaError, and nothing written, if it may not.

        This is the path of every produced batch; what needs thought is in validation.py and _roll.
        """
        if self.offline is not None or self.full:
            raise self._refused()
        size = len(records)
        if size < HEADER_SIZE:
            inspect(records, self._config, now_ms, True)
        header = _unpack_header(records)
        base, length, _, magic, crc, attributes, delta, _, timestamp, producer_id, epoch, sequence, count = header
        if (
            attributes not in self._plain
            or length + LOG_OVERHEAD != size
            or magic != MAGIC
            or size > self._max_message_bytes
            or delta + 1 != count
            or delta < 0
            or base
            or crc32c(records[CRC_START:]) != crc
        ):
            records = inspect(records, self._config, now_ms, origin == CLIENT)
            size = len(records)
            header = _unpack_header(records)
            _, length, _, _, _, attributes, delta, _, timestamp, producer_id, epoch, sequence, count = header
        if producer_id >= 0:
            producer = self.producers.entries.get(producer_id)
            if (
                producer is None
                or producer.epoch != epoch
                or producer.next_sequence != sequence
                or attributes & (TRANSACTIONAL | CONTROL)
                or producer.txn_first_offset >= 0
            ):
                producer = None
                sent = self._check_producer(records, _new(BatchHeader, header), origin)
                if sent is not None:
                    return sent
        base = self.log_end_offset
        last = base + delta
        segment = self._active
        position = segment.size
        if position + size > segment.roll_size or timestamp > segment.roll_timestamp or last > segment.max_offset:
            segment = self._roll(size, last, now_ms)
            position = segment.size
        if segment.fd < 0:
            self._reopen(segment)
        if leader_epoch != self._latest_epoch:
            self.assign_epoch(leader_epoch, base)
        try:
            written = self._pwritev(
                segment.fd, (pack_stamp(base, length, leader_epoch), records[STAMP_SIZE:]), position
            )
        except OSError as error:
            raise self._write_failed(segment, position, error) from error
        if written != size:
            self._write_rest(segment, position, records, pack_stamp(base, length, leader_epoch), written)
        segment.size = position + size
        self.log_end_offset = last + 1
        recent = segment.recent_offsets
        recent.append(base)
        segment.recent_positions.append(position)
        if len(recent) > 2 * RECENT:
            del recent[:RECENT], segment.recent_positions[:RECENT]
        if timestamp > segment.max_timestamp:
            segment.max_timestamp = timestamp
            segment.max_timestamp_offset = last
        since_index = segment.since_index
        if since_index > self._index_interval:
            if segment.add_index_entry(position, last):
                self._write_indexes(segment)
            since_index = 0
        segment.since_index = since_index + size
        if not position:
            self._first_batch_written(segment, timestamp, now_ms)
        if producer_id >= 0:
            if producer is not None:
                producer.add((sequence + delta) & MAX_SEQUENCE, last, delta, timestamp)
            else:
                producer_snapshots.note(self.producers, _new(BatchHeader, (base, *header[1:])), lambda: records)
        self._unflushed += count
        if self._unflushed >= self._flush_messages:
            self.flush()
        return _new(
            Appended, (base, last, timestamp if attributes & LOG_APPEND_TIME else -1, self.log_start_offset, False)
        )

    def append_as_follower(self, records: memoryview, now_ms: int) -> Appended | None:
        """Batches from the leader, offsets and epochs as they are; a cut-off last batch is left out. None if there
        was no whole batch."""
        if self.offline is not None or self.full:
            raise self._refused()
        batches = followed(records, self.log_end_offset)
        if not batches:
            return None
        size = batches[-1].position + batches[-1].size
        if size > self._config.segment_bytes and len(batches) > 1:
            for found in batches:
                self.append_as_follower(records[found.position : found.position + found.size], now_ms)
            return Appended(batches[0].base_offset, self.log_end_offset - 1, -1, self.log_start_offset, False)
        last, timestamp = batches[-1].last_offset, max(found.max_timestamp for found in batches)
        segment = self._active
        if segment.size and (
            segment.size + size > segment.roll_size or timestamp > segment.roll_timestamp or last > segment.max_offset
        ):
            segment = self._roll(0, last, now_ms)
        if segment.fd < 0:
            self._reopen(segment)
        start = segment.size
        try:
            self.files.write_all(segment.fd, (records[:size],), start)
        except OSError as error:
            raise self._write_failed(segment, start, error) from error
        self.log_end_offset = last + 1
        for found in batches:
            position = start + found.position
            segment.account(position, found.size, found.base_offset, found.last_offset, found.max_timestamp)
            if segment.since_index > self._index_interval:
                if segment.add_index_entry(position, found.last_offset):
                    self._write_indexes(segment)
                segment.since_index = 0
            segment.since_index += found.size
            header = found.header
            if header.partition_leader_epoch > self._latest_epoch:
                self.assign_epoch(header.partition_leader_epoch, found.base_offset)
            if header.producer_id >= 0:
                data = records[found.position : found.position + found.size]
                producer_snapshots.note(self.producers, header, lambda data=data: data)  # type: ignore[misc]
            self._unflushed += header.record_count
        if not start:
            self._first_batch_written(segment, batches[0].max_timestamp, now_ms)
        if self._unflushed >= self._flush_messages:
            self.flush()
        return Appended(batches[0].base_offset, last, -1, self.log_start_offset, False)

    # Producers

    def _check_producer(self, records: memoryview, header: BatchHeader, origin: int) -> Appended | None:
        """KafkaError unless this producer may write this batch. If it has written it before: where that one is."""
        producer_id, epoch = header.producer_id, header.producer_epoch
        if header.is_control:
            marker = read_marker(records)
            if marker is not None:
                self.producers.check_marker(producer_id, epoch, marker.coordinator_epoch)
            return None
        sequence, delta, transactional = header.base_sequence, header.last_offset_delta, header.is_transactional
        client = origin == CLIENT
        if client and sequence < 0:
            raise KafkaError(Error.INVALID_RECORD, f"Producer {producer_id} sent a batch with sequence {sequence}.")
        try:
            sent = self.producers.check(producer_id, epoch, sequence, delta, transactional, client)
        except KafkaError as problem:
            out_of_order = problem.error is Error.OUT_OF_ORDER_SEQUENCE_NUMBER
            if not (out_of_order and self._recall(producer_id, epoch, sequence)):
                raise
            sent = self.producers.check(producer_id, epoch, sequence, delta, transactional, client)
        if sent is None:
            return None
        return Appended(sent.base_offset, sent.last_offset, sent.timestamp, self.log_start_offset, True)

    def _recall(self, producer_id: int, epoch: int, sequence: int) -> bool:
        """A snapshot holds the last batch of each producer, and a repeat may be of one before it: looks for those at
        the end of the log. Whether more is known now (reliability F3)."""
        entry = self.producers.entries.get(producer_id)
        if entry is None or entry.epoch != epoch or entry.recalled or not 0 < len(entry.batches) < WINDOW:
            return False
        if back(entry.next_sequence, sequence) > MAX_SEQUENCE // 2:
            return False  # it lies ahead
        entry.recalled = True
        try:
            with self.disk():
                found = self._segments.of_producer(producer_id, epoch, entry.batches[0].base_offset)
        except KafkaError:
            return False
        return entry.recall(
            Sent(b.header.last_sequence, b.last_offset, b.header.last_offset_delta, b.max_timestamp) for b in found
        )

    # When a write fails

    def _write_failed(self, segment: Segment, position: int, error: OSError) -> KafkaError:
        """Cuts the file back to where the batch began. The log is as it was before."""
        if error.errno not in PASSING:
            return self.lost(error)
        try:
            self.files.ftruncate(segment.fd, position)
        except OSError as second:
            return self.lost(second)
        return KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self} cannot be appended to: {error.strerror}")

    def _write_rest(self, segment: Segment, position: int, records: memoryview, head: bytes, written: int) -> None:
        """Writes the rest after a short write; gives the reason when that fails."""
        rest = memoryview(head + bytes(records[STAMP_SIZE:]))[written:]
        try:
            self.files.write_all(segment.fd, (rest,), position + written)
        except OSError as error:
            raise self._write_failed(segment, position, error) from error
