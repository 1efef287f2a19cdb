"""Fetch sessions (KIP-227): the partitions that a client fetches, remembered between its requests.

Pure. `begin` turns a request into a `Fetching`, whose session says which partitions have to be looked at; `answer`
chooses what of the result the client has to be told. A full request names everything and is answered with everything;
an incremental one names what changed and is answered with what changed.

A partition that has nothing for the client is `set_aside`, and is looked at again only when it was woken: something
of it changed, or the client asks for something else. So the cost of a request is that of the partitions with news.
Those that returned records move to the end, so that none starves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol

from kafkalike.errors import Error, KafkaError
from kafkalike.metrics import Gauge, Meter

SESSIONS = Gauge("kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions")
CACHED = Gauge("kafka.server:type=FetchSessionCache,name=NumIncrementalFetchPartitionsCached")
EVICTIONS = Meter("kafka.server:type=FetchSessionCache,name=IncrementalFetchSessionEvictionsPerSec")

INITIAL_EPOCH, FINAL_EPOCH = 0, -1
NO_SESSION = 0
EVICTION_MS = 120_000  # a session idle for longer makes room for a new one
MAX_EPOCH = 2**31 - 1


class Waiting(Protocol):
    """A request that waits for news."""

    def partition_woken(self, fetched: Fetched, key: Hashable) -> None:
        """A partition of the session was woken: something of it has changed."""


class Fetched:
    """One partition of a session (or of a request without one), and what its client was last told about it."""

    __slots__ = (
        "topic", "topic_id", "index", "offset", "max_bytes", "current_leader_epoch", "last_fetched_epoch",
        "follower_start_offset",
        "high_watermark", "log_start_offset", "session", "name", "subscription", "on_wake", "traffic",
    )  # fmt: skip

    def __init__(self, session: Session, topic: str, topic_id: bytes, request: Any) -> None:
        self.session = session
        self.topic = topic
        self.topic_id = topic_id
        self.index = request.partition
        self.name = topic  # also where the request has only the id, once it was looked up
        self.subscription: Any = None  # to what may happen to the partition; has end()
        self.on_wake: Callable[[int], None] | None = None
        self.traffic: Any = None  # where the bytes count that the client is sent
        self.update(request)

    def update(self, request: Any) -> None:
        """Takes over what a request says about the partition. What the client was told before it may have dropped, if
        it was about to say this: it is told again."""
        self.high_watermark = -1
        self.log_start_offset = -1
        self.offset = request.fetch_offset
        self.max_bytes = request.partition_max_bytes
        # Below zero is none here, as in Kafka; ListOffsets and OffsetForLeaderEpoch have only -1 for that.
        epoch = request.current_leader_epoch
        self.current_leader_epoch = epoch if epoch >= 0 else -1
        self.last_fetched_epoch = request.last_fetched_epoch
        self.follower_start_offset = request.log_start_offset  # -1 from consumers, and before v5
        self._look_again()

    def set_aside(self, on_wake: Callable[[int], None] | None = None) -> None:
        """Leaves the partition out of reads until it changes, for it has nothing for the client now. The next change
        calls `on_wake` with the time of the last request before it."""
        self.on_wake = on_wake
        self.session.stale.pop(self, None)

    def woken(self, key: Hashable) -> None:
        """Something of the partition changed."""
        self._look_again()
        if self.session.waiting is not None:
            self.session.waiting.partition_woken(self, key)

    def _look_again(self) -> None:
        if self.on_wake is not None:
            self.on_wake(self.session.used_ms)
            self.on_wake = None
        self.session.stale[self] = None

    def release(self) -> None:
        """Ends the subscription, when the session has ended or has dropped the partition."""
        if self.subscription is not None:
            self.subscription.end()
            self.subscription = None


class Session:
    """A client's partitions between its requests. Keys are (topic id or name, partition)."""

    __slots__ = ("id", "epoch", "by_id", "used_ms", "partitions", "stale", "waiting", "client", "awake")

    def __init__(self, session_id: int, by_id: bool, now_ms: int) -> None:
        self.id = session_id
        self.epoch = INITIAL_EPOCH + 1
        self.by_id = by_id
        self.used_ms = now_ms
        self.partitions: dict[tuple[Any, int], Fetched] = {}
        self.stale: dict[Fetched, None] = {}  # what is to be looked at
        self.waiting: Waiting | None = None
        self.client: Any = None  # whose requests these are
        self.awake = True

    def add(self, topics: Iterable[Any]) -> None:
        """Takes over what a request names."""
        for topic in topics:
            name = topic.topic_id if self.by_id else topic.topic
            for asked in topic.partitions:
                known = self.partitions.get((name, asked.partition))
                if known is None:
                    known = self.partitions[(name, asked.partition)] = Fetched(self, topic.topic, topic.topic_id, asked)
                else:
                    known.update(asked)

    def forget(self, topics: Iterable[Any]) -> None:
        """Drops what a request names."""
        for topic in topics:
            name = topic.topic_id if self.by_id else topic.topic
            for index in topic.partitions:
                known = self.partitions.pop((name, index), None)
                if known is not None:
                    known.release()
                    self.stale.pop(known, None)

    def look_at_all(self) -> None:
        """Everything is to be looked at."""
        self.stale = dict.fromkeys(self.partitions.values())

    def sleep(self) -> None:
        """Hears of nothing until its next request, which looks at everything."""
        self.awake = False
        for fetched in self.partitions.values():
            fetched.release()
        self.look_at_all()


class Fetching:
    """One request: what to read, and which part of the result to send."""

    __slots__ = ("session_id", "session", "_incremental")

    def __init__(self, session: Session, incremental: bool) -> None:
        self.session = session
        self.session_id = session.id
        self._incremental = incremental

    def answer(self, results: Iterable[tuple[Fetched, Any]]) -> list[tuple[Fetched, Any]]:
        """The results to send; remembers what the client has been told."""
        session = self.session
        told = []
        for fetched, data in results:
            size = len(data.records) if isinstance(data.records, bytes) else data.records.size
            changed = (
                size > 0
                or data.error_code != 0
                or data.diverging_epoch.epoch >= 0
                or data.preferred_read_replica >= 0
                or data.high_watermark != fetched.high_watermark
                or data.log_start_offset != fetched.log_start_offset
            )
            if changed or not self._incremental:
                told.append((fetched, data))
            # After an error the next response must tell the high watermark again.
            fetched.high_watermark = -1 if data.error_code else data.high_watermark
            fetched.log_start_offset = data.log_start_offset
            if size > 0 and fetched in session.stale:
                del session.stale[fetched]
                session.stale[fetched] = None
        return told

    @property
    def partitions(self) -> list[Fetched]:
        """The partitions that are to be read."""
        return list(self.session.stale)

    def end(self, request: Waiting) -> None:
        """The request is answered."""
        if self.session.waiting is request:
            self.session.waiting = None
        if self.session_id == NO_SESSION:
            self.session.sleep()


class FetchSessions:
    """All sessions of a broker, at most `slots`, least recently used first."""

    def __init__(self, slots: int, first_id: int) -> None:
        self._slots = slots
        self._next_id = first_id
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        SESSIONS.watch(self, len)
        CACHED.watch(self, lambda each: sum(len(session.partitions) for session in each._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, request: Any, by_id: bool, now_ms: int) -> Fetching:
        """What `request` asks to read. KafkaError 70, 71 or 106 when it does not fit its session."""
        epoch = request.session_epoch
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._close(request.session_id)
            wanted = epoch == INITIAL_EPOCH and any(topic.partitions for topic in request.topics)
            session = (self._open(by_id, now_ms) if wanted else None) or Session(NO_SESSION, by_id, now_ms)
            session.add(request.topics)
            return Fetching(session, False)
        known = self._sessions.get(request.session_id)
        if known is None:
            raise KafkaError(Error.FETCH_SESSION_ID_NOT_FOUND)
        if known.epoch != epoch:
            raise KafkaError(Error.INVALID_FETCH_SESSION_EPOCH)
        if known.by_id != by_id:
            raise KafkaError(Error.FETCH_SESSION_TOPIC_ID_ERROR)
        session = known
        session.add(request.topics)
        session.forget(request.forgotten_topics_data)
        if not session.partitions:
            self._close(session.id)
            return Fetching(Session(NO_SESSION, by_id, now_ms), False)
        session.epoch = 1 if epoch == MAX_EPOCH else epoch + 1
        session.used_ms, session.awake = now_ms, True
        self._sessions.move_to_end(session.id)
        return Fetching(session, True)

    def _close(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.sleep()

    def _open(self, by_id: bool, now_ms: int) -> Session | None:
        if len(self._sessions) >= self._slots:
            if not self._sessions:
                return None
            oldest = next(iter(self._sessions.values()))
            if now_ms - oldest.used_ms <= EVICTION_MS:
                return None
            self._close(oldest.id)
            EVICTIONS.mark()
        # Most unused sessions are never used again, as their clients were restarted.
        for idle in self._sessions.values():
            if now_ms - idle.used_ms <= EVICTION_MS:
                break
            if idle.awake:
                idle.sleep()
        session = Session(self._free_id(), by_id, now_ms)
        self._sessions[session.id] = session
        return session

    def _free_id(self) -> int:
        while True:
            self._next_id = self._next_id % (2**31 - 1) + 1
            if self._next_id not in self._sessions:
                return self._next_id
