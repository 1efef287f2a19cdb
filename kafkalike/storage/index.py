"""Sparse indexes beside a segment: from an offset to a position, from a timestamp to an offset.

    .index      int32 offset - segment base, int32 position of the batch that ends with that offset
    .timeindex  int64 largest timestamp so far, int32 (last offset of the batch that holds it) - segment base

Entries are big-endian, of fixed size, and both columns ascend. The file holds whole entries and nothing else at all
times: Java takes its length for the number of entries. New entries wait in memory and go to the file some hundreds
at a time, before a flush and at close; what a crash takes is rebuilt from the records. Lookups read the file with
pread, never through a mapping: a bad disk under a mapping kills the process.

An index is a hint. Whoever follows an entry checks what it finds there (segment.py), for a flipped bit may have
made the entry wrong.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from kafkalike.storage.files import DISK, Files

# At 512 entries a write costs some tens of microseconds, and a partition's unwritten entries at most 40 KB.
PENDING: Final = 512
# How many entries are read at once and kept for the next lookup.
BLOCK: Final = 512

OFFSETS: Final = struct.Struct(">ii")
TIMES: Final = struct.Struct(">qi")


class Index:
    """An index: pairs of numbers that ascend in both columns, in a file."""

    __slots__ = ("path", "_entry", "_files", "_stored", "_first", "_second", "_last", "_block")

    def __init__(self, path: str, entry: struct.Struct, files: Files = DISK) -> None:
        self.path = path
        self._entry = entry
        self._files = files
        self._stored = files.size(path) // entry.size
        self._first: list[int] = []
        self._second: list[int] = []
        self._last: tuple[int, int] | None = None
        # The stretch of the file that the last lookup read: the next one is often in it too.
        self._block = b""

    def __len__(self) -> int:
        return self._stored + len(self._first)

    def add(self, first: int, second: int) -> bool:
        """Appends an entry; True when so many wait that write() is due."""
        self._first.append(first)
        self._second.append(second)
        self._last = (first, second)
        return len(self._first) >= PENDING

    def last(self) -> tuple[int, int] | None:
        """The newest entry; None if there is none."""
        if self._last is None and len(self):
            self._last = self._read(self._stored - 1, 1)[0]
        return self._last

    def floor(self, column: int, value: int) -> tuple[int, int] | None:
        """The entry with the greatest number in `column` that is not above `value`."""
        pending = self._second if column else self._first
        if pending and pending[0] <= value:
            found = bisect_right(pending, value) - 1
            return self._first[found], self._second[found]
        if not self._stored:
            return None
        found = self._search(self._block, column, value)
        if 0 < found < len(self._block) // self._entry.size:
            first, second = self._entry.unpack_from(self._block, (found - 1) * self._entry.size)
            return first, second
        self._block = self._load(column, value)
        found = self._search(self._block, column, value)
        if not found:
            return None
        first, second = self._entry.unpack_from(self._block, (found - 1) * self._entry.size)
        return first, second

    def _search(self, block: bytes, column: int, value: int) -> int:
        """How many entries of the block are not above `value`."""
        unpack, size = self._entry.unpack_from, self._entry.size
        low, high = 0, len(block) // size
        while low < high:
            middle = (low + high) // 2
            if unpack(block, middle * size)[column] <= value:
                low = middle + 1
            else:
                high = middle
        return low

    def _load(self, column: int, value: int) -> bytes:
        """The stretch of the file where `value` belongs."""
        size = self._entry.size
        fd = self._files.open(self.path, write=False)
        try:
            low, high = 0, self._stored
            while high - low > BLOCK:
                middle = (low + high) // 2
                data = self._files.pread(fd, size, middle * size)
                if len(data) == size and self._entry.unpack(data)[column] <= value:
                    low = middle
                else:
                    high = middle
            return self._files.pread(fd, BLOCK * size, low * size)
        finally:
            self._files.close(fd)

    def _read(self, start: int, count: int) -> list[tuple[int, int]]:
        if not self._stored:
            return []
        fd = self._files.open(self.path, write=False)
        try:
            data = self._files.pread(fd, count * self._entry.size, start * self._entry.size)
        finally:
            self._files.close(fd)
        return [(first, second) for first, second in self._entry.iter_unpack(data)]

    def entries(self) -> list[tuple[int, int]]:
        """All entries, whether they are written already or not."""
        return self._read(0, self._stored) + list(zip(self._first, self._second, strict=True))

    def stored(self) -> Iterator[tuple[int, int]]:
        """The entries that are in the file now, read when they are asked for; in any thread."""
        return self._stretches(self._stored)

    def _stretches(self, count: int) -> Iterator[tuple[int, int]]:
        for start in range(0, count, BLOCK):
            yield from self._read(start, min(BLOCK, count - start))

    def is_sound(self) -> bool:
        """Whether the file could be an index: whole entries, the first column of the last one not negative."""
        size = self._files.size(self.path)
        if size != self._stored * self._entry.size:
            return False
        last = self.last()
        return last is None or (last[0] >= 0 and last[1] >= 0)

    def write(self) -> None:
        """Puts waiting entries into the file. On an error they go on waiting, and the file keeps its length."""
        if not self._first:
            return
        numbers = [number for pair in zip(self._first, self._second, strict=True) for number in pair]
        columns = self._entry.format[1:]
        data = struct.pack(">" + columns * len(self._first), *numbers)
        start = self._stored * self._entry.size
        fd = self._files.open(self.path, create=True)
        try:
            try:
                self._files.write_all(fd, (data,), start)
            except OSError:
                self._files.ftruncate(fd, start)
                raise
        finally:
            self._files.close(fd)
        self._stored += len(self._first)
        self._first.clear()
        self._second.clear()

    def create(self) -> None:
        """Makes the file, empty: Kafka takes a segment without index files for damaged."""
        self._files.close(self._files.open(self.path, create=True))

    def truncate(self, column: int, value: int) -> None:
        """Drops every entry whose number in `column` is `value` or more."""
        self.write()
        low, high = 0, self._stored
        if high:
            fd = self._files.open(self.path)
            try:
                while low < high:
                    middle = (low + high) // 2
                    data = self._files.pread(fd, self._entry.size, middle * self._entry.size)
                    if len(data) == self._entry.size and self._entry.unpack(data)[column] < value:
                        low = middle + 1
                    else:
                        high = middle
                self._files.ftruncate(fd, low * self._entry.size)
            finally:
                self._files.close(fd)
        self._stored = low
        self._last = None
        self._block = b""

    def reset(self) -> None:
        """Empties the index: its file too."""
        self._first.clear()
        self._second.clear()
        self._last = None
        self._block = b""
        self._stored = 0
        fd = self._files.open(self.path, create=True)
        try:
            self._files.ftruncate(fd, 0)
        finally:
            self._files.close(fd)
