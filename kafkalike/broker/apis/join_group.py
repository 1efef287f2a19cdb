"""A member joins its group, and waits until the group has formed.

Answered by the group's coordinator (else NOT_COORDINATOR, or COORDINATOR_LOAD_IN_PROGRESS). Checks in order: group id,
session timeout, known member, group.max.size, protocols, instance id; then coordinator/group.py decides. The answer
comes when everybody has joined or the rebalance timeout is over; the leader's has everybody's metadata.
v0 has one timeout for both purposes; v1 rebalance timeout; v2 throttle time; v4 MEMBER_ID_REQUIRED; v5 static members;
v6 flexible; v7 protocol type, null protocol name; v8 reason; v9 skip assignment.
"""

from __future__ import annotations

import uuid

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Call
from kafkalike.coordinator.group_effects import Joined, Joining
from kafkalike.protocol.messages import join_group as messages

ACCESS = (Access(Operation.READ, Resource.GROUP, "group_id"),)


def join_group(broker: Broker, call: Call[messages.Request]) -> PendingResponse[messages.Response]:
    """Hands the member to the coordinator."""
    request, version = call.request, call.version
    joining = Joining(
        request.member_id,
        request.group_instance_id,
        call.client_id,
        call.client_host,
        request.session_timeout_ms,
        request.rebalance_timeout_ms if version >= 1 else request.session_timeout_ms,
        request.protocol_type,
        tuple((each.name, bytes(each.metadata)) for each in request.protocols),
        str(uuid.UUID(int=broker.rng.getrandbits(128), version=4)),
        version >= 4,
        version >= 9,
        request.reason,
    )

    pending: PendingResponse[messages.Response] = PendingResponse()

    def done(joined: Joined) -> None:
        # Null is "no protocol" since v7, the empty string before.
        protocol_name = joined.protocol_name or None
        pending.respond(
            messages.Response(
                error_code=joined.error,
                generation_id=joined.generation_id,
                protocol_type=joined.protocol_type,
                protocol_name=protocol_name if version >= 7 else protocol_name or "",
                leader=joined.leader,
                skip_assignment=joined.skip_assignment,
                member_id=joined.member_id,
                members=[
                    messages.JoinGroupResponseMember(member_id=member, group_instance_id=instance, metadata=metadata)
                    for member, instance, metadata in joined.members
                ],
            )
        )

    broker.group_coordinator.join(request.group_id, joining, done)
    return pending
