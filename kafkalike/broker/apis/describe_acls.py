"""The access control entries that match a filter.

Answered by any broker. Without an authorizer there are none to describe: SECURITY_DISABLED (54), as in Kafka.
v1 pattern types; v2 flexible; v3 user resources.
"""

from __future__ import annotations

from typing import Any

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.request import NO_RESPONSE
from kafkalike.errors import Error, KafkaError

UNKNOWN = 0  # of resource types, pattern types, operations and permissions


ACCESS = (Access(Operation.DESCRIBE),)


def describe_acls(broker: Any, call: Any) -> Any:
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
