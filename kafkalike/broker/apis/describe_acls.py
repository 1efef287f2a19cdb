"""The access control entries that match a filter.

Answered by any broker. Without an authorizer there are none to describe: SECURITY_DISABLED (54), as in Kafka.
v1 pattern types; v2 flexible; v3 user resources.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import NO_RESPONSE, Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import describe_acls as messages
from kafkalike.protocol.schema import Message

UNKNOWN = 0  # of resource types, pattern types, operations and permissions


ACCESS = (Access(Operation.DESCRIBE),)


def describe_acls(broker: Broker, call: Call[messages.Request]) -> Message:
    """Refuses, since no authorizer is configured. What filters by the unknown ends its connection, as in Kafka."""
    request = call.request
    if UNKNOWN in (
        request.resource_type_filter,
        request.pattern_type_filter,
        request.operation,
        request.permission_type,
    ):
        call.connection.close()
        return NO_RESPONSE
    raise KafkaError(Error.SECURITY_DISABLED, "No Authorizer is configured on the broker")
