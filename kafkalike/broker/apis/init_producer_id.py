"""A producer id for an idempotent producer.

Answered by any broker, from its block of ids. Without a transactional id every request gets a new id with epoch 0;
a transactional id needs a transaction coordinator, which this broker does not have yet.
v2 flexible; v3 a producer may name the id and epoch that it has; v4 PRODUCER_FENCED; v5 TRANSACTION_ABORTABLE.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import init_producer_id as messages

ACCESS = (
    Access(Operation.WRITE, Resource.TRANSACTIONAL_ID, "transactional_id"),
    Access(Operation.IDEMPOTENT_WRITE, when=lambda request: request.transactional_id is None),
)


async def init_producer_id(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers with a new id."""
    request = call.request
    if request.transactional_id is not None:
        if not request.transactional_id or (request.producer_id == -1) != (request.producer_epoch == -1):
            raise KafkaError(Error.INVALID_REQUEST)
        raise KafkaError(Error.UNSUPPORTED_VERSION, "Transactions are not served yet.")
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        raise KafkaError(Error.INVALID_REQUEST)
    return messages.Response(producer_id=await broker.producer_ids.next(), producer_epoch=0)


def failed(call: Call[messages.Request], error: KafkaError) -> messages.Response:
    """An answer without an id."""
    return messages.Response(error_code=error.error, producer_id=-1, producer_epoch=-1)
