"""Moves partitions to other replicas, or calls a move off.

Answered by the controller only (41 elsewhere). Each partition by itself: a list that is empty, names a broker twice, a
negative or a new one that is not live (39); nothing to call off (85); unknown or being deleted (3). The answer says
that the move has begun; ListPartitionReassignments tells whether it is over.
v0 only.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.controller import reassignment
from kafkalike.errors import Error
from kafkalike.protocol.messages import alter_partition_reassignments as messages

ACCESS = (Access(Operation.ALTER),)


async def alter_partition_reassignments(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Hands it to the controller."""
    request = call.request
    wanted = {
        (topic.name, asked.partition_index): None if asked.replicas is None else tuple(asked.replicas)
        for topic in request.topics
        for asked in topic.partitions
    }
    errors = await broker.controller.submit(lambda context: reassignment.reassign(context, wanted))
    topics: dict[str, list[messages.ReassignablePartitionResponse]] = {}
    for (topic, p), error in errors.items():
        topics.setdefault(topic, []).append(
            messages.ReassignablePartitionResponse(
                partition_index=p,
                error_code=error.error if error else Error.NONE,
                error_message=error.message if error else None,
            )
        )
    return messages.Response(
        responses=[
            messages.ReassignableTopicResponse(name=topic, partitions=results) for topic, results in topics.items()
        ],
    )
