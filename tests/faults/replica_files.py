"""A partition as it lies in a broker's data directory, read with nothing of the broker's own code.

Batches of format 2, uncompressed, as the clients here write them. What is wrong in a file is told in `problems`: a
torn or broken batch, offsets that do not go on, an index that points beside a batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import crc32c

from tests.faults.history import Batch, Replica

HEAD = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, CRC
REST = struct.Struct(">hiqqqhii")  # attributes, last offset delta, times, producer id, epoch, sequence; records
OVERHEAD = 12  # base offset and length are not counted in the length
COMPRESSION, CONTROL = 0x07, 0x20


def read_replica(directory: Path) -> Replica:
    """Every segment of the partition's directory, in order."""
    batches: list[Batch] = []
    records: list[tuple[int, str]] = []
    problems: list[str] = []
    for file in segments(directory):
        data = file.read_bytes()
        starts: dict[int, Batch] = {}
        expected = int(file.stem)
        if batches and batches[-1].last_offset + 1 != expected:
            problems.append(f"{file.name} follows offset {batches[-1].last_offset}")
        for position, item in split(data):
            if isinstance(item, str):
                problems.append(f"{file.name} at byte {position}: {item}")
                break
            if item.base_offset != expected:
                problems.append(f"{file.name} at byte {position}: offset {item.base_offset} follows {expected - 1}")
            expected = item.last_offset + 1
            starts[position] = item
            batches.append(item)
            records += decode(item)
        problems += check_index(file.with_suffix(".index"), int(file.stem), starts)
    return Replica(tuple(batches), tuple(records), tuple(problems))


def segments(directory: Path) -> list[Path]:
    """The records files, oldest first."""
    return sorted(directory.glob("*.log"))


def split(data: bytes) -> Iterator[tuple[int, Batch | str]]:
    """(position, batch) for each, and (position, what is wrong) where the first broken one begins."""
    position = 0
    while position < len(data):
        if len(data) - position < HEAD.size + REST.size:
            yield position, f"{len(data) - position} bytes are left over"
            return
        base, length, epoch, magic, crc = HEAD.unpack_from(data, position)
        end = position + OVERHEAD + length
        if magic != 2 or length < HEAD.size + REST.size - OVERHEAD or end > len(data):
            yield position, f"no whole batch: magic {magic}, length {length}, {len(data) - position} bytes left"
            return
        if crc32c.crc32c(data[position + HEAD.size : end]) != crc:
            yield position, f"the CRC of the batch with base offset {base} is wrong"
            return
        last_delta = REST.unpack_from(data, position + HEAD.size)[1]
        yield position, Batch(base, base + last_delta, epoch, data[position:end])
        position = end


def decode(batch: Batch) -> Iterator[tuple[int, str]]:
    """(offset, value) of each record."""
    attributes, _, _, _, _, _, _, count = REST.unpack_from(batch.data, HEAD.size)
    assert not attributes & COMPRESSION, "the clients of these tests do not compress"
    if attributes & CONTROL:
        return
    at = HEAD.size + REST.size
    for _ in range(count):
        length, at = _varint(batch.data, at)
        end = at + length
        _, at = _varint(batch.data, at + 1)  # attributes, timestamp delta
        delta, at = _varint(batch.data, at)
        key, at = _varint(batch.data, at)
        size, at = _varint(batch.data, at + max(key, 0))
        yield batch.base_offset + delta, batch.data[at : at + max(size, 0)].decode()
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number and where the next field begins."""
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def check_index(file: Path, base_offset: int, starts: dict[int, Batch]) -> Iterable[str]:
    """Each entry (relative offset, position) must name the start of a batch not above that offset.

    Zero entries at the end are room that a running broker keeps for more.
    """
    if not file.exists():
        return []
    data = file.read_bytes()
    entries = [struct.unpack_from(">ii", data, at) for at in range(0, len(data) - len(data) % 8, 8)]
    while entries and entries[-1] == (0, 0):
        entries.pop()
    return [
        f"{file.name}: offset {base_offset + relative} is not at byte {position}"
        for relative, position in entries
        if position not in starts or starts[position].base_offset > base_offset + relative
    ]


def checkpoint(file: Path) -> dict[tuple[str, int], int]:
    """A checkpoint of offsets: version, count, then topic, partition and offset in each line."""
    found = {}
    for line in file.read_text().splitlines()[2:]:
        topic, partition, offset = line.split()
        found[topic, int(partition)] = int(offset)
    return found
