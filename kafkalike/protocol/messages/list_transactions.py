"""ListTransactions: an admin asks a coordinator which transactions it knows (KIP-664).

v1   duration_filter: only those that have run at least so many milliseconds (KIP-994)
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 66, "ListTransactions", (0, 1), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    state_filters = array(string)
    producer_id_filters = array(int64)
    duration_filter = int64("1+", default=-1)


class TransactionState(Struct):
    transactional_id = string()
    producer_id = int64()
    transaction_state = string()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    unknown_state_filters = array(string)
    transaction_states = array(TransactionState)
