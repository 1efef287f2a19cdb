"""SaslHandshake: TODO."""

from kafkalike.protocol.schema import NEVER, Message, array, int16, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 17, "SaslHandshake", (0, 1), NEVER


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    mechanism = string()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    mechanisms = array(string)
