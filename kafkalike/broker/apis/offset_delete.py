"""Removes committed offsets of a group.

Answered by the group's coordinator. UNKNOWN_TOPIC_OR_PARTITION for partitions that do not exist,
GROUP_SUBSCRIBED_TO_TOPIC for topics that a member of a consumer group reads; for the whole group GROUP_ID_NOT_FOUND,
and NON_EMPTY_GROUP if it has members and is no consumer group.
v0 only.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.distinct_partitions import by_topic
from kafkalike.broker.request import Call
from kafkalike.errors import Error
from kafkalike.protocol.messages import offset_delete as messages

ACCESS = (
    Access(Operation.DELETE, Resource.GROUP, "group_id"),
    Access(Operation.READ, Resource.TOPIC, "name", "topics"),
)


async def offset_delete(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Asks the coordinator about the partitions that exist."""
    request, image = call.request, broker.metadata.image
    named = by_topic(request.topics)
    asked = [(topic, index) for topic, partitions in named.items() for index in partitions]
    known = [key for key in asked if image.partition(*key) is not None]
    errors = await broker.group_coordinator.delete_offsets(request.group_id, known)
    return messages.Response(
        topics=[
            messages.OffsetDeleteResponseTopic(
                name=topic,
                partitions=[
                    messages.OffsetDeleteResponsePartition(
                        partition_index=index,
                        error_code=errors.get((topic, index), Error.UNKNOWN_TOPIC_OR_PARTITION),
                    )
                    for index in partitions
                ],
            )
            for topic, partitions in named.items()
        ]
    )
