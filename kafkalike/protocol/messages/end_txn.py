"""EndTxn: a producer commits or aborts its transaction.

v2   PRODUCER_FENCED may be answered
v3   flexible
v4   TRANSACTION_ABORTABLE may be answered
"""

from kafkalike.protocol.schema import Message, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 26, "EndTxn", (0, 4), 3


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactional_id = string()
    producer_id = int64()
    producer_epoch = int16()
    committed = boolean()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
