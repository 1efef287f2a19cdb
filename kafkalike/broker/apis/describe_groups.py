"""State, protocol and members of groups.

Answered by each group's coordinator. A group without members that has offsets is Empty, also when those are only in
ZooKeeper; one that nothing is known of is Dead, without an error. Metadata and assignments are shown in Stable groups.
v1 throttle time; v3 authorized operations (without an authorizer: all that exist for groups); v4 instance ids;
v5 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_groups as messages

# READ, DELETE and DESCRIBE, as bits.
ALL_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8
NOT_ASKED = -(2**31)


ACCESS = (Access(Operation.DESCRIBE, Resource.GROUP, each="groups"),)


async def describe_groups(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Asks the coordinator about each."""
    request = call.request
    operations = ALL_OPERATIONS if request.include_authorized_operations else NOT_ASKED
    return messages.Response(
        groups=[
            messages.DescribedGroup(
                error_code=each.error,
                group_id=each.group_id,
                group_state=each.state,
                protocol_type=each.protocol_type,
                protocol_data=each.protocol,
                members=[
                    messages.DescribedGroupMember(
                        member_id=member_id,
                        group_instance_id=instance_id,
                        client_id=client_id,
                        client_host=client_host,
                        member_metadata=metadata,
                        member_assignment=assignment,
                    )
                    for member_id, instance_id, client_id, client_host, metadata, assignment in each.members
                ],
                authorized_operations=operations if each.error is Error.NONE else NOT_ASKED,
            )
            for each in await broker.group_coordinator.describe(request.groups)
        ]
    )
