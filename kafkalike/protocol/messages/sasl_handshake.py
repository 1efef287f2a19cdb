"""SaslHandshake: the first step of authentication; the client names the mechanism it will use.

v0   the mechanism's tokens follow bare, without Kafka's headers
v1   they follow in SaslAuthenticate requests
"""

from kafkalike.protocol.fields import NEVER
from kafkalike.protocol.schema import Message, array, int16, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 17, "SaslHandshake", (0, 1), NEVER


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    mechanism = string()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    mechanisms = array(string)
