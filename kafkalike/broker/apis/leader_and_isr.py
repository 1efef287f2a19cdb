"""The controller says who leads and who follows.

Sent by the controller to the replicas concerned. An older broker or controller epoch than ours, or one that there is
not, is refused as a whole (77, 11); then each partition by its leader epoch. Wakes whoever waits for a leadership to
come or go.
v0 flat list; v1 is_new; v2 broker epoch, by topic; v3 reassignments; v4 flexible; v5 topic ids, answers by id;
v6 recovery state; v7 is_kraft_controller.
"""

from __future__ import annotations

from kafkalike.broker import epoch_checks
from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr as messages
from zk.client import SessionExpired

ACCESS = (Access(Operation.CLUSTER_ACTION),)


async def leader_and_isr(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Hands it to the replicas. When our session ends meanwhile it was for a life that is over."""
    error = await epoch_checks.check_controller(broker, call.request)
    if error:
        return messages.Response(error_code=error)
    try:
        control_requests = broker.replication.control_requests
        response: messages.Response = await control_requests.leader_and_isr(call.request, call.version)
        return response
    except SessionExpired:
        return messages.Response(error_code=Error.STALE_BROKER_EPOCH)
