"""The client's faces for tests that run in each of them: all are called alike, and block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor

from tests import reactor as shared

FACES = ["blocking", "twisted"]


class OnReactor:
    """A client of the Twisted face, made and called on the reactor's thread; each call waits for its Deferred."""

    def __init__(self, make: Callable[..., Any], *args: Any, **options: Any) -> None:
        self._client = shared.run(lambda: make(reactor, *args, **options))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        return (lambda *args, **kwargs: shared.run(value, *args, **kwargs)) if callable(value) else value

    def __enter__(self) -> OnReactor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def own_threads() -> list[threading.Thread]:
    """The threads of this process, without those in which the reactor looks up names."""
    return [thread for thread in threading.enumerate() if not thread.name.startswith("PoolThread")]


def admin(face: str, *args: Any, **options: Any) -> Any:
    """An Admin of this face."""
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.twisted.admin import Admin as DeferredAdmin

    return Admin(*args, **options) if face == "blocking" else OnReactor(DeferredAdmin, *args, **options)
