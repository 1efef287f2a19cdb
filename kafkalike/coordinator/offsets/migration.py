"""Brings a partition's committed offsets to where the cluster keeps them, when that is elsewhere from now on.

Each offset is carried to where it is older or missing: to the log where the znode is newer than the log's commit, to
the znode where the log's commit is newer. What has come into ZooKeeper is taken out of the log afterwards, so that
there, as ever, ZooKeeper is the only truth: an offset that somebody deletes by hand does not come back. The znodes
stay, for classic consumers, whatever the log says. Doing any of it twice changes nothing.

Called by partition_offsets.py, which lets nobody commit or fetch meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.offsets.fence import Fence
from kafkalike.coordinator.offsets.log_offsets import LogOffsets
from kafkalike.coordinator.offsets.offset_commit import OffsetCommit
from kafkalike.coordinator.offsets.writes_in_flight import slices
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from zk.client import gather

SOME_GROUPS = 50


async def to_log(znodes: ZnodeOffsets, log: LogOffsets, groups: Sequence[str]) -> int:
    """Writes the offsets of these groups, as their znodes say, into the log; how many."""
    count = 0
    for some in slices(groups, SOME_GROUPS):
        for changes in await gather([_newer_znodes(znodes, log, group) for group in some]):
            await log.put(changes)
            count += len(changes)
    return count


async def _newer_znodes(znodes: ZnodeOffsets, log: LogOffsets, group: str) -> list[tuple[OffsetKey, OffsetValue]]:
    # Times first: a node that changes between the two looks seems older than it is, and is carried again next time.
    times, known = await znodes.committed_ms(group), log.of(group)
    newer = [key for key, ms in times.items() if key not in known or known[key].commit_timestamp_ms < ms]
    found = await znodes.read(group, newer)
    return [
        (OffsetKey(group, *key), OffsetValue(each.offset, each.leader_epoch, each.metadata, times[key]))
        for key, each in zip(newer, found, strict=True)
        if each.error is Error.NONE and each.offset != -1
    ]


async def to_zookeeper(znodes: ZnodeOffsets, commits: ZnodeCommits, fence: Fence, log: LogOffsets) -> int:
    """Writes the log's offsets into znodes, then tombstones into the log; how many znodes."""
    count = 0
    for groups in slices(list(log.all()), SOME_GROUPS):
        some = {group: dict(log.of(group)) for group in groups}
        count += sum(await gather([_newer_records(znodes, commits, fence, log, group) for group in some]))
        for group, carried in some.items():
            await log.remove(group, carried)
    return count


async def _newer_records(znodes: ZnodeOffsets, commits: ZnodeCommits, fence: Fence, log: LogOffsets, group: str) -> int:
    times = await znodes.committed_ms(group)
    # Offsets of topics that were deleted in between are left out: written now, they would seem to be of the next topic.
    newer = [
        OffsetCommit(*key, value.offset, value.leader_epoch, value.metadata)
        for key, value in log.of(group).items()
        if key not in times or times[key] < value.commit_timestamp_ms
    ]
    if newer:
        answer: Deferred[list[Error]] = Deferred()
        commits.commit(fence, group, newer, answer.callback)
        for error in await answer:
            if error is not Error.NONE:
                raise KafkaError(error)
    return len(newer)
