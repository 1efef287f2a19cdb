"""Record batches from a producer.

Answered by the leader of each partition. Checks in order: acks is -1, 0 or 1 (21); topic not internal (17); the
partition is here and led here (3, 6); enough replicas in sync for acks=-1 (19); then the log's: magic (43), CRC (2),
size (10), timestamps (32), producer state (45, 47). The append wakes fetches. acks=0 has no answer, and an error
closes the connection; acks=1 is answered after the append; acks=-1 when the high watermark has passed the batch (7).
A leader that has just been deposed hands on what comes for its partition: broker/produce_forwarding.py.
v0-v2 carry the old message formats; v3 transactional id and batches of magic 2; v5 log start offset; v7 zstd; v8 errors
of single records and error message; v9 flexible; v10 where the leader is now (KIP-951); v11 transactions' errors.
"""

from __future__ import annotations

from collections.abc import Sequence

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import NO_RESPONSE, Answer, Call
from kafkalike.cluster.topic_names import INTERNAL_TOPICS
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import produce as messages
from kafkalike.protocol.schema import Message
from kafkalike.storage.append_path import Appended

ADMIN_CLIENT_ID = "__admin_client"  # the one client id that may write to internal topics, as in Kafka
LEADER_HINTS = 10  # the first version that says where the leader is
MESSAGES_V2 = 3  # the first version whose batches have magic 2

# (topic, partition, last offset, its part of the response)
Batch = tuple[str, int, int]  # topic, partition, last offset

_Partition = messages.PartitionProduceResponse
_Topic = messages.TopicProduceResponse


ACCESS = (
    Access(Operation.WRITE, Resource.TRANSACTIONAL_ID, "transactional_id"),
    Access(Operation.WRITE, Resource.TOPIC, "name", "topic_data"),
)


def produce(broker: Broker, call: Call[messages.Request]) -> Answer[Message]:
    """Appends every partition's batches, then answers as `acks` says."""
    refused_whole = refusal(call)
    if refused_whole is not None:
        return failed(call, refused_whole)
    request = call.request
    acks = request.acks
    replicas = broker.replicas
    answers = []
    waiting: list[tuple[Batch, messages.PartitionProduceResponse]] = []
    refused = False
    for topic in request.topic_data:
        name = topic.name
        partitions = []
        for data in topic.partition_data:
            index = data.index
            try:
                if is_closed(name, call.client_id):
                    raise KafkaError(Error.INVALID_TOPIC_EXCEPTION)
                if call.version < MESSAGES_V2:
                    raise KafkaError(Error.UNSUPPORTED_FOR_MESSAGE_FORMAT)
                if data.records is None:
                    raise KafkaError(Error.INVALID_RECORD)
                appended = replicas.append_as_leader(name, index, data.records, acks)
            except KafkaError as problem:
                refused = True
                partitions.append(_refusal(index, problem))
                continue
            answer = _success(index, appended)
            partitions.append(answer)
            if acks == -1:
                outcome = replicas.replicated(name, index, appended.last_offset)
                if outcome is None:
                    waiting.append(((name, index, appended.last_offset), answer))
                else:
                    answer.error_code = outcome
                    refused = refused or bool(outcome)
        answers.append(_Topic(name=name, partition_responses=partitions))
    if acks == 0:
        if refused:
            call.connection.close()
        return NO_RESPONSE
    response = messages.Response(responses=answers)
    if not waiting:
        return conclude(call, response) if refused else response
    pending: PendingResponse[messages.Response] = PendingResponse()

    def replicated(outcomes: Sequence[Error]) -> None:
        for (_, answer), outcome in zip(waiting, outcomes, strict=True):
            answer.error_code = outcome
        concluded = conclude(call, response)
        if isinstance(concluded, PendingResponse):
            concluded.then(pending.respond)
        else:
            pending.respond(concluded)

    replicas.await_replicas([batch for batch, _ in waiting], request.timeout_ms, replicated)
    return pending


def refusal(call: Call[messages.Request]) -> KafkaError | None:
    """Why the whole request is refused, if it is."""
    if call.request.acks not in (-1, 0, 1):
        return KafkaError(Error.INVALID_REQUIRED_ACKS)
    if call.request.transactional_id is not None:
        return KafkaError(Error.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    return None


def is_closed(topic: str, client_id: str) -> bool:
    """Whether clients may not write to this topic."""
    return topic in INTERNAL_TOPICS and client_id != ADMIN_CLIENT_ID


def conclude(
    call: Call[messages.Request], response: messages.Response
) -> messages.Response | PendingResponse[messages.Response]:
    """The response, with errors perhaps; or the one of a new leader, to whom the request is handed on."""
    forwarded = call.broker.produce_forwarding.take(call, response)
    if forwarded is not None:
        return forwarded
    _point_to_leaders(call, response)
    return response


def answer(topic: str, index: int, appended: Appended, outcome: Error) -> messages.Response:
    """The response when one partition's records are in the log and what became of them is `outcome`."""
    partition = _success(index, appended)
    partition.error_code = outcome
    return messages.Response(responses=[_Topic(name=topic, partition_responses=[partition])])


def refused(topic: str, index: int, problem: KafkaError) -> messages.Response:
    """The response when one partition's records were not taken."""
    return messages.Response(responses=[_Topic(name=topic, partition_responses=[_refusal(index, problem)])])


def _success(index: int, appended: Appended) -> messages.PartitionProduceResponse:
    return _Partition(
        index=index,
        error_code=0,
        base_offset=appended.base_offset,
        log_append_time_ms=appended.log_append_time_ms,
        log_start_offset=appended.log_start_offset,
    )


def _point_to_leaders(call: Call[messages.Request], response: messages.Response) -> None:
    if call.version >= LEADER_HINTS:
        answers = ((topic.name, p.index, p) for topic in response.responses for p in topic.partition_responses)
        call.broker.current_leader.fill_where_moved(call.listener, messages, response, answers)


def _refusal(index: int, problem: KafkaError) -> messages.PartitionProduceResponse:
    return _Partition(
        index=index, error_code=problem.error, base_offset=-1, log_start_offset=-1, error_message=problem.message
    )


def failed(call: Call[messages.Request], error: KafkaError) -> Message:
    """The same error for every partition of the request; without acks it ends the connection."""
    if call.request.acks == 0:
        call.connection.close()
        return NO_RESPONSE
    return messages.Response(
        responses=[
            _Topic(
                name=topic.name,
                partition_responses=[_refusal(d.index, error) for d in topic.partition_data],
            )
            for topic in call.request.topic_data
        ]
    )
