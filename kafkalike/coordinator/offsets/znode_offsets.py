"""Committed offsets in ZooKeeper: read them, list the groups that have some, remove them. Writing is
znode_commits.py.

ZooKeeper is the only truth: nothing is cached, so what any program has put there is seen at once. The first read
after this broker has become a coordinator, or has lost its connection, is preceded by a sync. Whatever is removed is
removed in a multi that checks the coordinator's fence, so that a deposed one harms nothing.

An offset that is older than its topic was committed for an earlier topic of that name, whose deletion did not reach
the group's coordinator: it is never answered. Older is what an earlier transaction of ZooKeeper wrote (mzxid before
czxid), whatever the clocks say. A topic is looked at after its offsets, and a session sees everything in order: an
offset that is there while its topic is not was written before any topic that may be made.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kafkalike.cluster import topic_names
from kafkalike.cluster.znodes.consumers import (
    ConsumerIdNode,
    GroupNode,
    OffsetExtraNode,
    OffsetNode,
    OwnerNode,
    decode_name,
)
from kafkalike.cluster.znodes.encoding import decode_or_none, numbers
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout
from kafkalike.coordinator.offsets.fence import Fence
from kafkalike.coordinator.offsets.offset_commit import Committed, TopicPartition
from kafkalike.coordinator.offsets.writes_in_flight import slices
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.errors import Error, KafkaError
from zk.client import (
    CONNECTED,
    BadVersion,
    Check,
    ConnectionClosed,
    ConnectionLoss,
    Delete,
    NoNode,
    NotEmpty,
    Op,
    SessionExpired,
    Stat,
    ZkClient,
    gather,
)

log = logging.getLogger("kafka.coordinator.offsets")

T = TypeVar("T")
# Removals in one multi, below ZooKeeper's limit for the size of a request.
BATCH = 500
RETRIES = 5

# The Stat of a topic's znode, None when there is no such topic. Its czxid tells offsets of this topic from those of an
# earlier one with the same name.
TopicStat: TypeAlias = "Stat | None"
Found = tuple[bytes, Stat]


class ZnodeOffsets:
    """The tree under /consumers, for one broker."""

    def __init__(self, zk: ZkClient, commits: ZnodeCommits, timeout: CommitTimeout, reactor: IReactorTime) -> None:
        self._zk = zk
        self._commits = commits
        self._timeout = timeout
        self._reactor = reactor
        self._synced = False
        zk.add_listener(self._zk_state)

    def stop(self) -> None:
        """Stops listening to the session."""
        self._zk.remove_listener(self._zk_state)

    def sync_first(self) -> None:
        """Has the next read begin with a sync, as another program may have written since the last one."""
        self._synced = False

    # Reading.

    async def read(self, group: str, keys: Sequence[TopicPartition], patience: float | None = None) -> list[Committed]:
        """The offsets of these partitions, in order; COORDINATOR_LOAD_IN_PROGRESS when ZooKeeper does not answer
        within `patience`, in seconds."""
        self._begin(patience)
        topics = dict.fromkeys(topic for topic, _ in keys)
        answers: list[Any] = [self._get(OffsetNode.path(group, *key)) for key in keys]
        answers += [self._get(OffsetExtraNode.path(group, *key)) for key in keys]
        answers += [self._topic_stat(topic) for topic in topics]
        found = await self.in_time(gather(answers), patience)
        nodes, extras, topic_stats = found[: len(keys)], found[len(keys) : 2 * len(keys)], found[2 * len(keys) :]
        topics = dict(zip(topics, topic_stats, strict=True))
        return [
            _committed(group, key, node, extra, topics[key[0]])
            for key, node, extra in zip(keys, nodes, extras, strict=True)
        ]

    async def keys(self, group: str, patience: float | None = None) -> list[TopicPartition]:
        """Every partition that the group has an offset of, sorted."""
        self._begin(patience)
        return await self.in_time(self._keys(group), patience)

    async def has_group(self, group: str) -> bool:
        """Is there a node of that group?"""
        self._begin()
        found = await self.in_time(self._zk.exists(GroupNode.path(group)))
        return found is not None

    async def has_offsets(self, groups: Sequence[str]) -> list[bool]:
        """Which of these groups have offsets."""
        self._begin()
        stats = await self.in_time(gather([self._zk.exists(OffsetNode.directory(group)) for group in groups]))
        return [stat is not None and stat.numChildren > 0 for stat in stats]

    async def topics(self, group: str, all_traces: bool = True) -> list[str]:
        """Every topic that there is an offset of in the group, sorted; with `all_traces` also where only what belongs
        to offsets is left."""
        self._begin()
        above = [OffsetNode.directory(group)]
        if all_traces:
            above += [OffsetExtraNode.directory(group), OwnerNode.directory(group)]
        names = await self.in_time(gather([self._children(path) for path in above]))
        return sorted({decode_name(each) for some in names for each in some})

    async def groups(self) -> list[str]:
        """Every group that has a node."""
        self._begin()
        return [decode_name(each) for each in await self.in_time(self._children(GroupNode.directory()))]

    async def has_classic_consumers(self, group: str) -> bool:
        """Are consumers alive that have registered in ZooKeeper?"""
        self._begin()
        return bool(await self.in_time(self._children(ConsumerIdNode.directory(group))))

    async def committed_ms(self, group: str) -> dict[TopicPartition, int]:
        """The time at which each offset was committed."""
        keys = await self.keys(group)
        stats = await gather([self._zk.exists(OffsetNode.path(group, *key)) for key in keys])
        return {key: stat.mtime for key, stat in zip(keys, stats, strict=True) if stat is not None}

    async def in_time(self, answer: Deferred[T] | Coroutine[Any, Any, T], patience: float | None = None) -> T:
        """The answer, or COORDINATOR_LOAD_IN_PROGRESS if ZooKeeper takes longer than a commit may take.

        That is the one error of OffsetFetch after which every client asks again: librdkafka gives its partitions up
        for COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR, which Apache's broker never answers here while it leads.
        """
        waiting: Deferred[T] = Deferred()
        seconds = self._timeout.seconds if patience is None else patience
        due = self._timeout.due(seconds)

        def give_up() -> None:
            self._timeout.waited_in_vain(due - seconds)
            waiting.errback(KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS))

        timer = self._reactor.callLater(max(due - self._reactor.seconds(), 0), give_up)

        def arrived(result: Any) -> None:
            if not waiting.called:
                timer.cancel()
                waiting.callback(result)

        (answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(answer)).addBoth(arrived)
        try:
            return await waiting
        except (ConnectionLoss, SessionExpired, ConnectionClosed):
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS) from None

    # Removing.

    async def remove(
        self,
        fence: Fence | None,
        group: str,
        keys: Iterable[TopicPartition],
        not_after_ms: Mapping[TopicPartition, int] | None = None,
    ) -> int:
        """Removes the offsets of these partitions, and parents that become empty; how many there were.

        `not_after_ms` names for each the time of commit that was seen: a later commit is kept.
        """
        removed = 0
        by_topic: dict[str, list[TopicPartition]] = {}
        for key in keys:
            by_topic.setdefault(key[0], []).append(key)
        for topic, those in by_topic.items():
            removed += await self._remove(fence, group, topic, those, not_after_ms)
        return removed

    async def may_be_older(self, group: str, topic: str, topic_stat: TopicStat) -> bool:
        """Whether there may be an offset that is older than the topic: none is where their parent is not."""
        parent = await self._zk.exists(OffsetNode.directory(group, topic))
        return parent is not None and (topic_stat is None or bool(parent.czxid < topic_stat.czxid))

    async def remove_older(
        self, fence: Fence | None, group: str, topic: str, find_topic: Callable[[], Awaitable[TopicStat]]
    ) -> int:
        """Removes what the group has committed for a topic that is gone. `find_topic()` looks for the topic that has
        its name now, whose offsets stay."""
        above = (OffsetNode.directory(group, topic), OffsetExtraNode.directory(group, topic))
        names = await gather([self._children(path) for path in above])
        partitions = sorted({partition for each in names for partition in numbers(each)})
        return await self._remove(
            fence, group, topic, [(topic, partition) for partition in partitions], None, find_topic
        )

    async def remove_group(self, fence: Fence, group: str, only_empty: bool = False) -> None:
        """Removes everything of the group; KafkaError if it is not there, or classic consumers are, or, if it is to go
        `only_empty`, offsets."""
        root, ids, offsets = GroupNode.path(group), ConsumerIdNode.directory(group), OffsetNode.directory(group)
        for _ in range(RETRIES):
            paths = await self._subtree(root)
            if not paths:
                raise KafkaError(Error.GROUP_ID_NOT_FOUND)
            if any(path.startswith(ids + "/") for path in paths):
                raise KafkaError(Error.NON_EMPTY_GROUP)
            if only_empty and any(path.startswith(offsets + "/") and "/" in path[len(offsets) + 1 :] for path in paths):
                raise KafkaError(Error.NON_EMPTY_GROUP)
            # Offsets in the first batches, the node of the group in the last.
            deletes: list[Op] = [Delete(path) for path in paths]
            try:
                for some in slices(deletes, BATCH):
                    await self._fenced(fence, some)
            except (NoNode, NotEmpty):
                continue
            finally:
                self._commits.forget(group)
            return
        raise KafkaError(Error.NON_EMPTY_GROUP)

    async def keep_parents(self, group: str, topics: Iterable[str]) -> None:
        """Makes what old tools look for: `ids`, and `owners` of each topic."""
        paths = [ConsumerIdNode.directory(group), *(OwnerNode.directory(group, topic) for topic in topics)]
        await gather([self._zk.ensure_path(path) for path in paths])

    # Parts.

    async def _remove(
        self,
        fence: Fence | None,
        group: str,
        topic: str,
        keys: Sequence[TopicPartition],
        not_after_ms: Mapping[TopicPartition, int] | None,
        find_topic: Callable[[], Awaitable[TopicStat]] | None = None,
    ) -> int:
        removed = 0
        for some in slices(keys, BATCH // 2):
            removed += await self._remove_some(fence, group, some, not_after_ms, find_topic)
        await self._tidy(group, topic)
        return removed

    async def _remove_some(
        self,
        fence: Fence | None,
        group: str,
        keys: Sequence[TopicPartition],
        not_after_ms: Mapping[TopicPartition, int] | None,
        find_topic: Callable[[], Awaitable[TopicStat]] | None,
    ) -> int:
        """Removes one batch. What is written after the look stays: versions are checked."""
        for _ in range(RETRIES):
            nodes = await gather([self._zk.exists(OffsetNode.path(group, *key)) for key in keys])
            extras = await gather([self._zk.exists(OffsetExtraNode.path(group, *key)) for key in keys])
            topic_stat = await find_topic() if find_topic is not None else None
            deletes: list[Op] = []
            count = 0
            for key, node, extra in zip(keys, nodes, extras, strict=True):
                if node is not None:
                    if not is_older(node, topic_stat) or (not_after_ms is not None and node.mtime > not_after_ms[key]):
                        continue
                    deletes.append(Delete(OffsetNode.path(group, *key), node.version))
                    count += 1
                if extra is not None and is_older(extra, topic_stat):
                    deletes.append(Delete(OffsetExtraNode.path(group, *key), extra.version))
            if not deletes:
                return 0
            try:
                await self._fenced(fence, deletes)
            except (NoNode, BadVersion):
                continue
            return count
        log.warning("Offsets of group %s are written faster than they can be removed", group)
        return 0

    async def _fenced(self, fence: Fence | None, operations: list[Op]) -> None:
        """Runs a multi under the fence. What it does may be done twice: the second time finds nothing to do."""
        for _ in range(RETRIES):
            if fence is not None and fence.version < 0 and not await self._confirmed(fence):
                raise KafkaError(Error.NOT_COORDINATOR)
            checks = [Check(fence.path, fence.version)] if fence is not None else []
            try:
                await self._zk.multi(checks + operations)
            except (BadVersion, NoNode) as problem:
                if fence is None or getattr(problem, "index", -1) != 0:
                    raise
                fence.version = -1
                continue
            except (ConnectionLoss, SessionExpired):
                continue
            return
        raise KafkaError(Error.COORDINATOR_NOT_AVAILABLE)

    async def _confirmed(self, fence: Fence) -> bool:
        """Whether this broker still leads. While the state cannot be read nobody waits for longer than a commit may."""
        try:
            return await self._commits.fences.confirm(fence).addTimeout(self._timeout.seconds, self._reactor)
        except TimeoutError:
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS) from None

    async def _subtree(self, path: str) -> list[str]:
        """Every path below and including `path`, children first; empty if there is none."""
        try:
            names = await self._zk.children(path)
        except NoNode:
            return []
        below = await gather([self._subtree(f"{path}/{name}") for name in sorted(names)])
        return [each for paths in below for each in paths] + [path]

    async def _tidy(self, group: str, topic: str) -> None:
        """Removes the parents of a topic that has no offsets any more."""
        self._commits.forget(group, topic)
        with contextlib.suppress(NotEmpty, ConnectionLoss, SessionExpired):
            for path in (
                OffsetExtraNode.directory(group, topic),
                OffsetNode.directory(group, topic),
                OwnerNode.directory(group, topic),
            ):
                with contextlib.suppress(NoNode):
                    await self._zk.delete(path)

    def _get(self, path: str) -> Deferred[Found | None]:
        """A node's data and Stat; None when there is no node."""
        answer: Deferred[Any] = self._zk.get(path)
        return answer.addCallbacks(_data, _none)

    def _topic_stat(self, topic: str) -> Deferred[TopicStat]:
        illegal = topic_names.illegal(topic) is not None
        answer: Deferred[TopicStat] = succeed(None) if illegal else self._zk.exists(TopicNode.path(topic))
        return answer

    async def _keys(self, group: str) -> list[TopicPartition]:
        topics = await self._children(OffsetNode.directory(group))
        above = [OffsetNode.directory(group, decode_name(topic)) for topic in topics]
        names = await gather([self._children(path) for path in above])
        return sorted(
            (decode_name(topic), partition)
            for topic, partitions in zip(topics, names, strict=True)
            for partition in numbers(partitions)
        )

    async def _children(self, path: str) -> list[str]:
        try:
            names: list[str] = await self._zk.children(path)
        except NoNode:
            return []
        return names

    def _begin(self, patience: float | None = None) -> None:
        """Before each read: KafkaError if ZooKeeper has been silent for longer than anybody is kept waiting; else a
        sync, unless there was one since sync_first()."""
        seconds = self._timeout.seconds if patience is None else patience
        if self._timeout.is_over(seconds):
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS)
        # ZooKeeper keeps the order of a session: what is asked next is answered after the sync.
        if not self._synced:
            self._synced = True
            self._zk.sync(GroupNode.directory()).addErrback(lambda _: self.sync_first())

    def _zk_state(self, state: str) -> None:
        if state == CONNECTED:
            self.sync_first()


def _data(found: tuple[bytes | None, Stat]) -> Found:
    # A node without data is a node all the same.
    return found[0] or b"", found[1]


def _none(failure: Failure) -> None:
    failure.trap(NoNode)


def is_older(node: Stat, topic_stat: TopicStat) -> bool:
    """Whether an offset was written before its topic was made: it belongs to an earlier one."""
    return topic_stat is None or bool(node.mzxid < topic_stat.czxid)


def _committed(
    group: str, key: TopicPartition, node: Found | None, extra_node: Found | None, topic_stat: TopicStat
) -> Committed:
    if node is None or is_older(node[1], topic_stat):
        return Committed()
    offset = decode_or_none(OffsetNode, node[0], group, *key)
    if offset is None:
        return Committed(error=Error.UNKNOWN_SERVER_ERROR)
    is_current = extra_node is not None and not is_older(extra_node[1], topic_stat)
    extra = OffsetExtraNode.decode(extra_node[0]) if extra_node is not None and is_current else None
    if extra is None or extra.offset != offset:
        return Committed(offset)
    return Committed(offset, extra.leader_epoch, extra.metadata)
