"""Groups that commit offsets, and look whether what was acknowledged is still there (C12): through fail-overs of their
coordinators, lost replies of ZooKeeper, sessions that end.

Nobody is a member: a commit without a generation is what tools do. One request of a group is under way at a time, but
one whose answer never came may still be carried out later; so an offset is right that is the last acknowledged one, or
one of those in doubt. No longer in doubt is what was sent to another coordinator than the one that has acknowledged a
later one and still coordinates: the former is fenced.
"""

from __future__ import annotations

from typing import Any

from kafkalike.coordinator.internal_topic import partition_of
from kafkalike.errors import Error
from kafkalike.protocol.messages import find_coordinator, offset_commit, offset_fetch
from tests.simulation.clients import Client
from tests.simulation.disk import Key
from tests.simulation.invariants import GROUPS_PARTITIONS as PARTITIONS
from tests.simulation.invariants import GROUPS_TOPIC as TOPIC
from tests.simulation.invariants import Watcher
from tests.simulation.network import Network
from tests.simulation.world import World

RETRY_S = 0.03
# What a group takes for "try again"; anything else is a fault.
RETRIABLE = frozenset(
    (
        Error.COORDINATOR_NOT_AVAILABLE,
        Error.COORDINATOR_LOAD_IN_PROGRESS,
        Error.NOT_COORDINATOR,
        Error.REQUEST_TIMED_OUT,
        Error.UNKNOWN_TOPIC_OR_PARTITION,
    )
)


class Committer(Client):
    """A group that commits the offset of one partition."""

    def __init__(
        self, world: World, network: Network, group: str, brokers: list[int], key: Key, pause_s: float, watcher: Watcher
    ) -> None:
        super().__init__(world, network, group, brokers)
        self.group = group
        self.key = key
        self.coordinator: int | None = None
        self._committed_by: int | None = None
        self.acknowledged = -1
        self.fetched = -2  # what the last answer said
        self.commits = 0
        self.wanted = True
        self._in_doubt: dict[int, int] = {}  # offset -> coordinator to which it was sent
        self._epoch: int | None = None  # in which the last one was sent and acknowledged
        self._offset = -1
        self._pause_s = pause_s
        self._watcher = watcher

    @property
    def settled(self) -> bool:
        """Whether the last that was acknowledged was also read, with nothing in doubt."""
        return not self.wanted and self.acknowledged >= 0 and self.fetched == self.acknowledged == self._offset

    def start(self) -> None:
        """The first question."""
        self.reactor.callLater(self._pause_s * self.world.random.random(), self._next)

    def _next(self) -> None:
        if self.settled:
            return
        if self.coordinator is None:
            self._find()
        elif self.acknowledged == self._offset >= 0 and (not self.wanted or self.world.random.random() < 0.4):
            self._fetch(self.coordinator)
        else:
            self._commit(self.coordinator)

    def _again(self, _: Any = None) -> None:
        self.coordinator = None
        self.reactor.callLater(RETRY_S * (0.5 + self.world.random.random()), self._next)

    def _find(self) -> None:
        broker_id = self.brokers[self.world.random.randrange(len(self.brokers))]
        request = find_coordinator.Request(key_type=0, coordinator_keys=[self.group])
        answer = self.peer(broker_id).request(find_coordinator, 6, request)
        answer.addCallbacks(self._found, self._again)

    def _found(self, response: Any) -> None:
        (answer,) = response.coordinators
        if answer.error_code:
            self._again()
        else:
            self.coordinator = answer.node_id
            self._next()

    def _commit(self, coordinator: int) -> None:
        self._offset += 1
        offset = self._offset
        self._in_doubt[offset] = coordinator
        epoch = self._epoch_of(coordinator)
        partition = offset_commit.OffsetCommitRequestPartition(
            partition_index=self.key[1], committed_offset=offset, committed_metadata=None
        )
        topics = [offset_commit.OffsetCommitRequestTopic(name=self.key[0], partitions=[partition])]
        request = offset_commit.Request(group_id=self.group, topics=topics)
        answer = self.peer(coordinator).request(offset_commit, 9, request)
        answer.addCallbacks(lambda response: self._committed(offset, coordinator, epoch, response), self._again)

    def _epoch_of(self, coordinator: int) -> int | None:
        """The leader epoch in which this broker coordinates the group; None when it does not."""
        node = self._watcher.truth((TOPIC, partition_of(self.group, PARTITIONS))).node
        return node.leader_epoch if node is not None and node.leader == coordinator else None

    def _possible(self, offset: int) -> bool:
        """Whether a commit that is in doubt may have set this offset."""
        sent_to, last = self._in_doubt.get(offset), self._committed_by
        if sent_to is None:
            return False
        return sent_to == last or last is None or self._epoch is None or self._epoch != self._epoch_of(last)

    def _committed(self, offset: int, coordinator: int, epoch: int | None, response: Any) -> None:
        error = Error(response.topics[0].partitions[0].error_code)
        if error is not Error.NONE:
            self._refused(error)
            return
        self.world.note("%s: %d is committed", self.group, offset)
        del self._in_doubt[offset]
        self.acknowledged, self._committed_by = offset, coordinator
        self._epoch = epoch if epoch == self._epoch_of(coordinator) else None
        self.commits += 1
        self.reactor.callLater(self._pause_s * self.world.random.random(), self._next)

    def _fetch(self, coordinator: int) -> None:
        topics = [offset_fetch.OffsetFetchRequestTopics(name=self.key[0], partition_indexes=[self.key[1]])]
        group = offset_fetch.OffsetFetchRequestGroup(group_id=self.group, topics=topics)
        answer = self.peer(coordinator).request(offset_fetch, 9, offset_fetch.Request(groups=[group]))
        answer.addCallbacks(self._read, self._again)

    def _read(self, response: Any) -> None:
        (group,) = response.groups
        error = Error(group.error_code)
        if error is Error.NONE:
            found = group.topics[0].partitions[0]
            error = Error(found.error_code)
        if error is not Error.NONE:
            self._refused(error)
            return
        offset = found.committed_offset
        self._judge(offset)
        self.fetched = offset
        if self._committed_by not in (None, self.coordinator):
            self.world.meet("offset read from another coordinator")
        if offset != self.acknowledged and not self.wanted:
            # A late commit was carried out; the group commits again to make it good.
            self._commit(self.coordinator or self.brokers[0])
            return
        self.reactor.callLater(self._pause_s * self.world.random.random(), self._next)

    def _judge(self, offset: int) -> None:
        """Judges an offset that was read."""
        if offset != self.acknowledged and not self._possible(offset):
            self._watcher.fail(
                "CommitsStay", "%s of %s: %d was read, %d was acknowledged; in doubt are %s",
                self.key, self.group, offset, self.acknowledged, sorted(self._in_doubt)[-5:],
            )  # fmt: skip

    def _refused(self, error: Error) -> None:
        if error not in RETRIABLE:
            self._watcher.fail("GroupIsServed", "%s: %s", self.group, error.name)
        self._again()
