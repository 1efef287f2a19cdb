"""A member asks for its assignment; the leader brings everybody's.

Answered by the group's coordinator, when the leader's assignment is durable in __consumer_offsets. Errors: unknown
member, other generation, INCONSISTENT_GROUP_PROTOCOL when the named protocol is not the group's, REBALANCE_IN_PROGRESS.
v1 throttle time; v3 static members; v4 flexible; v5 protocol type and name, which are then mandatory.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Call
from kafkalike.coordinator.group_effects import Synced
from kafkalike.errors import Error
from kafkalike.protocol.messages import sync_group as messages

ACCESS = (Access(Operation.READ, Resource.GROUP, "group_id"),)


def sync_group(broker: Broker, call: Call[messages.Request]) -> messages.Response | PendingResponse[messages.Response]:
    """Hands the assignments to the coordinator."""
    request = call.request
    if call.version >= 5 and (request.protocol_type is None or request.protocol_name is None):
        return messages.Response(error_code=Error.INCONSISTENT_GROUP_PROTOCOL, assignment=b"")

    pending: PendingResponse[messages.Response] = PendingResponse()

    def done(synced: Synced) -> None:
        pending.respond(
            messages.Response(
                error_code=synced.error,
                protocol_type=synced.protocol_type,
                protocol_name=synced.protocol_name,
                assignment=synced.assignment,
            )
        )

    broker.group_coordinator.sync(
        request.group_id,
        request.generation_id,
        request.member_id,
        request.group_instance_id,
        request.protocol_type,
        request.protocol_name,
        {each.member_id: bytes(each.assignment) for each in request.assignments},
        done,
    )
    return pending
