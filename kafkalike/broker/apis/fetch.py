"""Record batches to a consumer.

Answered by the leader of each partition, or later, when there are `min_bytes` of records, an error, or `max_wait_ms` is
over. Reads go up to the high watermark, or to the last stable offset for read_committed. Records leave as ranges of
segment files; a few are read, so that they leave together with what stands around them. The first partition with
records gives at least one whole batch, whatever the limits say. A follower that sends something else while it waits is
answered at once: it wants to ask for more partitions.
v0-v3 want the old message formats (error 35 until they are converted); v4 isolation level; v5 log start offset; v7
sessions; v9 leader epochs (74, 75); v11 rack; v12 flexible, diverging epoch; v13 topic ids (100; in a session that has
known the topic 3, and 103 once another has its name); v15 replica state; v16 where the leader is now; v17 replica
directories.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable

from kafkalike.broker import epoch_checks, request_metrics
from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.fetch_sessions import Fetched, Fetching
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Answer, Call
from kafkalike.cluster.metadata import Image
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import READ_COMMITTED, READ_UNCOMMITTED
from kafkalike.protocol.messages import fetch as messages
from kafkalike.replication.replicas import Read
from kafkalike.replication.topic_traffic import EXPECTED
from kafkalike.storage.file_ranges import CorruptBatch

TOPIC_IDS = 13  # the first version that names topics by id
FROM_FOLLOWERS = 11  # the first version whose consumers may read from a replica that does not lead (KIP-392)
REPLICA_STATE = 15  # the first version that says the fetching replica in a tagged field
FEW = 16 * 1024  # bytes that are sooner copied than sent from the file by a system call of their own
NO_EPOCH = -1
LEADER_HINTS = 16  # the first version that says where the leader is
MESSAGES_V2 = 4  # the first version that accepts batches of magic 2

FROM_CONSUMER = request_metrics.of("FetchConsumer", messages.Response)
FROM_FOLLOWER = request_metrics.of("FetchFollower", messages.Response)

_Data = messages.PartitionData
_Topic = messages.FetchableTopicResponse


ACCESS = (
    Access(Operation.CLUSTER_ACTION, when=lambda request: _is_a_follower(request)),
    Access(Operation.READ, Resource.TOPIC, "topic", "topics", when=lambda request: not _is_a_follower(request)),
)


def fetch(broker: Broker, call: Call[messages.Request]) -> Answer[messages.Response]:
    """Reads now, and again whenever records arrive, until there is enough to answer."""
    request = call.request
    if not READ_UNCOMMITTED <= request.isolation_level <= READ_COMMITTED:
        return _refuse(call, Error.UNKNOWN_SERVER_ERROR)
    by_state = call.version >= REPLICA_STATE
    replica = request.replica_state.replica_id if by_state else request.replica_id
    epoch = request.replica_state.replica_epoch if by_state else NO_EPOCH
    call.metrics = FROM_CONSUMER if replica < 0 else FROM_FOLLOWER
    if replica >= 0 and epoch > broker.follower_epochs.get(replica, NO_EPOCH):
        return _of_a_new_life(broker, call, replica, epoch)
    return _begin(broker, call, replica, epoch)


def _is_a_follower(request: messages.Request) -> bool:
    return bool(max(request.replica_id, request.replica_state.replica_id) >= 0)


def _refuse(call: Call[messages.Request], error: Error) -> messages.Response:
    """The error for the whole request, and before there were topic ids for each partition, too."""
    topics = [] if call.version >= TOPIC_IDS else call.request.topics
    return messages.Response(
        error_code=error,
        responses=[
            _Topic(
                topic=topic.topic,
                partitions=[
                    _Data(partition_index=each.partition, error_code=error, high_watermark=-1)
                    for each in topic.partitions
                ],
            )
            for topic in topics
        ],
    )


async def _of_a_new_life(broker: Broker, call: Call[messages.Request], replica: int, epoch: int) -> messages.Response:
    error = await epoch_checks.check_follower(broker, replica, epoch)
    if error:
        return messages.Response(error_code=error, responses=[])
    begun = _begin(broker, call, replica, epoch)
    return begun if isinstance(begun, messages.Response) else await begun


def _begin(
    broker: Broker, call: Call[messages.Request], replica: int, epoch: int
) -> messages.Response | PendingResponse[messages.Response]:
    session = broker.fetch_sessions.begin(call.request, call.version >= TOPIC_IDS, broker.clock.wall_ms())
    return _Attempt(broker, call, session, replica, epoch).begin()


class _Attempt(PendingResponse[messages.Response]):
    """A fetch that looks whether it can be answered."""

    operation = "Fetch"

    __slots__ = (
        "_broker", "_call", "_fetching", "_results", "_size", "_urgent", "_room", "_replica", "_replica_epoch", "_racks"
    )  # fmt: skip

    def __init__(
        self, broker: Broker, call: Call[messages.Request], fetching: Fetching, replica: int, replica_epoch: int
    ) -> None:
        self._response = self._then = None  # what the class above would set, without a call of it for each fetch
        self._broker = broker
        self._call = call
        self._fetching = fetching
        self._results: dict[Fetched, messages.PartitionData] = {}
        self._size = 0  # of the records in there
        self._urgent = False
        request = call.request
        self._room = min(request.max_bytes, broker.fetch_max_bytes)
        self._replica = replica
        self._replica_epoch = replica_epoch
        self._racks: Callable[[int], str | None] | None = None
        if broker.rack_aware and self._replica < 0 and call.version >= FROM_FOLLOWERS and request.rack_id:
            brokers = broker.metadata.image.brokers
            self._racks = {broker_id: each.rack for broker_id, each in brokers.items()}.get

    def begin(self) -> messages.Response | PendingResponse[messages.Response]:
        """The response, or this, which waits."""
        request, session = self._call.request, self._fetching.session
        client = (self._replica, self._replica_epoch, request.isolation_level, request.rack_id)
        if session.client != client:
            # What the session knows was told to another client, or to this one before it restarted.
            session.client = client
            session.look_at_all()
        self._read(self._fetching.partitions)
        if self._enough or request.max_wait_ms <= 0 or not session.partitions:
            return self._finished()
        for fetched in session.stale:
            self._subscribe(fetched)
        session.waiting = self
        self._broker.purgatory.wait(self, (), request.max_wait_ms)
        if self._replica >= 0:
            self._call.connection.hurry = self.hurry
        return self

    def partition_woken(self, fetched: Fetched, key: Hashable) -> None:
        """Something of a partition changed while this waits."""
        if self._replica >= 0 and isinstance(key, tuple) and len(key) == 2:
            return  # A follower is told of the high watermark when there is something else to be told.
        # Ranges of files are not held while time passes: they are read again.
        self._read([each for each in self._results if each is not fetched and self._results[each].records])
        self._read([fetched])
        if self._enough:
            self._broker.purgatory.forget(self)
            self.respond(self._finished())

    def hurry(self) -> None:
        """Answers with what there is."""
        self._broker.purgatory.forget(self)
        self.expire()

    def try_finish(self) -> bool:
        """Waits for no key; the session tells of what happens."""
        return False

    def expire(self) -> None:
        """Responds with what there is, for the request has waited as long as it may."""
        self._read(self._fetching.partitions)
        self.respond(self._finished())

    @property
    def _enough(self) -> bool:
        return self._urgent or self._size >= max(self._call.request.min_bytes, 0)

    def _read(self, partitions: list[Fetched]) -> None:
        for fetched in partitions:
            before = self._results.get(fetched)
            if before is not None and before.records:
                self._size -= before.records.size
            try:
                data = self._read_one(fetched)
            except KafkaError as problem:
                data = _error(fetched.index, problem.error)
                if fetched.traffic is not None and problem.error not in EXPECTED:
                    fetched.traffic.failed_fetch.count += 1
            records = data.records
            if records:
                self._size += records.size
            if data.error_code or data.diverging_epoch.epoch >= 0 or data.preferred_read_replica >= 0:
                self._urgent = True
            self._results[fetched] = data

    def _read_one(self, fetched: Fetched) -> messages.PartitionData:
        broker, call = self._broker, self._call
        replicas, topic, index = broker.replicas, fetched.topic, fetched.index
        if call.version >= TOPIC_IDS:
            known = broker.metadata.image.names.get(fetched.topic_id)
            if known is None:
                raise KafkaError(_gone(broker.metadata.image, fetched.name))
            topic = fetched.name = known
        if call.version < MESSAGES_V2:
            raise KafkaError(Error.UNSUPPORTED_VERSION)
        isolation, size, replica = call.request.isolation_level, self._size, self._replica
        limit = min(fetched.max_bytes, self._room - size)
        if limit < 0 and (fetched.max_bytes < 0 or call.request.max_bytes < 0):
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR)  # as in Kafka
        if replica >= 0:
            found = replicas.read_as_follower(topic, index, fetched, limit, not size, replica, self._replica_epoch)
        else:
            found = replicas.read(topic, index, fetched, limit, isolation, not size, call.version >= FROM_FOLLOWERS)
            fetched.traffic = found.traffic
        if self._racks is not None:
            here = broker.partitions.find(topic, index).partition
            chosen = here.preferred_replica(fetched.offset, self._call.request.rack_id, self._racks)
            if here.leading and chosen != broker.broker_id:
                return _elsewhere(index, found, chosen)
        if found.caught_up and self._racks is None and fetched.session.id:
            self._subscribe(fetched)
            fetched.set_aside(found.on_wake)
        data = _Data(
            partition_index=index,
            high_watermark=found.high_watermark,
            last_stable_offset=found.last_stable_offset,
            log_start_offset=found.log_start_offset,
            aborted_transactions=[] if isolation == READ_COMMITTED and replica < 0 else None,
            records=b"" if found.records is None else found.records,
        )
        if found.diverging is not None:
            data.diverging_epoch = messages.EpochEndOffset(epoch=found.diverging[0], end_offset=found.diverging[1])
        return data

    def _subscribe(self, fetched: Fetched) -> None:
        if fetched.subscription is None:
            key = (fetched.name, fetched.index)
            keys = (key,) if self._replica < 0 else (key, (*key, "appended"))
            fetched.subscription = self._broker.purgatory.subscribe(keys, fetched)

    def _finished(self) -> messages.Response:
        call = self._call
        call.connection.hurry = None
        topics: list[messages.FetchableTopicResponse] = []
        last = None
        for fetched in self._results:
            if fetched.traffic is not None:
                fetched.traffic.fetch_requests.count += 1
        for fetched, data in self._fetching.answer(self._results.items()):
            key = (fetched.topic, fetched.topic_id)
            if key != last:
                partitions: list[messages.PartitionData] = []
                topics.append(_Topic(topic=fetched.topic, topic_id=fetched.topic_id, partitions=partitions))
                last = key
            if data.records:
                if self._replica >= 0:
                    self._broker.replicas.sent(fetched.name, fetched.index, data.records.size)
                elif fetched.traffic is not None:
                    fetched.traffic.bytes_out.count += data.records.size
            if data.records and data.records.size <= FEW:
                # Bytes that cannot be read cannot be sent either: the connection will say so.
                with contextlib.suppress(OSError, CorruptBatch):
                    data.records = data.records.read()
            partitions.append(data)
        self._fetching.end(self)
        response = messages.Response(session_id=self._fetching.session_id, responses=topics)
        if self._urgent and call.version >= LEADER_HINTS:  # there may be an error
            names = call.broker.metadata.image.names
            call.broker.current_leader.fill_where_moved(
                call.listener,
                messages,
                response,
                ((names.get(t.topic_id), p.partition_index, p) for t in topics for p in t.partitions if p.error_code),
            )
        return response


def _gone(image: Image, name: str) -> Error:
    """Why a topic id is not known: never, not any more, or since another topic has the name that it had."""
    if not name:
        return Error.UNKNOWN_TOPIC_ID
    return Error.INCONSISTENT_TOPIC_ID if name in image.topics else Error.UNKNOWN_TOPIC_OR_PARTITION


def _elsewhere(index: int, found: Read, replica: int) -> messages.PartitionData:
    """No records: the consumer shall ask a replica in its rack."""
    return _Data(
        partition_index=index,
        high_watermark=found.high_watermark,
        last_stable_offset=found.last_stable_offset,
        log_start_offset=found.log_start_offset,
        preferred_read_replica=replica,
        records=b"",
    )


def _error(index: int, error: Error) -> messages.PartitionData:
    return _Data(partition_index=index, error_code=error, high_watermark=-1, log_start_offset=-1, records=b"")
