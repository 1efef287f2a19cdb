"""Heartbeat: a member says that it lives, and learns whether the group rebalances.

v1   throttle time in the answer
v3   group_instance_id (KIP-345)
v4   flexible
"""

from kafkalike.protocol.schema import Message, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 12, "Heartbeat", (0, 4), 4


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    generation_id = int32()
    member_id = string()
    group_instance_id = string("3+", nullable="3+", default=None)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16()
