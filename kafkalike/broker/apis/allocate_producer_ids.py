"""A block of producer ids for a broker.

Answered by the controller only (41 elsewhere), to registered brokers (102) under their present epoch (77).
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.coordinator.producer_ids import allocate
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import allocate_producer_ids as messages

ACCESS = (Access(Operation.CLUSTER_ACTION),)


async def allocate_producer_ids(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers with the block."""
    request = call.request
    context = broker.controller.context
    if context is None:
        raise KafkaError(Error.NOT_CONTROLLER)
    known = context.brokers.get(request.broker_id)
    if known is None:
        raise KafkaError(Error.BROKER_ID_NOT_REGISTERED)
    if known.epoch != request.broker_epoch:
        raise KafkaError(Error.STALE_BROKER_EPOCH)
    block = await allocate(broker.zk, request.broker_id)
    return messages.Response(producer_id_start=block.first, producer_id_len=block.last - block.first + 1)
