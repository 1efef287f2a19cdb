"""Produce requests that say again what one before them on their connection said.

A producer sends the same few dozen bytes before each batch: client id, acks, timeout, topic, partition. Equal bytes
mean equal things, so what was decoded once is looked up, and the answer is packed between the bytes of an answer like
it. Only requests with records for one partition come this way, and only their success is answered here: what to say
after an error is known to `apis/produce.py`, as for all others. Nothing is checked less, as the records take the same
way into the log.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from time import monotonic
from typing import Any

from kafkalike.broker.apis import produce
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Call, Client
from kafkalike.cluster.topic_names import MAX_LENGTH
from kafkalike.errors import Error, KafkaError
from kafkalike.net.reactor import TIME
from kafkalike.protocol.framing import REQUEST_START, RESPONSE_START
from kafkalike.protocol.messages import produce as messages

SINCE = 5  # the first version that is known here: its answer has the log start offset
MOST = 1000  # lookups that one connection keeps
_NO_TAGS = b"\0\0\0"  # after the records in a flexible version: of the partition, the topic, the request
_LENGTH = struct.Struct(">i")
_OUTCOME = struct.Struct(">hqqq")  # error code, base offset, log append time, log start offset
_MARK = (0x5A5A, 0x5A5A5A5A5A5A5A5A, 0x5A5A5A5A5A5A5A5A, 0x5A5A5A5A5A5A5A5A)


@functools.lru_cache(maxsize=10_000)
def _answer(version: int, topic: str, index: int) -> tuple[bytes, bytes]:
    """What stands before and after the outcome, in the answer for this partition."""
    error, base, time, start = _MARK
    partition = messages.PartitionProduceResponse(
        index=index, error_code=error, base_offset=base, log_append_time_ms=time, log_start_offset=start
    )
    topics = [messages.TopicProduceResponse(name=topic, partition_responses=[partition])]
    body = messages.Response(responses=topics).encode(version)
    tags = b"\0" if version >= messages.FLEXIBLE else b""
    before, _, after = body.rpartition(_OUTCOME.pack(*_MARK))
    return tags + before, after


class Template:
    """A decoded request: its values, and the bytes before and after the outcome in its response."""

    __slots__ = (
        "api",
        "version",
        "client_id",
        "body",
        "topic",
        "index",
        "acks",
        "timeout_ms",
        "before",
        "after",
        "size",
        "metrics",
        "requests",
        "no_error",
    )

    def __init__(self, call: Call[messages.Request], body: int) -> None:
        request = call.request
        self.api, self.version, self.client_id = call.api, call.version, call.client_id
        self.body = body  # where the request's own fields begin
        self.topic = request.topic_data[0].name
        self.index = request.topic_data[0].partition_data[0].index
        self.acks, self.timeout_ms = request.acks, request.timeout_ms
        self.before, self.after = _answer(self.version, self.topic, self.index)
        self.size = 4 + len(self.before) + _OUTCOME.size + len(self.after)
        self.metrics = self.api.metrics
        self.requests = self.metrics.requests(self.version)
        self.no_error = self.metrics.error(Error.NONE)


class ProduceFastPath:
    """What was learnt from the Produce requests of one connection."""

    __slots__ = ("_templates", "_end", "_version", "_flexible", "_last")

    def __init__(self) -> None:
        self._templates: dict[bytes, Template] = {}  # by the bytes between correlation id and the records' length
        self._end = 0  # where these bytes end
        self._version = -1
        self._flexible = False
        self._last: tuple[Any, ...] = ()

    def find(self, broker: Broker, connection: Client, frame: bytes | memoryview) -> FastProduce | None:
        """The call in `frame`, if one like it was learnt."""
        end, size = self._end, len(frame)
        if size < end + 8:
            return None
        template = self._templates.get(bytes(frame[8:end]))
        if template is None:
            return None
        key, version, correlation_id = REQUEST_START.unpack_from(frame)
        if key or version != self._version:
            return None
        stop = size
        if self._flexible:
            stop -= len(_NO_TAGS)
            length, shift, byte = 0, 0, 0x80
            while byte & 0x80 and shift < 35:
                byte = frame[end]
                end += 1
                length |= (byte & 0x7F) << shift
                shift += 7
            if frame[stop:] != _NO_TAGS:
                return None
            length -= 1
        else:
            (length,) = _LENGTH.unpack_from(frame, end)
            end += 4
        if length < 0 or end + length != stop:
            return None
        return FastProduce(broker, connection, template, correlation_id, frame, memoryview(frame)[end:stop])

    def learn(self, call: Call[messages.Request], frame: bytes | memoryview, body: int) -> None:
        """Remembers a request that was decoded, when the one before it was for the same topic."""
        request, version = call.request, call.version
        if version < SINCE or len(request.topic_data) != 1 or len(request.topic_data[0].partition_data) != 1:
            return
        topic, data = request.topic_data[0].name, request.topic_data[0].partition_data[0]
        if data.records is None or produce.refusal(call) or produce.is_closed(topic, call.client_id):
            return
        if len(topic) > MAX_LENGTH:
            return  # There is no such topic, and its name may be too long for an answer.
        flexible = version >= messages.FLEXIBLE
        stop = len(frame) - (len(_NO_TAGS) if flexible else 0)
        size = len(data.records)
        end = stop - size - (max((size + 1).bit_length() + 6, 7) // 7 if flexible else 4)
        last, self._last = self._last, (topic, version, end)
        # Tags, or bytes after the last field, are not what is expected of a repeat.
        if last != self._last or flexible and frame[stop:] != _NO_TAGS or frame[stop - size : stop] != data.records:
            return
        if end != self._end or version != self._version or len(self._templates) >= MOST:
            self._templates.clear()
            self._end, self._version, self._flexible = end, version, flexible
        self._templates[bytes(frame[8:end])] = Template(call, body)


class FastProduce(Call[Any]):
    """A request of a known template."""

    __slots__ = ("_template", "_frame", "_records", "_appended")

    def __init__(
        self,
        broker: Broker,
        connection: Client,
        template: Template,
        correlation_id: int,
        frame: bytes | memoryview,
        records: memoryview,
    ) -> None:
        self.broker = broker
        self.connection = connection
        self.api = template.api
        self.version = template.version
        self.correlation_id = correlation_id
        self.client_id = template.client_id
        self.request = None
        self.answer = None
        self.metrics = template.metrics
        self.received = connection.received_at
        self.started = TIME.now
        self.handled = 0.0
        self.timing = None
        self._template = template
        self._frame = frame
        self._records = records

    def run(self) -> None:
        """Appends the records and answers as `acks` says."""
        template, replicas = self._template, self.broker.replicas
        try:
            appended = replicas.append_as_leader(template.topic, template.index, self._records, template.acks)
        except Exception as problem:
            self._decode()
            if isinstance(problem, KafkaError):
                self._refuse(problem)
            else:
                self._fail(problem)
            return
        if template.acks == 0:
            self._answer_nothing()
            return
        self._appended = appended
        if template.acks == -1:
            outcome = replicas.replicated(template.topic, template.index, appended.last_offset)
            if outcome is None:
                batch = (template.topic, template.index, appended.last_offset)
                replicas.await_replicas((batch,), template.timeout_ms, self._replicated)
                self.handled = TIME.now = monotonic()
                return
            if outcome:
                self._finish(outcome)
                return
        self._succeed()

    def _replicated(self, outcomes: Sequence[Error]) -> None:
        """Every in-sync replica has the records, or none will, or they took too long."""
        if outcomes[0]:
            self._finish(outcomes[0])
        else:
            self._succeed()

    def _succeed(self) -> None:
        template, done = self._template, self._appended
        outcome = _OUTCOME.pack(0, done.base_offset, done.log_append_time_ms, done.log_start_offset)
        template.requests.count += 1
        template.no_error.count += 1
        now = TIME.now = monotonic()
        self.timing = (self.metrics, self.received, self.started, self.handled or now, now)
        self.answer = [
            b"".join(
                (RESPONSE_START.pack(template.size, self.correlation_id), template.before, outcome, template.after)
            )
        ]
        self.connection.answered()

    def _refuse(self, problem: KafkaError) -> None:
        template = self._template
        if template.acks == 0:
            self.connection.close()
            self._answer_nothing()
            return
        self._conclude(produce.refused(template.topic, template.index, problem))

    def _finish(self, outcome: Error) -> None:
        template = self._template
        self._decode()
        self._conclude(produce.answer(template.topic, template.index, self._appended, outcome))

    def _conclude(self, response: messages.Response) -> None:
        concluded = produce.conclude(self, response)
        if isinstance(concluded, PendingResponse):
            concluded.then(self._answer)
        else:
            self._answer(concluded)

    def _decode(self) -> None:
        self.request = self.api.request.decode(self.version, self._frame, self._template.body, False)
