"""A leader asks for another ISR of its partitions.

Answered by the controller only (41 elsewhere), to live brokers under their present epoch (77). Then each partition by
itself, in this order: unknown (3, 100); newer epochs than ours (41); an older leader epoch (74); nothing to change;
an older partition epoch (95); a recovery or a member that cannot be (42); a member that is not live, is leaving, or
was started anew since it caught up (107, before version 2: 55). What was written is told to every broker.
v1 recovery state; v2 topic ids; v3 broker epochs of the members.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.controller import isr
from kafkalike.protocol.messages import alter_partition as messages

ACCESS = (Access(Operation.CLUSTER_ACTION),)


def alter_partition(broker: Broker, call: Call[messages.Request]) -> Deferred[messages.Response]:
    """Hands it to the controller."""
    return broker.controller.submit(lambda context: isr.alter(context, call.request, call.version))
