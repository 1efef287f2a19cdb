"""The groups that this broker coordinates.

Groups with members or a history, and groups that have offsets in ZooKeeper only (simple and classic consumers), which
are Empty and have no protocol type, as in Kafka. COORDINATOR_LOAD_IN_PROGRESS while some are still being loaded.
v1 throttle time; v3 flexible; v4 states, and a filter by them; v5 types, and a filter by them (all are "classic").
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.protocol.messages import list_groups as messages

CLASSIC = "classic"


ACCESS = (Access(Operation.DESCRIBE),)


async def list_groups(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Asks the coordinator. Filters do not look at upper and lower case."""
    states = {each.lower() for each in call.request.states_filter or ()}
    types = {each.lower() for each in call.request.types_filter or ()}
    error, listed = await broker.group_coordinator.list_groups()
    groups = [
        messages.ListedGroup(
            group_id=each.group_id, protocol_type=each.protocol_type, group_state=each.state, group_type=CLASSIC
        )
        for each in listed
        if (not states or each.state.lower() in states) and (not types or CLASSIC in types)
    ]
    return messages.Response(error_code=error, groups=groups)
