"""Places in a segment's file: one batch, a range of whole batches that is sent as it is, a hole.

A FileRange that is retained keeps the file open, also when the segment is deleted meanwhile.
"""

from typing import NamedTuple, Protocol

from kafkalike.protocol.batch import BatchHeader
from kafkalike.storage.files import Files


class CorruptBatch(Exception):
    """Where a record batch should be in a file there is none."""

    def __init__(self, path: str, position: int) -> None:
        super().__init__(f"No record batch at position {position} of {path}")
        self.path = path
        self.position = position


class Found(NamedTuple):
    """A batch in a segment's file: where it is, and its header."""

    position: int
    size: int
    header: BatchHeader

    @property
    def base_offset(self) -> int:
        return self.header.base_offset

    @property
    def last_offset(self) -> int:
        return self.header.base_offset + self.header.last_offset_delta

    @property
    def max_timestamp(self) -> int:
        return self.header.max_timestamp


class Hole(NamedTuple):
    """A place in a segment's file where batches should be that cannot be read, and the offsets that they had."""

    position: int
    size: int
    first: int
    last: int


class SegmentFile(Protocol):
    """A segment, as far as a range of its file needs it."""

    files: Files
    path: str
    users: int
    deleted: bool

    def close_file(self) -> None: ...


class FileRange:
    """Whole record batches in a segment's file, to be sent as they are.

    Whoever keeps a range beyond the call that gave it holds it with retain() and gives it back with release().
    """

    __slots__ = ("segment", "fd", "position", "size")

    def __init__(self, segment: SegmentFile, fd: int, position: int, size: int) -> None:
        self.segment = segment
        self.fd = fd
        self.position = position
        self.size = size

    def retain(self) -> None:
        """The file stays open until release()."""
        self.segment.users += 1

    def release(self) -> None:
        """The range needs the file no more; a deleted segment is closed when no range needs it."""
        segment = self.segment
        segment.users -= 1
        if segment.deleted and segment.users == 0:
            segment.close_file()

    def read(self) -> bytes:
        """The bytes, for whoever cannot send from the file."""
        files = self.segment.files
        data = files.pread(self.fd, self.size, self.position)
        while len(data) < self.size:
            more = files.pread(self.fd, self.size - len(data), self.position + len(data))
            if not more:
                raise CorruptBatch(self.segment.path, self.position + len(data))
            data += more
        return data

    def __repr__(self) -> str:
        return f"FileRange({self.segment.path}, {self.position}, {self.size})"
