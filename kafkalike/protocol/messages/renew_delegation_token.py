"""RenewDelegationToken: a delegation token is to expire later.

v2   flexible
"""

from kafkalike.protocol.schema import Message, binary, int16, int32, int64

API_KEY, NAME, VERSIONS, FLEXIBLE = 39, "RenewDelegationToken", (0, 2), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    hmac = binary()
    renew_period_ms = int64()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    expiry_timestamp_ms = int64()
    throttle_time_ms = int32()
