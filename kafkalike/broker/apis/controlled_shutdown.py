"""A broker that is about to stop asks for its leaderships to be moved away.

Answered by the controller only (41 elsewhere), to registered brokers (8); a broker epoch older than the one it is
registered under is that of an earlier life (77). Its partitions get other leaders, its replicas leave their ISRs. The
answer lists what it still leads, for want of another replica that is in sync.
v1 header with a client id; v2 broker epoch; v3 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.controller import broker_changes
from kafkalike.controller.context import Context
from kafkalike.controller.effects import Steps
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import controlled_shutdown as messages

NO_EPOCH = -1  # before version 2


ACCESS = (Access(Operation.CLUSTER_ACTION),)


async def controlled_shutdown(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers with the partitions that could not be moved."""
    request = call.request

    def steps(context: Context) -> Steps[list[tuple[str, int]]]:
        known = context.brokers.get(request.broker_id)
        if known is not None and request.broker_epoch not in (NO_EPOCH, known.epoch):
            raise KafkaError(Error.STALE_BROKER_EPOCH)
        if known is None:
            raise KafkaError(Error.BROKER_NOT_AVAILABLE)
        return (yield from broker_changes.shut_down(context, request.broker_id))

    remaining = await broker.controller.submit(steps)
    return messages.Response(
        remaining_partitions=[
            messages.RemainingPartition(topic_name=topic, partition_index=p) for topic, p in remaining
        ]
    )
