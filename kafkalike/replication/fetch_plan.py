"""What a follower asks its leader next, and what it does with the answer.

Pure. One `Following` per partition that this broker fetches from one leader; `FetchPlan` makes the next Fetch request
of them, as an incremental fetch session (KIP-227), and says which partitions of an answer still matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch

INITIAL_EPOCH = 0
MAX_EPOCH = 2**31 - 1
HELD_MS = 100  # between two looks whether a throttle still holds a partition back
SESSION_ERRORS = frozenset(
    (Error.FETCH_SESSION_ID_NOT_FOUND, Error.INVALID_FETCH_SESSION_EPOCH, Error.FETCH_SESSION_TOPIC_ID_ERROR)
)

Key = tuple[bytes, int]


def truncation(
    end_offset_for: Callable[[int], tuple[int, int]], log_end_offset: int, mark: int, epoch: int, end: int
) -> int:
    """Where to cut our log when the leader says that its largest epoch not above ours is `epoch`, ending at `end`.

    `end_offset_for` is our own lookup, `mark` the high watermark. The next fetch tells whether one cut was enough: if
    we did not know that epoch, the leader's answer to an older one may cut further (KIP-279).
    """
    if end < 0:
        return min(mark, log_end_offset)
    if epoch < 0:
        return min(end, log_end_offset)
    ours, our_end = end_offset_for(epoch)
    if our_end < 0:
        return min(end, log_end_offset)
    if ours == epoch:
        return min(end, our_end, log_end_offset)
    return min(our_end, log_end_offset)


class Position(NamedTuple):
    """What a fetch says about a partition: the leader epoch believed in, where to go on, and after which epoch."""

    leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int


class Following:
    """A partition that is fetched from this leader."""

    __slots__ = ("topic", "topic_id", "index", "leader_epoch", "failures", "in_sync", "lag")

    def __init__(self, topic: str, topic_id: bytes, index: int, leader_epoch: int) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.leader_epoch = leader_epoch
        self.failures = 0  # in a row
        self.lag = 0  # records that the leader had committed, and we had not, when it answered last
        self.in_sync = False  # whether the last answer left nothing to be fetched

    @property
    def key(self) -> Key:
        """The key of the partition in the fetch session."""
        return self.topic_id, self.index


class FetchPlan:
    """The partitions fetched from one leader, and the session in which they are.

    Only those that were stirred are looked at for the next request: the others have told the session where they are.
    """

    def __init__(self, partition_max_bytes: int) -> None:
        self._partition_max_bytes = partition_max_bytes
        self._followings: dict[Key, Following] = {}
        self._keys: dict[tuple[str, int], Key] = {}
        self._session_id = 0
        self._epoch = INITIAL_EPOCH
        # Each partition is stirred, or told, or both; or paused, or failed.
        self._stirred: dict[Key, None] = {}
        self._told: dict[Key, Position] = {}
        self._paused: dict[Key, int] = {}
        self._failed: set[Key] = set()
        self._left: dict[Key, None] = {}  # the session has them still, and they are not to be fetched

    def __len__(self) -> int:
        return len(self._followings)

    @property
    def failed_count(self) -> int:
        """How many are not fetched any more, until they have another leader epoch."""
        return len(self._failed)

    @property
    def followings(self) -> list[Following]:
        """All partitions that are fetched."""
        return list(self._followings.values())

    def add(self, following: Following) -> None:
        """Fetches a partition from now on; replaces an earlier one of the same partition."""
        self.remove(following.topic, following.index)
        key = following.key
        self._followings[key] = following
        self._keys[following.topic, following.index] = key
        self._stirred[key] = None

    def remove(self, topic: str, index: int) -> None:
        """Fetches it no more."""
        key = self._keys.pop((topic, index), None)
        if key is not None:
            del self._followings[key]
            self._paused.pop(key, None)
            self._failed.discard(key)
            self._drop(key)

    def _drop(self, key: Key) -> None:
        self._stirred.pop(key, None)
        if self._told.pop(key, None) is not None:
            self._left[key] = None

    def find(self, key: Key) -> Following | None:
        """The partition, if it is still fetched."""
        return self._followings.get(key)

    @property
    def told(self) -> Mapping[Key, Position]:
        """Where the last request was for each partition. What comes after another `reset` is in another mapping."""
        return self._told

    def stir(self, topic: str, index: int) -> None:
        """The partition may go on from another position now."""
        key = self._keys.get((topic, index))
        if key in self._told:
            self._stirred[key] = None

    def pause(self, key: Key, until_ms: int) -> None:
        """Asks for a partition again at that time and not before."""
        self._drop(key)
        self._paused[key] = until_ms

    def fail(self, key: Key) -> None:
        """Our leader epoch is out of date: only the next LeaderAndIsr helps."""
        self._drop(key)
        self._failed.add(key)

    def reset(self, until_ms: int = 0) -> None:
        """The session is gone: the next request is a full one, and not before that time."""
        self._session_id = 0
        self._epoch = INITIAL_EPOCH
        self._told = {}
        self._left = {}
        for key in self._followings.keys() - self._failed:
            if self._paused.get(key, 0) < until_ms:
                self._paused[key] = until_ms
        self._stirred = dict.fromkeys(k for k in self._followings if k not in self._paused and k not in self._failed)

    def next_time_ms(self) -> int | None:
        """The time at which the first pausing partition is to be fetched again; None when none pauses."""
        return min(self._paused.values(), default=None)

    def request(
        self,
        position_of: Callable[[Following], Position | None],
        now_ms: int,
        held: Callable[[Following], bool] = lambda following: False,
    ) -> fetch.Request | None:
        """The topics of the next Fetch request (a Request without its limits); None when there is nothing to ask.
        Whatever has no position any more is left, and what is `held` back by a throttle pauses."""
        for key in [key for key, until_ms in self._paused.items() if until_ms <= now_ms]:
            del self._paused[key]
            self._stirred[key] = None
        by_topic: dict[bytes, fetch.FetchTopic] = {}
        stirred, self._stirred = self._stirred, {}
        for key in stirred:
            following = self._followings[key]
            position = position_of(following)
            if position is None:
                self.remove(following.topic, following.index)
                continue
            if held(following):
                self.pause(key, now_ms + HELD_MS)
                continue
            if self._told.get(key) == position:
                continue
            self._told[key] = position
            self._left.pop(key, None)
            topic = by_topic.get(following.topic_id)
            if topic is None:
                topic = by_topic[following.topic_id] = fetch.FetchTopic(topic_id=following.topic_id, partitions=[])
            topic.partitions.append(
                fetch.FetchPartition(
                    partition=following.index,
                    current_leader_epoch=position.leader_epoch,
                    fetch_offset=position.fetch_offset,
                    last_fetched_epoch=position.last_fetched_epoch,
                    log_start_offset=position.log_start_offset,
                    partition_max_bytes=self._partition_max_bytes,
                )
            )
        if not self._told:
            return None
        forgotten: dict[bytes, fetch.ForgottenTopic] = {}
        for topic_id, index in self._left:
            left = forgotten.get(topic_id)
            if left is None:
                left = forgotten[topic_id] = fetch.ForgottenTopic(topic_id=topic_id, partitions=[])
            left.partitions.append(index)
        self._left = {}
        return fetch.Request(
            session_id=self._session_id,
            session_epoch=self._epoch,
            topics=list(by_topic.values()),
            forgotten_topics_data=list(forgotten.values()) if self._session_id else [],
        )

    def answered(self, response: fetch.Response) -> bool:
        """Takes note of the session in an answer; False when the session is lost and nothing in it counts."""
        error = Error(response.error_code)
        if error is not Error.NONE:
            self.reset()
            return False
        self._session_id = response.session_id
        if response.session_id == 0:
            self.reset()
        else:
            self._epoch = 1 if self._epoch == MAX_EPOCH else self._epoch + 1
        return True
