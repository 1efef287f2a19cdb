"""Fetch sessions (KIP-227): the partitions that a client fetches, remembered between its requests.

Pure. `begin` turns a request into the list of partitions to read; `Fetching.answer` chooses what of the result the
client has to be told. A full request names everything and is answered with everything; an incremental one names what
changed and is answered with what changed. Partitions that returned records move to the end, so that none starves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from kafkalike.errors import Error, KafkaError

INITIAL_EPOCH, FINAL_EPOCH = 0, -1
NO_SESSION = 0
EVICTION_MS = 120_000  # a session idle for longer makes room for a new one
MAX_EPOCH = 2**31 - 1


class Fetched:
    """One partition of a session (or of a request without one), and what its client was last told about it."""

    __slots__ = (
        "topic", "topic_id", "index", "offset", "max_bytes", "current_leader_epoch", "last_fetched_epoch",
        "high_watermark", "log_start_offset",
    )  # fmt: skip

    def __init__(self, topic: str, topic_id: bytes, request: Any) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = request.partition
        self.high_watermark = -1
        self.log_start_offset = -1
        self.update(request)

    def update(self, request: Any) -> None:
        """Takes over what a request says about the partition."""
        self.offset = request.fetch_offset
        self.max_bytes = request.partition_max_bytes
        self.current_leader_epoch = request.current_leader_epoch
        self.last_fetched_epoch = request.last_fetched_epoch


class Session:
    """A client's partitions between its requests. Keys are (topic id or name, partition)."""

    __slots__ = ("id", "epoch", "by_id", "used_ms", "partitions")

    def __init__(self, session_id: int, by_id: bool, now_ms: int) -> None:
        self.id = session_id
        self.epoch = INITIAL_EPOCH + 1
        self.by_id = by_id
        self.used_ms = now_ms
        self.partitions: dict[tuple[Any, int], Fetched] = {}


class Fetching:
    """One request: what to read, and which part of the result to send."""

    __slots__ = ("session_id", "partitions", "_session", "_incremental")

    def __init__(self, session_id: int, partitions: Iterable[Fetched], session: Session | None, incremental: bool):
        self.session_id = session_id
        self.partitions = partitions
        self._session = session
        self._incremental = incremental

    def answer(self, results: list[tuple[Fetched, Any]]) -> list[tuple[Fetched, Any]]:
        """The results to send; remembers what the client has been told."""
        session = self._session
        if session is None:
            return results
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
            # After an error the next answer must say the high watermark again.
            fetched.high_watermark = -1 if data.error_code else data.high_watermark
            fetched.log_start_offset = data.log_start_offset
            if size > 0 and len(session.partitions) > 1:
                key = (fetched.topic_id if session.by_id else fetched.topic, fetched.index)
                if session.partitions.pop(key, None) is not None:
                    session.partitions[key] = fetched
        return told


class FetchSessions:
    """All sessions of a broker, at most `slots`, least recently used first."""

    def __init__(self, slots: int, first_id: int) -> None:
        self._slots = slots
        self._next_id = first_id
        self._sessions: OrderedDict[int, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, request: Any, by_id: bool, now_ms: int) -> Fetching:
        """What `request` asks to read. KafkaError 70, 71 or 106 when it does not fit its session."""
        epoch = request.session_epoch
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._sessions.pop(request.session_id, None)
            asked = {
                (topic.topic_id if by_id else topic.topic, p.partition): Fetched(topic.topic, topic.topic_id, p)
                for topic in request.topics
                for p in topic.partitions
            }
            if epoch == FINAL_EPOCH or not asked:
                return Fetching(NO_SESSION, asked.values(), None, False)
            session = self._open(by_id, now_ms)
            if session is None:
                return Fetching(NO_SESSION, asked.values(), None, False)
            session.partitions = asked
            return Fetching(session.id, list(asked.values()), session, False)
        session = self._sessions.get(request.session_id)
        if session is None:
            raise KafkaError(Error.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise KafkaError(Error.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            raise KafkaError(Error.FETCH_SESSION_TOPIC_ID_ERROR)
        self._update(session, request)
        if not session.partitions:
            del self._sessions[session.id]
            return Fetching(NO_SESSION, [], None, False)
        session.epoch = 1 if epoch == MAX_EPOCH else epoch + 1
        session.used_ms = now_ms
        self._sessions.move_to_end(session.id)
        return Fetching(session.id, list(session.partitions.values()), session, True)

    @staticmethod
    def _update(session: Session, request: Any) -> None:
        partitions, by_id = session.partitions, session.by_id
        for topic in request.topics:
            name = topic.topic_id if by_id else topic.topic
            for asked in topic.partitions:
                known = partitions.get((name, asked.partition))
                if known is None:
                    partitions[(name, asked.partition)] = Fetched(topic.topic, topic.topic_id, asked)
                else:
                    known.update(asked)
        for topic in request.forgotten_topics_data:
            name = topic.topic_id if by_id else topic.topic
            for index in topic.partitions:
                partitions.pop((name, index), None)

    def _open(self, by_id: bool, now_ms: int) -> Session | None:
        if len(self._sessions) >= self._slots:
            if not self._sessions:
                return None
            oldest = next(iter(self._sessions.values()))
            if now_ms - oldest.used_ms <= EVICTION_MS:
                return None
            del self._sessions[oldest.id]
        session = Session(self._free_id(), by_id, now_ms)
        self._sessions[session.id] = session
        return session

    def _free_id(self) -> int:
        while True:
            self._next_id = self._next_id % (2**31 - 1) + 1
            if self._next_id not in self._sessions:
                return self._next_id
