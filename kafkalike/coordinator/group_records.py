"""The formats inside __consumer_offsets: keys and values of its records. Pure; called by
group_partition.py and offsets/log_offsets.py.

Every key and value begins with an int16 version. Strings are int16 length + UTF-8 (-1 is null), bytes int32 length.

    key version   what             fields
    0, 1          offset commit    group, topic, int32 partition                               written: 1
    2             group metadata   group                                                       written: 2

    offset commit value, versions 0 - 4                                     written: 3 (1 with an expiry of its own)
    all   int64 offset
    3+    int32 leader epoch
    all   metadata, int64 commit timestamp
    1     int64 expire timestamp

    group metadata value, versions 0 - 4                                                       written: 3
    all   protocol type, int32 generation, nullable protocol, nullable leader
    2+    int64 time of the last change of state
    all   members: member id, [3+ nullable instance id], client id, client host, [1+ int32 rebalance timeout],
          int32 session timeout, bytes subscription, bytes assignment

Version 4 of both values has the same fields in the compact form and ends each structure with tagged fields; it is
read, so that a log written by a later broker loads, and never written. A record without a value is a tombstone.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from kafkalike.protocol.primitives import LENIENT

OFFSET_KEYS = (0, 1)
GROUP_KEY = 2
NO_TIMESTAMP = -1


class RecordError(ValueError):
    """A record that does not have the form its version promises."""


class OffsetKey(NamedTuple):
    """Key of one committed offset."""

    group: str
    topic: str
    partition: int


class GroupKey(NamedTuple):
    """Key of one group's metadata."""

    group: str


@dataclass(frozen=True, slots=True)
class OffsetValue:
    """One committed offset."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""
    commit_timestamp_ms: int = NO_TIMESTAMP
    expire_timestamp_ms: int = NO_TIMESTAMP


@dataclass(frozen=True, slots=True)
class MemberValue:
    """One member within a group's metadata."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A group as the log remembers it: stable with these members, or empty."""

    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    state_timestamp_ms: int
    members: tuple[MemberValue, ...] = ()


def offset_key(group: str, topic: str, partition: int) -> bytes:
    """Key of the offset that `group` committed for a partition."""
    return b"\0\1" + _string(group) + _string(topic) + struct.pack(">i", partition)


def group_key(group: str) -> bytes:
    """Key of a group's metadata."""
    return b"\0\2" + _string(group)


def offset_value(value: OffsetValue) -> bytes:
    """A committed offset as Kafka 3.9 writes it."""
    metadata = _string(value.metadata)
    if value.expire_timestamp_ms != NO_TIMESTAMP:
        times = struct.pack(">qq", value.commit_timestamp_ms, value.expire_timestamp_ms)
        return struct.pack(">hq", 1, value.offset) + metadata + times
    head = struct.pack(">hqi", 3, value.offset, value.leader_epoch)
    return head + metadata + struct.pack(">q", value.commit_timestamp_ms)


def group_value(value: GroupValue) -> bytes:
    """A group's metadata as Kafka 3.9 writes it."""
    parts = [
        b"\0\3",
        _string(value.protocol_type),
        struct.pack(">i", value.generation),
        _string(value.protocol),
        _string(value.leader),
        struct.pack(">qi", value.state_timestamp_ms, len(value.members)),
    ]
    for member in value.members:
        parts += (
            _string(member.member_id),
            _string(member.group_instance_id),
            _string(member.client_id),
            _string(member.client_host),
            struct.pack(">ii", member.rebalance_timeout_ms, member.session_timeout_ms),
            struct.pack(">i", len(member.subscription)),
            member.subscription,
            struct.pack(">i", len(member.assignment)),
            member.assignment,
        )
    return b"".join(parts)


def read_key(data: bytes | memoryview) -> OffsetKey | GroupKey | None:
    """The key of a record, or None for a kind this broker does not know (new group types)."""
    read = _Reader(data)
    version = read.int16()
    if version in OFFSET_KEYS:
        return OffsetKey(read.string(), read.string(), read.int32())
    return GroupKey(read.string()) if version == GROUP_KEY else None


def read_offset_value(data: bytes | memoryview) -> OffsetValue:
    """A committed offset of any version."""
    read = _Reader(data)
    version = read.version(4)
    offset = read.int64()
    leader_epoch = read.int32() if version >= 3 else -1
    metadata = read.string()
    commit_timestamp_ms = read.int64()
    expire_timestamp_ms = read.int64() if version == 1 else NO_TIMESTAMP
    return OffsetValue(offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms)


def read_group_value(data: bytes | memoryview) -> GroupValue:
    """A group's metadata of any version."""
    read = _Reader(data)
    version = read.version(4)
    protocol_type, generation = read.string(), read.int32()
    protocol, leader = read.nullable_string(), read.nullable_string()
    state_timestamp_ms = read.int64() if version >= 2 else NO_TIMESTAMP
    members = tuple(_read_member(read, version) for _ in range(read.count()))
    return GroupValue(protocol_type, generation, protocol, leader, state_timestamp_ms, members)


def _read_member(read: "_Reader", version: int) -> MemberValue:
    member_id = read.string()
    group_instance_id = read.nullable_string() if version >= 3 else None
    client_id, client_host = read.string(), read.string()
    rebalance_timeout_ms = read.int32() if version >= 1 else NO_TIMESTAMP
    session_timeout_ms = read.int32()
    subscription, assignment = read.bytes(), read.bytes()
    read.tags()
    # Version 0 knew one timeout for both purposes.
    rebalance_timeout_ms = rebalance_timeout_ms if version >= 1 else session_timeout_ms
    return MemberValue(
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms,
        session_timeout_ms,
        subscription,
        assignment,
    )


def _string(text: str | None) -> bytes:
    if text is None:
        return b"\xff\xff"
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class _Reader:
    """A cursor over one key or value; `compact` after a version that uses the compact form."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.pos, self.compact = bytes(data), 0, False

    def take(self, size: int) -> bytes:
        start, self.pos = self.pos, self.pos + size
        if size < 0 or self.pos > len(self.data):
            raise RecordError(f"record ends at byte {len(self.data)}, {size} wanted at {start}")
        return self.data[start : self.pos]

    def version(self, highest: int) -> int:
        version = self.int16()
        if not 0 <= version <= highest:
            raise RecordError(f"unknown version {version}")
        self.compact = version == 4
        return version

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def int64(self) -> int:
        return int.from_bytes(self.take(8), "big", signed=True)

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 28:
                raise RecordError("varint too long")

    def count(self) -> int:
        count = self.uvarint() - 1 if self.compact else self.int32()
        if not 0 <= count <= len(self.data):
            raise RecordError(f"a count of {count} in {len(self.data)} bytes")
        return count

    def bytes(self) -> bytes:
        return self.take(self.uvarint() - 1 if self.compact else self.int32())

    def nullable_string(self) -> str | None:
        size = self.uvarint() - 1 if self.compact else self.int16()
        if size == -1:
            return None
        return self.take(size).decode("utf-8", LENIENT)

    def string(self) -> str:
        text = self.nullable_string()
        if text is None:
            raise RecordError("null where a string must be")
        return text

    def tags(self) -> None:
        if self.compact:
            for _ in range(self.uvarint()):
                self.uvarint()
                self.take(self.uvarint())
