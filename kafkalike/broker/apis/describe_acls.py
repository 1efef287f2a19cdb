"""The access control entries that match a filter.

Answered by any broker. Without an authorizer there are none to describe: SECURITY_DISABLED (54), as in Kafka.
v1 pattern types; v2 flexible; v3 user resources.
"""

from __future__ import annotations

from typing import Any

from kafkalike.errors import Error, KafkaError


def describe_acls(broker: Any, call: Any) -> Any:
    """Refuses, since no authorizer is configured."""
    raise KafkaError(Error.SECURITY_DISABLED, "No Authorizer is configured on the broker")
