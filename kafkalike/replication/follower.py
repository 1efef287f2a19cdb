"""What a follower asks its leader next, and what it does with the answer.

Pure. One `Following` per partition that this broker fetches from one leader; `FetchPlan` makes the next Fetch request
of them, as an incremental fetch session (KIP-227), and says which partitions of an answer still matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch

INITIAL_EPOCH = 0
MAX_EPOCH = 2**31 - 1
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
    """One partition that is fetched."""

    __slots__ = ("topic", "topic_id", "index", "leader_epoch", "retry_ms", "failures", "failed")

    def __init__(self, topic: str, topic_id: bytes, index: int, leader_epoch: int) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.leader_epoch = leader_epoch
        self.retry_ms = 0  # not before this time
        self.failures = 0  # in a row
        self.failed = False  # our leader epoch is out of date: only the next LeaderAndIsr helps

    @property
    def key(self) -> Key:
        """How the session names it."""
        return self.topic_id, self.index


class FetchPlan:
    """The partitions fetched from one leader, and the session in which they are."""

    def __init__(self, partition_max_bytes: int) -> None:
        self._partition_max_bytes = partition_max_bytes
        self._followings: dict[Key, Following] = {}
        self._session_id = 0
        self._epoch = INITIAL_EPOCH
        self._told: dict[Key, Position] = {}

    def __len__(self) -> int:
        return len(self._followings)

    def add(self, following: Following) -> None:
        """Fetches a partition from now on; replaces an earlier one of the same partition."""
        self._followings[following.key] = following

    def remove(self, topic: str, index: int) -> None:
        """Fetches it no more."""
        for key, following in list(self._followings.items()):
            if following.topic == topic and following.index == index:
                del self._followings[key]

    def find(self, key: Key) -> Following | None:
        """The partition, if it is still fetched."""
        return self._followings.get(key)

    def all(self) -> list[Following]:
        """Every partition."""
        return list(self._followings.values())

    def reset(self) -> None:
        """The session is gone: the next request is a full one."""
        self._session_id = 0
        self._epoch = INITIAL_EPOCH
        self._told = {}

    def next_time_ms(self) -> int | None:
        """When the first partition wants to be asked for; None when none does."""
        return min((f.retry_ms for f in self._followings.values() if not f.failed), default=None)

    def request(self, position_of: Callable[[Following], Position], now_ms: int) -> Any | None:
        """The topics of the next Fetch request (a Request without its limits); None when there is nothing to ask."""
        wanted = {
            key: (following, position_of(following))
            for key, following in self._followings.items()
            if not following.failed and following.retry_ms <= now_ms
        }
        if not wanted:
            return None
        by_topic: dict[bytes, Any] = {}
        for key, (following, position) in wanted.items():
            if self._told.get(key) == position:
                continue
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
        forgotten: dict[bytes, Any] = {}
        for topic_id, index in self._told.keys() - wanted.keys():
            topic = forgotten.get(topic_id)
            if topic is None:
                topic = forgotten[topic_id] = fetch.ForgottenTopic(topic_id=topic_id, partitions=[])
            topic.partitions.append(index)
        self._told = {key: position for key, (_, position) in wanted.items()}
        return fetch.Request(
            session_id=self._session_id,
            session_epoch=self._epoch,
            topics=list(by_topic.values()),
            forgotten_topics_data=list(forgotten.values()) if self._session_id else [],
        )

    def answered(self, response: Any) -> bool:
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
