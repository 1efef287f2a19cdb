"""Replaces the whole configuration of topics and brokers; what is not named returns to its default.

Answered by any broker for topics and for all brokers together, by a broker itself for its own. Each resource is checked
by itself; see config_admin.py. v1 the same; v2 flexible.
"""

from __future__ import annotations

from kafkalike.broker import config_admin
from kafkalike.broker.access import Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.protocol.messages import alter_configs as messages

ACCESS = config_admin.access(Operation.ALTER_CONFIGS)


async def alter_configs(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Alters every resource that can be."""
    results = await config_admin.alter(broker, call, messages, lambda resource, present, keys: _named(resource))
    return messages.Response(responses=results)


def _named(resource: messages.AlterConfigsResource) -> dict[str, str]:
    return {entry.name: entry.value for entry in resource.configs}
