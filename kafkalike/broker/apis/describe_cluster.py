"""The cluster's id, its controller and its brokers.

Answered by any broker, from its image; brokers are shown as in Metadata.
v1 says which kind of endpoint it wants: 1 brokers, which these are, 2 controllers, which only KRaft has.
"""

from __future__ import annotations

from kafkalike.broker.access import Access
from kafkalike.broker.apis.metadata import CLUSTER_OPERATIONS, endpoints_on
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_cluster as messages

BROKERS, CONTROLLERS = 1, 2


ACCESS: tuple[Access, ...] = ()


def describe_cluster(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers."""
    request = call.request
    if request.endpoint_type == CONTROLLERS:
        return messages.Response(
            error_code=Error.MISMATCHED_ENDPOINT_TYPE,
            error_message="The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type "
            "CONTROLLER",
        )
    if request.endpoint_type != BROKERS:
        return messages.Response(
            error_code=Error.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"Unsupported endpoint type {request.endpoint_type}",
        )
    image = broker.metadata.image
    brokers = [
        messages.DescribeClusterBroker(broker_id=known.id, host=host, port=port, rack=known.rack)
        for known, host, port in endpoints_on(image, call.listener)
    ]
    shown = {known.broker_id for known in brokers}
    response = messages.Response(
        cluster_id=image.cluster_id,
        controller_id=image.controller_id if image.controller_id in shown else -1,
        brokers=brokers,
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response
