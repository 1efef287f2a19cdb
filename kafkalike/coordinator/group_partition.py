"""One partition of __consumer_offsets as its leader serves it: which groups belong to it, what its log says of
them, and what tools are shown of a group.

Made, loaded and ended by group_coordinator.py.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Any, NamedTuple

from twisted.internet import task
from twisted.internet.defer import Deferred

from kafkalike.coordinator import group_records
from kafkalike.coordinator.group import Group, State
from kafkalike.coordinator.offsets.log_offsets import LogOffsets
from kafkalike.coordinator.offsets.znode_commits import Done, Fence
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.protocol.control_records import read_marker
from kafkalike.protocol.record import Record

log = logging.getLogger("kafka.coordinator.group")

# Read in one turn of the reactor while a shard is loaded.
SLICE_BYTES = 256 * 1024
RETRY_SECONDS = 1.0  # until something is tried again that ZooKeeper or the log refused
LONGEST_RETRY_SECONDS = 60.0  # what takes long is tried less and less often

Pairs = Sequence[tuple[bytes, bytes | None]]


class Serving(Enum):
    """How far a shard is. The value is what calls are answered until it is ACTIVE."""

    LOADING = Error.COORDINATOR_LOAD_IN_PROGRESS
    BROKEN = Error.COORDINATOR_NOT_AVAILABLE
    ACTIVE = Error.NONE


class ServedGroup:
    """A group and its timer."""

    __slots__ = ("group", "timer", "due_ms", "owned")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.timer: Any = None
        self.due_ms: int | None = None
        self.owned: frozenset[str] | None = None


class GroupPartition:
    """One partition of __consumer_offsets, led here since `leader_epoch`.

    `mode` says where its groups' offsets are; None while they are being brought there, and nobody may ask for them.
    """

    def __init__(
        self,
        index: int,
        leader_epoch: int,
        fence: Fence,
        append: Callable[["GroupPartition", Pairs, Callable[[Any], None]], None],
    ) -> None:
        """`append(shard, records, done)` writes into the shard's log as long as it is this shard's."""
        self.index = index
        self.leader_epoch = leader_epoch
        self.fence = fence
        self._append = append
        self.forget_logged()
        self.serving = Serving.LOADING
        self.groups: dict[str, ServedGroup] = {}
        self.mode: str | None = None
        self.moving = False
        self.deleted: set[str] = set()  # topics that were deleted since `mode` is None
        self._writing = 0
        self._settled: list[Deferred[None]] = []

    def forget_logged(self) -> None:
        """The log is about to be read, from its beginning."""
        self.logged = LogOffsets(partial(self._append, self))

    def counted(self, done: Done) -> Done:
        """The same `done`, for a commit to ZooKeeper that settled() waits for."""
        self._writing += 1

        def answered(errors: list[Error]) -> None:
            self._writing -= 1
            done(errors)
            if not self._writing:
                waiting, self._settled = self._settled, []
                for answer in waiting:
                    answer.callback(None)

        return answered

    async def settled(self) -> None:
        """Returns when no commit is under way, to either place."""
        if self._writing:
            answer: Deferred[None] = Deferred()
            self._settled.append(answer)
            await answer
        await self.logged.settled()


class Described(NamedTuple):
    """What DescribeGroups shows: a member is (id, instance id, client id, host, metadata, assignment)."""

    group_id: str
    error: Error
    state: str = ""
    protocol_type: str = ""
    protocol: str = ""
    members: tuple[tuple[str, str | None, str, str, bytes, bytes], ...] = ()


class Listed(NamedTuple):
    """What ListGroups shows of one group."""

    group_id: str
    protocol_type: str
    state: str


@lru_cache(maxsize=10_000)
def java_hash(text: str) -> int:
    """String.hashCode(): over UTF-16 units, 32 bits, signed."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + units[index] * 256 + units[index + 1]) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def partition_of(group_id: str, count: int) -> int:
    """The partition of __consumer_offsets that a group belongs to."""
    value = java_hash(group_id)
    # Java has no positive counterpart of the smallest number; Kafka takes 0.
    return 0 if value == -(1 << 31) else abs(value) % count


def describe(group: Group) -> Described:
    """The group as DescribeGroups shows it: protocol and assignments while it is stable."""
    stable = group.state is State.STABLE
    members = tuple(
        (
            each.member_id,
            each.instance_id,
            each.client_id,
            each.client_host,
            each.metadata(group.protocol) if stable else b"",
            each.assignment if stable else b"",
        )
        for each in group.members.values()
    )
    protocol = (group.protocol or "") if stable else ""
    return Described(group.group_id, Error.NONE, group.state.value, group.protocol_type or "", protocol, members)


async def read_log(
    source: Any, logged: LogOffsets, reactor: Any, goes_on: Callable[[], bool]
) -> dict[str, group_records.GroupValue]:
    """The newest record of each group, from all of the partition's log `source`, as long as it `goes_on`; offsets go to
    `logged`. KafkaError if a batch is damaged."""
    values: dict[str, group_records.GroupValue] = {}
    offset = source.log_start_offset
    while offset < source.log_end_offset:
        found = source.read(offset, SLICE_BYTES, source.log_end_offset, True)
        if found is None:
            break
        for header, data in batch.split(found.read()):
            if not batch.crc_ok(data):
                raise KafkaError(Error.CORRUPT_MESSAGE, f"the batch at {header.base_offset} is damaged")
            producer_id = header.producer_id if header.is_transactional else -1
            if not header.is_control:
                _apply(batch.records(data), values, logged, producer_id)
            else:
                marker = read_marker(data)
                if marker is not None:
                    logged.end_transaction(header.producer_id, marker.type)
            offset = header.last_offset + 1
        await task.deferLater(reactor, 0, lambda: None)
        if not goes_on():
            break
    return values


def _apply(
    found: Iterable[Record], values: dict[str, group_records.GroupValue], logged: LogOffsets, producer_id: int
) -> None:
    for record in found:
        key = group_records.read_key(record.key or b"")
        if isinstance(key, group_records.OffsetKey):
            logged.load(key, record.value, producer_id)
        elif isinstance(key, group_records.GroupKey):
            if record.value is None:
                values.pop(key.group, None)
            else:
                values[key.group] = group_records.read_group_value(record.value)
