"""Members leave their group; an administrator may remove static members by their instance id.

Answered by the group's coordinator. The group rebalances without waiting for a session timeout.
v0-2 one member, whose error is the answer's; v1 throttle time; v3 several members, each with its error; v4 flexible;
v5 reason.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Call
from kafkalike.coordinator.group_effects import Left
from kafkalike.errors import Error
from kafkalike.protocol.messages import leave_group as messages

ACCESS = (Access(Operation.READ, Resource.GROUP, "group_id"),)


def leave_group(broker: Broker, call: Call[messages.Request]) -> PendingResponse[messages.Response]:
    """Hands the members to the coordinator."""
    request, version = call.request, call.version
    if version >= 3:
        leaving = [(each.member_id, each.group_instance_id, each.reason) for each in request.members]
    else:
        leaving = [(request.member_id, None, None)]

    pending: PendingResponse[messages.Response] = PendingResponse()

    def done(left: Left) -> None:
        if version < 3:
            pending.respond(messages.Response(error_code=left.error or left.members[0][2]))
            return
        members = [
            messages.MemberResponse(member_id=member, group_instance_id=instance, error_code=error)
            for member, instance, error in left.members
        ]
        pending.respond(messages.Response(error_code=left.error, members=members if left.error is Error.NONE else []))

    broker.group_coordinator.leave(request.group_id, leaving, done)
    return pending
