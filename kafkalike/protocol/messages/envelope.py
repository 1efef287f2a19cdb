"""Envelope: a broker hands a client's request on to the controller, with the principal that sent it (KIP-590)."""

from kafkalike.protocol.schema import Message, binary, int16

API_KEY, NAME, VERSIONS, FLEXIBLE = 58, "Envelope", (0, 0), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    request_data = binary()
    request_principal = binary(nullable="0+")
    client_host_address = binary()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    response_data = binary(nullable="0+", default=None)
    error_code = int16()
