"""The controller says to stop following partitions, and which of them to delete.

Sent by the controller. An older broker or controller epoch than ours, or one that there is not, is refused as a whole
(77, 11), a partition whose leader epoch is older than ours by itself (74), unless its topic is being deleted (leader
epoch -2).
v0 one flag for all; v1 broker epoch, by topic; v2 flexible; v3 leader epoch and flag per partition;
v4 is_kraft_controller.
"""

from __future__ import annotations

from twisted.internet import defer

from kafkalike.broker import epoch_checks
from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.protocol.messages import stop_replica as messages

ACCESS = (Access(Operation.CLUSTER_ACTION),)


async def stop_replica(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Hands it to the replicas."""
    error = await epoch_checks.check_controller(broker, call.request)
    if error:
        return messages.Response(error_code=error)
    return await defer.maybeDeferred(broker.replication.control_requests.stop_replica, call.request)
