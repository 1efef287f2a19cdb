"""Committed offsets in ZooKeeper: read them, list the groups that have some, remove them. Writing is commits.py.

ZooKeeper is the only truth: nothing is cached, so what any program has put there is seen at once. The first read
after this broker has become a coordinator, or has lost its connection, is preceded by a sync. Whatever is removed is
removed in a multi that checks the coordinator's fence, so that a deposed one harms nothing.
"""

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from kafkalike.cluster import consumers
from kafkalike.cluster.consumers import Extra
from kafkalike.cluster.znodes import numbers
from kafkalike.coordinator.commits import Commits, Fence
from kafkalike.coordinator.silence import Silence
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
    SessionExpired,
    gather,
)

log = logging.getLogger("kafka.coordinator.offsets")

# Removals in one multi, below ZooKeeper's limit for the size of a request.
BATCH = 500
RETRIES = 5

Key = tuple[str, int]


class Committed(NamedTuple):
    """What a group has committed for a partition; offset -1 without an error: nothing."""

    offset: int = -1
    leader_epoch: int = -1
    metadata: str = ""
    error: Error = Error.NONE


class Offsets:
    """The tree under /consumers, for one broker."""

    def __init__(self, zk: Any, commits: Commits, silence: Silence, reactor: Any) -> None:
        self._zk = zk
        self._commits = commits
        self._silence = silence
        self._reactor = reactor
        self._synced = False
        zk.add_listener(self._zk_state)

    def stop(self) -> None:
        """Stops listening to the session."""
        self._zk.remove_listener(self._zk_state)

    def doubt(self) -> None:
        """Somebody else may have written since the last read: sync before the next one."""
        self._synced = False

    # Reading.

    async def read(self, group: str, keys: Sequence[Key], patience: float | None = None) -> list[Committed]:
        """The offsets of these partitions, in order; COORDINATOR_LOAD_IN_PROGRESS when ZooKeeper does not answer
        within `patience`, in seconds."""
        self._begin(patience)
        answers = [self._get(consumers.offset_path(group, *key)) for key in keys]
        answers += [self._get(consumers.extra_path(group, *key)) for key in keys]
        found = await self.in_time(gather(answers), patience)
        return [_committed(*each) for each in zip(found[: len(keys)], found[len(keys) :], strict=True)]

    async def keys(self, group: str, patience: float | None = None) -> list[Key]:
        """Every partition that the group has an offset of, sorted."""
        self._begin(patience)
        return await self.in_time(self._keys(group), patience)

    async def has_group(self, group: str) -> bool:
        """Is there a node of that group?"""
        self._begin()
        found = await self.in_time(self._zk.exists(consumers.group_path(group)))
        return found is not None

    async def has_offsets(self, groups: Sequence[str]) -> list[bool]:
        """Which of these groups have offsets."""
        self._begin()
        stats = await self.in_time(gather([self._zk.exists(consumers.offsets_path(group)) for group in groups]))
        return [stat is not None and stat.numChildren > 0 for stat in stats]

    async def groups(self) -> list[str]:
        """Every group that has a node."""
        self._begin()
        return [consumers.decode_name(each) for each in await self.in_time(self._children(consumers.ROOT))]

    async def has_classic_consumers(self, group: str) -> bool:
        """Are consumers alive that have registered in ZooKeeper?"""
        self._begin()
        return bool(await self.in_time(self._children(consumers.ids_path(group))))

    async def committed_ms(self, group: str) -> dict[Key, int]:
        """When each offset was committed."""
        keys = await self.keys(group)
        stats = await gather([self._zk.exists(consumers.offset_path(group, *key)) for key in keys])
        return {key: stat.mtime for key, stat in zip(keys, stats, strict=True) if stat is not None}

    async def in_time(self, answer: Any, patience: float | None = None) -> Any:
        """The answer, or COORDINATOR_LOAD_IN_PROGRESS if ZooKeeper takes longer than a commit may take.

        That is the one error of OffsetFetch after which every client asks again: librdkafka gives its partitions up
        for COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR, which Apache's broker never answers here while it leads.
        """
        waiting: Deferred[Any] = Deferred()
        seconds = self._silence.seconds if patience is None else patience
        due = self._silence.due(seconds)

        def give_up() -> None:
            self._silence.in_vain(due - seconds)
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
        self, fence: Fence | None, group: str, keys: Iterable[Key], not_after_ms: Mapping[Key, int] | None = None
    ) -> int:
        """Removes the offsets of these partitions, and parents that become empty; how many there were.

        `not_after_ms` names for each the time of commit that was seen: a later commit is kept.
        """
        removed = 0
        by_topic: dict[str, list[Key]] = {}
        for key in keys:
            by_topic.setdefault(key[0], []).append(key)
        for topic, those in by_topic.items():
            for start in range(0, len(those), BATCH // 2):
                removed += await self._remove(fence, group, those[start : start + BATCH // 2], not_after_ms)
            await self._tidy(group, topic)
        return removed

    async def remove_topic(self, fence: Fence | None, group: str, topic: str) -> int:
        """Removes what the group has committed for a topic."""
        above = (consumers.offsets_path(group, topic), consumers.extras_path(group, topic))
        names = await gather([self._children(path) for path in above])
        partitions = sorted({partition for each in names for partition in numbers(each)})
        removed = await self.remove(fence, group, [(topic, partition) for partition in partitions])
        if not partitions:
            await self._tidy(group, topic)
        return removed

    async def remove_group(self, fence: Fence, group: str) -> None:
        """Removes everything of the group; KafkaError if it is not there, or classic consumers are."""
        root, ids = consumers.group_path(group), consumers.ids_path(group)
        for _ in range(RETRIES):
            paths = await self._subtree(root)
            if not paths:
                raise KafkaError(Error.GROUP_ID_NOT_FOUND)
            if any(path.startswith(ids + "/") for path in paths):
                raise KafkaError(Error.NON_EMPTY_GROUP)
            # Offsets in the first batches, the node of the group in the last.
            deletes = [Delete(path) for path in paths]
            try:
                for start in range(0, len(deletes), BATCH):
                    await self._fenced(fence, deletes[start : start + BATCH])
            except (NoNode, NotEmpty):
                continue
            finally:
                self._commits.forget(group)
            return
        raise KafkaError(Error.NON_EMPTY_GROUP)

    async def keep_parents(self, group: str, topics: Iterable[str]) -> None:
        """Makes what old tools look for: `ids`, and `owners` of each topic."""
        paths = [consumers.ids_path(group), *(consumers.owners_path(group, topic) for topic in topics)]
        await gather([self._zk.ensure_path(path) for path in paths])

    # Parts.

    async def _remove(
        self, fence: Fence | None, group: str, keys: Sequence[Key], not_after_ms: Mapping[Key, int] | None
    ) -> int:
        for _ in range(RETRIES):
            nodes = await gather([self._zk.exists(consumers.offset_path(group, *key)) for key in keys])
            extras = await gather([self._zk.exists(consumers.extra_path(group, *key)) for key in keys])
            deletes, count = [], 0
            for key, node, extra in zip(keys, nodes, extras, strict=True):
                if node is not None and not_after_ms is not None and node.mtime > not_after_ms[key]:
                    continue
                if node is not None:
                    deletes.append(Delete(consumers.offset_path(group, *key), node.version))
                    count += 1
                if extra is not None:
                    deletes.append(Delete(consumers.extra_path(group, *key)))
            if not deletes:
                return 0
            try:
                await self._fenced(fence, deletes)
            except (NoNode, BadVersion):
                continue
            return count
        log.warning("Offsets of group %s are written faster than they can be removed", group)
        return 0

    async def _fenced(self, fence: Fence | None, operations: list[Any]) -> None:
        """Runs a multi under the fence. What it does may be done twice: the second time finds nothing to do."""
        for _ in range(RETRIES):
            if fence is not None and fence.version < 0 and not await self._commits.ask(fence):
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
                consumers.extras_path(group, topic),
                consumers.offsets_path(group, topic),
                consumers.owners_path(group, topic),
            ):
                with contextlib.suppress(NoNode):
                    await self._zk.delete(path)

    def _get(self, path: str) -> "Deferred[bytes | None]":
        """A node's data; None when there is no node."""
        answer: Deferred[bytes | None] = self._zk.get(path)
        return answer.addCallbacks(_data, _none)  # type: ignore[arg-type]

    async def _keys(self, group: str) -> list[Key]:
        topics = await self._children(consumers.offsets_path(group))
        above = [consumers.offsets_path(group, consumers.decode_name(topic)) for topic in topics]
        names = await gather([self._children(path) for path in above])
        return sorted(
            (consumers.decode_name(topic), partition)
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
        """Before a read: a sync, if there is need of one. What would be in vain is not even sent."""
        seconds = self._silence.seconds if patience is None else patience
        if self._silence.since is not None and self._silence.due(seconds) <= self._reactor.seconds():
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS)
        # ZooKeeper keeps the order of a session: what is asked next is answered after the sync.
        if not self._synced:
            self._synced = True
            self._zk.sync(consumers.ROOT).addErrback(lambda _: self.doubt())

    def _zk_state(self, state: str) -> None:
        if state == CONNECTED:
            self.doubt()


def _data(found: tuple[bytes | None, Any]) -> bytes | None:
    # A node without data is a node all the same.
    return found[0] or b""


def _none(failure: Any) -> None:
    failure.trap(NoNode)


def _committed(data: bytes | None, extra_data: bytes | None) -> Committed:
    if data is None:
        return Committed()
    try:
        offset = consumers.decode_offset(data)
    except consumers.Garbage as problem:
        log.warning("A committed offset cannot be read: %s", problem)
        return Committed(error=Error.UNKNOWN_SERVER_ERROR)
    extra = Extra.decode(extra_data)
    if extra is None or extra.offset != offset:
        return Committed(offset)
    return Committed(offset, extra.leader_epoch, extra.metadata)
