"""AllocateProducerIds: a broker asks the controller for a block of producer ids to give out (KIP-730)."""

from kafkalike.protocol.schema import Message, int16, int32, int64

API_KEY, NAME, VERSIONS, FLEXIBLE = 67, "AllocateProducerIds", (0, 0), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    broker_id = int32()
    broker_epoch = int64(default=-1)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    producer_id_start = int64()
    producer_id_len = int32()
