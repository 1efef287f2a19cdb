"""A call as dispatch would make it, without a wire."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from kafkalike.errors import KafkaError
from kafkalike.protocol import messages


async def ask(broker: Any, api: str, request: Any, version: int | None = None, listener: str = "PLAINTEXT") -> Any:
    """The response as a client of that version would decode it; errors as dispatch turns them into answers."""
    module = messages.by_name(api)
    handler = __import__(f"kafkalike.broker.apis.{api}", fromlist=[api])
    version = module.VERSIONS[1] if version is None else version
    sent = module.Request.decode(version, request.encode(version))
    call = SimpleNamespace(request=sent, version=version, listener=listener, client_id="test", client_host="/::1")
    try:
        result = getattr(handler, api)(broker, call)
        if inspect.iscoroutine(result):
            result = await ensureDeferred(result)
        elif isinstance(result, Deferred):
            result = await result
    except KafkaError as error:
        failed = getattr(handler, "failed", None)
        result = failed(call, error) if failed else module.Response(error_code=error.error)
    return module.Response.decode(version, result.encode(version))
