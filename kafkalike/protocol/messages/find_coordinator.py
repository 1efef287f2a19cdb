"""FindCoordinator: a client asks which broker coordinates a group or a transactional id.

v1   key_type: 0 group, 1 transaction; error message and throttle time in the answer
v3   flexible
v4   several keys at once (KIP-699)
v5   TRANSACTION_ABORTABLE may be answered
v6   key_type 2: share groups (KIP-932)
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 10, "FindCoordinator", (0, 6), 3


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    key = string("0-3")
    key_type = int8("1+")  # 0: group, 1: transaction, 2: share group
    coordinator_keys = array(string, "4+")


class Coordinator(Struct):
    key = string("4+")
    node_id = int32("4+")
    host = string("4+")
    port = int32("4+")
    error_code = int16("4+")
    error_message = string("4+", nullable="4+", ignorable=True)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16("0-3")
    error_message = string("1-3", nullable="1-3", ignorable=True)
    node_id = int32("0-3")
    host = string("0-3")
    port = int32("0-3")
    coordinators = array(Coordinator, "4+")
