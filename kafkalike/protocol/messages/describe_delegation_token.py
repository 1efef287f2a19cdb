"""DescribeDelegationToken: an admin asks for the delegation tokens of some owners, or all that it may see.

v2   flexible
v3   who asked for the token (KIP-373)
"""

from kafkalike.protocol.schema import Message, Struct, array, binary, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 41, "DescribeDelegationToken", (0, 3), 2


class DescribeDelegationTokenOwner(Struct):
    principal_type = string()
    principal_name = string()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    owners = array(DescribeDelegationTokenOwner, nullable="0+")


class DescribedDelegationTokenRenewer(Struct):
    principal_type = string()
    principal_name = string()


class DescribedDelegationToken(Struct):
    principal_type = string()
    principal_name = string()
    token_requester_principal_type = string("3+")
    token_requester_principal_name = string("3+")
    issue_timestamp = int64()
    expiry_timestamp = int64()
    max_timestamp = int64()
    token_id = string()
    hmac = binary()
    renewers = array(DescribedDelegationTokenRenewer)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    tokens = array(DescribedDelegationToken)
    throttle_time_ms = int32()
