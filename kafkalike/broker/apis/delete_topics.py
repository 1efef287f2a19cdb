"""Deletes topics.

Answered by the controller only (41 elsewhere). The order is a znode; the answer waits until the topic has left this
broker's metadata, which is before its files are gone. A topic that is being deleted already is waited for. A timeout of
0 or less answers REQUEST_TIMED_OUT at once for what was ordered.
v1 throttle time; v3 TOPIC_DELETION_DISABLED instead of INVALID_REQUEST; v5 messages; v6 topics by id.
"""

from __future__ import annotations

from kafkalike.broker.access import LAST_VERSION, Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.bulk_requests import in_slices
from kafkalike.broker.request import Call
from kafkalike.cluster.znodes.topics import NO_TOPIC_ID
from kafkalike.controller import topic_admin
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import delete_topics as messages

ACCESS = (
    Access(Operation.DELETE, Resource.TOPIC, each="topic_names", versions=(0, 5)),
    Access(Operation.DELETE, Resource.TOPIC, "name", "topics", versions=(6, LAST_VERSION)),
)


async def delete_topics(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Orders every deletion, then waits."""
    request = call.request
    asked = _asked(call)
    if not broker.controller.active:
        return _all(asked, Error.NOT_CONTROLLER)
    if not broker.config["delete.topic.enable"]:
        return _all(asked, Error.INVALID_REQUEST if call.version < 3 else Error.TOPIC_DELETION_DISABLED)
    image = broker.metadata.image
    results = []
    for name, topic_id in asked:
        if name is not None and topic_id != NO_TOPIC_ID:
            raise KafkaError(Error.INVALID_REQUEST, "Topic name and topic ID can not both be specified.")
        if topic_id != NO_TOPIC_ID:
            name = image.names.get(topic_id)
        result = messages.DeletableTopicResult(name=name, topic_id=topic_id)
        if name is None:
            result.error_code = Error.UNKNOWN_TOPIC_ID
        elif name not in image.topics:
            result.error_code = Error.UNKNOWN_TOPIC_OR_PARTITION
        results.append(result)

    async def order(name: str) -> Error:
        try:
            await topic_admin.delete(broker.zk, name)
        except KafkaError as error:
            return error.error
        return Error.NONE

    names = list(dict.fromkeys(result.name for result in results if not result.error_code))
    outcomes = dict(zip(names, await in_slices(broker.reactor, names, order), strict=True))
    ordered = [name for name, error in outcomes.items() if error is Error.NONE]
    await broker.metadata.wait(lambda image: not any(name in image.topics for name in ordered), request.timeout_ms)
    image = broker.metadata.image
    for result in results:
        if result.error_code:
            continue
        result.error_code = outcomes[result.name]
        if not result.error_code and (request.timeout_ms <= 0 or result.name in image.topics):
            result.error_code = Error.REQUEST_TIMED_OUT
    return messages.Response(responses=results)


def failed(call: Call[messages.Request], error: KafkaError) -> messages.Response:
    """The error for every topic."""
    return _all(_asked(call), error.error)


def _asked(call: Call[messages.Request]) -> list[tuple[str | None, bytes]]:
    if call.version < 6:
        return [(name, NO_TOPIC_ID) for name in call.request.topic_names]
    return [(topic.name, bytes(topic.topic_id)) for topic in call.request.topics]


def _all(asked: list[tuple[str | None, bytes]], error: Error) -> messages.Response:
    return messages.Response(
        responses=[
            messages.DeletableTopicResult(name=name, topic_id=topic_id, error_code=error) for name, topic_id in asked
        ]
    )
