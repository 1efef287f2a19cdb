"""ExpireDelegationToken: a delegation token is to expire at a given time, or at once.

v2   flexible
"""

from kafkalike.protocol.schema import Message, binary, int16, int32, int64

API_KEY, NAME, VERSIONS, FLEXIBLE = 40, "ExpireDelegationToken", (0, 2), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    hmac = binary()
    expiry_time_period_ms = int64()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    expiry_timestamp_ms = int64()
    throttle_time_ms = int32()
