"""Which APIs are served, in which versions.

Answered by any broker, before anything else is known about the client. A version that we do not have is answered as
version 0 with error 35 and the versions of this API (in `dispatch`), so that the client can choose another.
v0 the list; v1 and v2 throttle time; v3 the client's name and version, features; v4 features from version 0.
"""

from __future__ import annotations

import re

from kafkalike.broker.access import Access
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import api_versions as messages

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


ACCESS: tuple[Access, ...] = ()


def api_versions(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers with the list; INVALID_REQUEST when the client's name or version is not as KIP-511 wants it."""
    request = call.request
    if call.version >= 3 and not (
        _SOFTWARE.fullmatch(request.client_software_name) and _SOFTWARE.fullmatch(request.client_software_version)
    ):
        raise KafkaError(Error.INVALID_REQUEST)
    return messages.Response(api_keys=broker.api_versions)


def failed(call: Call[messages.Request], error: KafkaError) -> messages.Response:
    """An empty list with the error."""
    return messages.Response(error_code=error.error)
