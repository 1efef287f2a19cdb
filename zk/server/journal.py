"""What survives: the transaction log, snapshots, and reading them back. Blocking; used by one thread at a time.

    data directory
      lock                     held while a server runs; its text is the server's process id
      secret                   the key of session passwords
      state/log.<zxid>         entries from that zxid (hexadecimal) on
      state/snapshot.<zxid>    everything up to that zxid

    log         magic "klzklog1" | entry*
    entry       "\\xf1kz\\xf2" | u32 length | u32 CRC-32 of the rest | u64 synced | payload
    snapshot    magic "klzksnp1" | record* | end
    record      u32 length | u32 CRC-32 | payload
    end         a record of no bytes

`synced` is how far this file was durable when the entry was written. It tells a torn tail, which nobody was promised
and which is cut, from damage: an entry that cannot be read although a later one says that it was durable. Damage, and
a gap in the zxids, stop the server rather than lose what was acknowledged.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO
from zlib import crc32

LOG_MAGIC = b"klzklog1"
SNAPSHOT_MAGIC = b"klzksnp1"
ENTRY_MAGIC = b"\xf1kz\xf2"
_ENTRY = struct.Struct(">4sIIQ")
_RECORD = struct.Struct(">II")
_U64 = struct.Struct(">Q")

# A length beyond this is no length: frames are limited far below, and a multi's entry is about as long as its frame.
MAX_ENTRY = 1 << 30


class JournalError(Exception):
    """The directory cannot be used; the text is one line for the operator."""


class Journal:
    """The files of one server, from open() to close()."""

    def __init__(self, directory: str, log_directory: str = "", retain: int = 3) -> None:
        self.directory = directory
        self.entries_since_snapshot = 0
        self.bytes_since_snapshot = 0
        self.cut = ""
        self._snapshots = os.path.join(directory, "state")
        self._logs = os.path.join(log_directory or directory, "state")
        self._retain = max(retain, 1)
        self._lock: int | None = None
        self._fd: int | None = None
        self._size = 0

    def open(self) -> None:
        """Take the directory; JournalError if it cannot be used."""
        try:
            for directory in dict.fromkeys((self._snapshots, self._logs)):
                os.makedirs(directory, exist_ok=True)
            lock = os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"Cannot use the data directory {self.directory}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise JournalError(f"The data directory {self.directory} is in use by another server") from None
        if os.path.isdir(os.path.join(self.directory, "version-2")):
            os.close(lock)
            raise JournalError(f"The data directory {self.directory} holds data of an Apache ZooKeeper server")
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        self._lock = lock

    def close(self) -> None:
        """Give the directory back."""
        for fd in (self._fd, self._lock):
            if fd is not None:
                os.close(fd)
        self._fd = self._lock = None

    def secret(self) -> bytes:
        """The key of session passwords, made when the directory is new."""
        path = os.path.join(self.directory, "secret")
        try:
            with open(path, "rb") as file:
                secret = file.read()
            if len(secret) == 32:
                return secret
        except FileNotFoundError:
            pass
        secret = os.urandom(32)
        fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, secret)
        os.fsync(fd)
        os.close(fd)
        os.rename(path + ".new", path)
        _sync_directory(self.directory)
        return secret

    # Reading back.

    def recover(self, load: Callable[[bytes], None], replay: Callable[[bytes], None]) -> None:
        """Hand over the newest snapshot's records, then the entries of the logs behind it; cut a torn tail."""
        for path in (os.path.join(self._snapshots, name) for name in os.listdir(self._snapshots)):
            if path.endswith(".new"):
                os.unlink(path)
        start = 0
        for zxid in reversed(self._numbers("snapshot")):
            path = self._snapshot_path(zxid)
            if all(record is not None for record in _records(path)):
                for record in _records(path):
                    assert record is not None
                    load(record)
                start = zxid
                break
        logs = self._numbers("log")
        if logs and os.path.getsize(self._log_path(logs[-1])) < len(LOG_MAGIC):
            # The server went down while it began this file.
            os.unlink(self._log_path(logs.pop()))
        # A log is needed unless the snapshot has everything that comes before the next one.
        needed = [zxid for i, zxid in enumerate(logs) if i + 1 == len(logs) or logs[i + 1] > start + 1]
        if needed and needed[0] > start + 1:
            raise JournalError(f"The data directory {self.directory} lacks the log before zxid 0x{needed[0]:x}")
        if not needed and self._numbers("snapshot"):
            raise JournalError(f"The data directory {self.directory} lacks the log after zxid 0x{start:x}")
        for zxid in needed:
            self._replay(zxid, replay, zxid == needed[-1])
        if needed:
            self._open_log(needed[-1])
        else:
            self.rotate(start)

    def _replay(self, zxid: int, replay: Callable[[bytes], None], is_last: bool) -> None:
        path = self._log_path(zxid)
        pos = len(LOG_MAGIC)
        with open(path, "rb", 1 << 18) as file:
            if file.read(pos) != LOG_MAGIC:
                raise JournalError(f"{path} is no log of this server")
            while True:
                head = file.read(_ENTRY.size)
                payload = _payload(file, head)
                if payload is None:
                    break
                try:
                    replay(payload)
                except Exception as error:
                    raise JournalError(f"{path}: the entry at {pos} cannot be applied: {error!r}") from error
                pos += len(head) + len(payload)
                self.entries_since_snapshot += 1
                self.bytes_since_snapshot += len(payload)
        size = os.path.getsize(path)
        if pos == size:
            return
        if not is_last or _was_durable(path, pos):
            raise JournalError(f"{path} is damaged at {pos}, below what was acknowledged")
        self.cut = f"Cut {size - pos} bytes of an unfinished write from {path}"
        with open(path, "r+b") as file:
            file.truncate(pos)
            os.fsync(file.fileno())

    # Writing.

    def append(self, entries: Iterable[bytes]) -> None:
        """Write the entries and wait until they are durable. An OSError leaves the file in doubt: stop then."""
        assert self._fd is not None
        parts = []
        size = 0
        count = 0
        synced = _U64.pack(self._size)
        for entry in entries:
            parts.append(_ENTRY.pack(ENTRY_MAGIC, len(entry), crc32(entry, crc32(synced)), self._size))
            parts.append(entry)
            size += _ENTRY.size + len(entry)
            count += 1
        data = b"".join(parts)
        assert len(data) == size
        _write_all(self._fd, data)
        os.fdatasync(self._fd)
        self._size += size
        self.entries_since_snapshot += count
        self.bytes_since_snapshot += size

    def rotate(self, zxid: int) -> None:
        """Entries after this zxid go to a new file."""
        if self._fd is not None:
            os.close(self._fd)
        path = self._log_path(zxid + 1)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.write(fd, LOG_MAGIC)
        os.fsync(fd)
        os.close(fd)
        _sync_directory(self._logs)
        self._open_log(zxid + 1)
        self.entries_since_snapshot = self.bytes_since_snapshot = 0

    def begin_snapshot(self, zxid: int) -> "Snapshot":
        """A file that takes the records of the state at this zxid."""
        return Snapshot(self._snapshot_path(zxid))

    def purge(self) -> None:
        """Remove snapshots beyond those to retain and, once there are so many, the logs before the oldest of them."""
        snapshots = self._numbers("snapshot")
        kept = snapshots[-self._retain :]
        for zxid in snapshots[: -self._retain]:
            os.unlink(self._snapshot_path(zxid))
        logs = self._numbers("log")
        for zxid, after in zip(logs, logs[1:], strict=False):
            if len(kept) == self._retain and after <= kept[0] + 1:
                os.unlink(self._log_path(zxid))

    def sizes(self) -> tuple[int, int]:
        """Bytes of snapshots, bytes of logs."""
        totals = []
        for directory, kind in ((self._snapshots, "snapshot."), (self._logs, "log.")):
            names = [name for name in os.listdir(directory) if name.startswith(kind)]
            totals.append(sum(os.path.getsize(os.path.join(directory, name)) for name in names))
        return totals[0], totals[1]

    def _open_log(self, zxid: int) -> None:
        self._fd = os.open(self._log_path(zxid), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size

    def _log_path(self, zxid: int) -> str:
        return os.path.join(self._logs, f"log.{zxid:x}")

    def _snapshot_path(self, zxid: int) -> str:
        return os.path.join(self._snapshots, f"snapshot.{zxid:x}")

    def _numbers(self, kind: str) -> list[int]:
        names = os.listdir(self._logs if kind == "log" else self._snapshots)
        numbers = []
        for name in names:
            prefix, _, number = name.partition(".")
            if prefix == kind and number and set(number) <= set("0123456789abcdef"):
                numbers.append(int(number, 16))
        return sorted(numbers)


class Snapshot:
    """A snapshot being written; it counts only after finish()."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        _write_all(self._fd, SNAPSHOT_MAGIC)

    def write(self, records: Iterable[bytes]) -> None:
        """Add records."""
        _write_all(self._fd, b"".join(_RECORD.pack(len(record), crc32(record)) + record for record in records))

    def finish(self) -> None:
        """It is whole: make it durable and give it its name."""
        _write_all(self._fd, _RECORD.pack(0, 0))
        os.fsync(self._fd)
        os.close(self._fd)
        os.rename(self._path + ".new", self._path)
        _sync_directory(os.path.dirname(self._path))


def _payload(file: BinaryIO, head: bytes) -> bytes | None:
    """The payload that follows an entry's head, or None if head or payload are not what was written."""
    if len(head) < _ENTRY.size:
        return None
    magic, length, crc, synced = _ENTRY.unpack(head)
    if magic != ENTRY_MAGIC or length > MAX_ENTRY:
        return None
    payload = file.read(length)
    if len(payload) != length or crc32(payload, crc32(_U64.pack(synced))) != crc:
        return None
    return payload


def _was_durable(path: str, pos: int) -> bool:
    """Whether an entry after `pos` says that `pos` was durable before it was written."""
    with open(path, "rb") as file:
        file.seek(pos)
        rest = file.read()
        at = rest.find(ENTRY_MAGIC, 1)
        while at >= 0:
            file.seek(pos + at)
            head = file.read(_ENTRY.size)
            if _payload(file, head) is not None and _ENTRY.unpack(head)[3] > pos:
                return True
            at = rest.find(ENTRY_MAGIC, at + 1)
    return False


def _records(path: str) -> Iterator[bytes | None]:
    """A snapshot's records; a None in the end if it is not whole."""
    with open(path, "rb", 1 << 18) as file:
        if file.read(len(SNAPSHOT_MAGIC)) != SNAPSHOT_MAGIC:
            yield None
            return
        while True:
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                yield None
                return
            length, crc = _RECORD.unpack(head)
            if length == 0:
                if crc or file.read(1):
                    yield None
                return
            record = file.read(length)
            if len(record) != length or crc32(record) != crc:
                yield None
                return
            yield record


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
