"""Which partitions are on their way to other replicas.

Answered by the controller only (41 elsewhere); without a list about all partitions. Partitions that are not on their
way, or not there at all, are left out.
v0 only.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.controller import reassignment
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import list_partition_reassignments as messages

ACCESS = (Access(Operation.DESCRIBE),)


def list_partition_reassignments(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Looks into what the controller believes."""
    request = call.request
    context = broker.controller.context
    if context is None:
        raise KafkaError(Error.NOT_CONTROLLER)
    asked = None
    if request.topics is not None:
        asked = {(topic.name, p) for topic in request.topics for p in topic.partition_indexes}
    topics: dict[str, list[messages.OngoingPartitionReassignment]] = {}
    for topic, p in reassignment.partitions_being_reassigned(context):
        if asked is None or (topic, p) in asked:
            assignment = context.assignment((topic, p))
            topics.setdefault(topic, []).append(
                messages.OngoingPartitionReassignment(
                    partition_index=p,
                    replicas=list(assignment.replicas),
                    adding_replicas=list(assignment.adding),
                    removing_replicas=list(assignment.removing),
                )
            )
    return messages.Response(
        topics=[messages.OngoingTopicReassignment(name=topic, partitions=found) for topic, found in topics.items()],
    )
