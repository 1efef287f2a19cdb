"""The controller says who is alive and who leads what, to every broker.

Sent by the controller. An older broker or controller epoch than ours, or one that there is not, is refused (77, 11).
Partitions are merged into the image that Metadata is answered from, brokers are replaced; a full request replaces the
whole image, so that a topic whose end was missed is there no more. Wakes whoever waits for a topic to come or go. A
partition that has moved away is not served any more, though StopReplica may have been lost.
v0 one address per broker; v1 endpoints; v2 racks; v3 listener names; v4 offline replicas; v5 broker epoch, by topic;
v6 flexible; v7 topic ids; v8 is_kraft_controller and type.
"""

from __future__ import annotations

from kafkalike.broker import epoch_checks
from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.cluster.metadata import topic_states
from kafkalike.protocol.messages import update_metadata as messages

ACCESS = (Access(Operation.CLUSTER_ACTION),)


async def update_metadata(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Takes it over."""
    replication = broker.replication
    error = await epoch_checks.check_controller(broker, call.request)
    error = error or replication.control_requests.check_controller(call.request)
    if not error:
        broker.metadata.apply(call.request)
        for topic, _, states in topic_states(call.request):
            for state in states:
                replication.leadership.left_out(topic, state)
    return messages.Response(error_code=error)
