"""Record batches to a consumer.

Answered by the leader of each partition, or later, when there are `min_bytes` of records, an error, or `max_wait_ms` is
over. Reads go up to the high watermark, or to the last stable offset for read_committed. Records leave as ranges of
segment files; a few are read, so that they leave together with what stands around them. The first partition with
records gives at least one whole batch, whatever the limits say. A follower that sends something else while it waits is
answered at once: it wants to ask for more partitions.
v0-v3 want the old message formats (error 35 until they are converted); v4 isolation level; v5 log start offset; v7
sessions; v9 leader epochs (74, 75); v11 rack; v12 flexible, diverging epoch; v13 topic ids (100); v15 replica state;
v16 where the leader is now; v17 replica directories.
"""

from __future__ import annotations

import contextlib
from typing import Any

from kafkalike.broker import hints
from kafkalike.broker.call import LATER
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import fetch as messages
from kafkalike.replication.replicas import READ_COMMITTED, now_ms
from kafkalike.storage.segment import Damaged

TOPIC_IDS = 13  # the first version that names topics by id
FROM_FOLLOWERS = 11  # the first version whose consumers may read from a replica that does not lead (KIP-392)
REPLICA_STATE = 15  # the first version that says the fetching replica in a tagged field
FEW = 16 * 1024  # bytes that are sooner copied than sent from the file by a system call of their own
LEADER_HINTS = 16  # the first version that says where the leader is
MESSAGES_V2 = 4  # the first version that accepts batches of magic 2

_Data = messages.PartitionData
_Topic = messages.FetchableTopicResponse


def fetch(broker: Any, call: Any) -> Any:
    """Reads now, and again whenever records arrive, until there is enough to answer."""
    request = call.request
    fetching = broker.fetch_sessions.begin(request, call.version >= TOPIC_IDS, now_ms())
    attempt = _Attempt(broker, call, fetching)
    if attempt.try_finish():
        return LATER
    if request.max_wait_ms <= 0 or not attempt.keys:
        attempt.expire()
    else:
        broker.replicas.wait(attempt, attempt.keys, request.max_wait_ms)
        if attempt.is_followers:
            call.connection.hurry = attempt.hurry
    return LATER


class _Attempt:
    """A fetch that looks whether it can be answered."""

    __slots__ = ("_broker", "_call", "_fetching", "_results", "_replica", "_replica_epoch", "keys")

    def __init__(self, broker: Any, call: Any, fetching: Any) -> None:
        self._broker = broker
        self._call = call
        self._fetching = fetching
        self._results: list[tuple[Any, Any]] = []
        request = call.request
        by_state = call.version >= REPLICA_STATE
        self._replica = request.replica_state.replica_id if by_state else request.replica_id
        self._replica_epoch = request.replica_state.replica_epoch if by_state else -1
        self.keys: list[tuple[Any, ...]] = []

    @property
    def is_followers(self) -> bool:
        """Whether it is a replica that asks."""
        return self._replica >= 0  # type: ignore[no-any-return]

    def hurry(self) -> None:
        """Answers with what there is."""
        self._broker.replicas.purgatory.forget(self)
        self.expire()

    def try_finish(self) -> bool:
        enough = self._read()
        if enough:
            self._respond()
        return enough

    def expire(self) -> None:
        self._read()
        self._respond()

    def _read(self) -> bool:
        """Reads every partition; True when the answer need not wait any longer."""
        broker, call = self._broker, self._call
        request = call.request
        names = broker.metadata.image.names
        by_id = call.version >= TOPIC_IDS
        isolation = request.isolation_level
        room = min(request.max_bytes, broker.fetch_max_bytes)
        read = broker.replicas.read
        follower = self._replica
        aborted: list[Any] | None = [] if isolation == READ_COMMITTED else None
        self._results = results = []
        self.keys = keys = []
        total = 0
        urgent = False
        racks = None
        if broker.rack_aware and follower < 0 and call.version >= FROM_FOLLOWERS and request.rack_id:
            brokers = broker.metadata.image.brokers
            racks = {broker_id: each.rack for broker_id, each in brokers.items()}.get
        for fetched in self._fetching.partitions:
            topic = fetched.topic
            try:
                if by_id:
                    topic = names.get(fetched.topic_id)
                    if topic is None:
                        raise KafkaError(Error.UNKNOWN_TOPIC_ID)
                if call.version < MESSAGES_V2:
                    raise KafkaError(Error.UNSUPPORTED_VERSION)
                limit = min(fetched.max_bytes, room - total)
                if follower >= 0:
                    found = broker.replicas.read_as_follower(
                        topic, fetched.index, fetched, limit, not total, follower, self._replica_epoch
                    )
                else:
                    found = read(
                        topic, fetched.index, fetched, limit, isolation, not total, call.version >= FROM_FOLLOWERS
                    )
            except KafkaError as problem:
                urgent = True
                results.append((fetched, _error(fetched.index, problem.error)))
                continue
            if racks is not None:
                replica = broker.replicas.partition(topic, fetched.index)
                chosen = replica.preferred_replica(fetched.offset, request.rack_id, racks)
                if replica.leading and chosen != broker.broker_id:
                    urgent = True
                    results.append((fetched, _elsewhere(fetched.index, found, chosen)))
                    continue
            keys.append((topic, fetched.index) if follower < 0 else (topic, fetched.index, "appended"))
            records = found.records
            if records is None:
                records = b""
            else:
                total += records.size
            data = _Data(
                partition_index=fetched.index,
                high_watermark=found.high_watermark,
                last_stable_offset=found.last_stable_offset,
                log_start_offset=found.log_start_offset,
                aborted_transactions=aborted,
                records=records,
            )
            if found.diverging is not None:
                urgent = True
                data.diverging_epoch = messages.EpochEndOffset(epoch=found.diverging[0], end_offset=found.diverging[1])
            results.append((fetched, data))
        return urgent or total >= max(request.min_bytes, 0) or not keys

    def _respond(self) -> None:
        self._call.connection.hurry = None
        topics: list[Any] = []
        last = None
        for fetched, data in self._fetching.answer(self._results):
            key = (fetched.topic, fetched.topic_id)
            if key != last:
                partitions: list[Any] = []
                topics.append(_Topic(topic=fetched.topic, topic_id=fetched.topic_id, partitions=partitions))
                last = key
            if data.records and data.records.size <= FEW:
                # Bytes that cannot be read cannot be sent either: the connection will say so.
                with contextlib.suppress(OSError, Damaged):
                    data.records = data.records.read()
            partitions.append(data)
        call = self._call
        response = messages.Response(session_id=self._fetching.session_id, responses=topics)
        if call.version >= LEADER_HINTS:
            names = call.broker.metadata.image.names
            hints.add(
                call,
                messages,
                response,
                ((names.get(t.topic_id), p.partition_index, p) for t in topics for p in t.partitions if p.error_code),
            )
        call.respond(response)


def _elsewhere(index: int, found: Any, replica: int) -> Any:
    """No records: the consumer shall ask a replica in its rack."""
    return _Data(
        partition_index=index,
        high_watermark=found.high_watermark,
        last_stable_offset=found.last_stable_offset,
        log_start_offset=found.log_start_offset,
        preferred_read_replica=replica,
        records=b"",
    )


def _error(index: int, error: Error) -> Any:
    return _Data(partition_index=index, error_code=error, high_watermark=-1, log_start_offset=-1, records=b"")
