"""InitProducerId: a producer asks for its id and epoch; with a transactional id, older producers are fenced by it.

v2   flexible
v3   producer_id and producer_epoch: a producer may ask for its own next epoch (KIP-360)
v4   PRODUCER_FENCED may be answered
v5   TRANSACTION_ABORTABLE may be answered
"""

from kafkalike.protocol.schema import Message, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 22, "InitProducerId", (0, 5), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactional_id = string(nullable="0+")
    transaction_timeout_ms = int32()
    producer_id = int64("3+", default=-1)
    producer_epoch = int16("3+", default=-1)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32(ignorable=True)
    error_code = int16()
    producer_id = int64(default=-1)
    producer_epoch = int16()
