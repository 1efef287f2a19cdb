"""SaslAuthenticate: one token of the mechanism that SaslHandshake agreed on, and the broker's reply to it.

v1   how long the session lasts before the client must authenticate again (KIP-368)
v2   flexible
"""

from kafkalike.protocol.schema import Message, binary, int16, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 36, "SaslAuthenticate", (0, 2), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    auth_bytes = binary()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    error_message = string(nullable="0+")
    auth_bytes = binary()
    session_lifetime_ms = int64("1+", ignorable=True)
