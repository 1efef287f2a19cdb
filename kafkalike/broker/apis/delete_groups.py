"""Removes groups: record, offsets, znodes.

Answered by each group's coordinator. NON_EMPTY_GROUP while it has members, classic consumers under `ids` included;
GROUP_ID_NOT_FOUND if there is no such group.
v1 throttle before the answer; v2 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.protocol.messages import delete_groups as messages

ACCESS = (Access(Operation.DELETE, Resource.GROUP, each="groups_names"),)


async def delete_groups(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Deletes the groups one after the other; a group that is named twice is deleted once."""
    results = [
        messages.DeletableGroupResult(group_id=group_id, error_code=await broker.group_coordinator.delete(group_id))
        for group_id in dict.fromkeys(call.request.groups_names)
    ]
    return messages.Response(results=results)
