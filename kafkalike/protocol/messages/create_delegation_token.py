"""CreateDelegationToken: an authenticated client asks for a secret that others may use in its name.

v2   flexible
v3   an owner other than the requester (KIP-373)
"""

from kafkalike.protocol.schema import Message, Struct, array, binary, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 38, "CreateDelegationToken", (0, 3), 2


class CreatableRenewers(Struct):
    principal_type = string()
    principal_name = string()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    owner_principal_type = string("3+", nullable="3+")
    owner_principal_name = string("3+", nullable="3+")
    renewers = array(CreatableRenewers)
    max_lifetime_ms = int64()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    principal_type = string()
    principal_name = string()
    token_requester_principal_type = string("3+")
    token_requester_principal_name = string("3+")
    issue_timestamp_ms = int64()
    expiry_timestamp_ms = int64()
    max_timestamp_ms = int64()
    token_id = string()
    hmac = binary()
    throttle_time_ms = int32()
