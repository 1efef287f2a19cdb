"""A member says that it lives, and learns whether its group rebalances.

Answered by the group's coordinator. NONE, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID,
FENCED_INSTANCE_ID; while the coordinator loads its groups NONE to everybody, since old clients know no better.
v1 throttle time; v3 static members; v4 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.protocol.messages import heartbeat as messages

ACCESS = (Access(Operation.READ, Resource.GROUP, "group_id"),)


def heartbeat(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Asks the coordinator."""
    request = call.request
    error = broker.group_coordinator.heartbeat(
        request.group_id, request.generation_id, request.member_id, request.group_instance_id
    )
    return messages.Response(error_code=error)
