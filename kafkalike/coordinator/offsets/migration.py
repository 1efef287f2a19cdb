"""Brings a shard's committed offsets from one place to the other, when the mode of the cluster has changed.

Each offset is carried to where it is older or missing: to the log where the znode is newer than the log's commit, to
the znode where the log's commit is newer. What has come into ZooKeeper is taken out of the log afterwards, so that
there, as ever, ZooKeeper is the only truth: an offset that somebody deletes by hand does not come back. The znodes
stay, for classic consumers, whatever the log says. Doing any of it twice changes nothing.

Called by group_coordinator.py, which lets nobody commit or fetch meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.offsets.log_offsets import LogOffsets
from kafkalike.coordinator.offsets.znode_commits import Fence, ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from zk.client import gather

SOME_GROUPS = 50


async def to_log(offsets: ZnodeOffsets, logged: LogOffsets, groups: Sequence[str]) -> int:
    """Writes the offsets of these groups, as their znodes say, into the log; how many."""
    count = 0
    for start in range(0, len(groups), SOME_GROUPS):
        some = groups[start : start + SOME_GROUPS]
        for changes in await gather([_newer_znodes(offsets, logged, group) for group in some]):
            await logged.put(changes)
            count += len(changes)
    return count


async def _newer_znodes(offsets: ZnodeOffsets, logged: LogOffsets, group: str) -> list[tuple[OffsetKey, OffsetValue]]:
    # Times first: a node that changes between the two looks seems older than it is, and is carried again next time.
    times, known = await offsets.committed_ms(group), logged.of(group)
    newer = [key for key, ms in times.items() if key not in known or known[key].commit_timestamp_ms < ms]
    found = await offsets.read(group, newer)
    return [
        (OffsetKey(group, *key), OffsetValue(each.offset, each.leader_epoch, each.metadata, times[key]))
        for key, each in zip(newer, found, strict=True)
        if each.error is Error.NONE and each.offset != -1
    ]


async def to_zookeeper(offsets: ZnodeOffsets, commits: ZnodeCommits, fence: Fence, logged: LogOffsets) -> int:
    """Writes the log's offsets into znodes, then tombstones into the log; how many znodes."""
    waiting = list(logged.all())
    count = 0
    for start in range(0, len(waiting), SOME_GROUPS):
        some = {group: dict(logged.of(group)) for group in waiting[start : start + SOME_GROUPS]}
        count += sum(await gather([_newer_records(offsets, commits, fence, logged, group) for group in some]))
        for group, carried in some.items():
            await logged.remove(group, carried)
    return count


async def _newer_records(
    offsets: ZnodeOffsets, commits: ZnodeCommits, fence: Fence, logged: LogOffsets, group: str
) -> int:
    times = await offsets.committed_ms(group)
    # Without those whose topics were deleted meanwhile: written now, they would seem to be of the next one.
    known = logged.of(group)
    newer = [
        (*key, value.offset, value.leader_epoch, value.metadata)
        for key, value in known.items()
        if key not in times or times[key] < value.commit_timestamp_ms
    ]
    if newer:
        answer: Deferred[list[Error]] = Deferred()
        commits.commit(fence, group, newer, answer.callback)
        for error in await answer:
            if error is not Error.NONE:
                raise KafkaError(error)
    return len(newer)
