"""The reactor under pytest: it runs in one thread for the whole session, and a test that is a coroutine runs on it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import blockingCallFromThread

_running = threading.Lock()
_thread: threading.Thread | None = None


def start() -> None:
    """Starts the reactor's thread once; it ends with the process."""
    global _thread
    with _running:
        if _thread is None:
            ready = threading.Event()
            reactor.callWhenRunning(ready.set)
            _thread = threading.Thread(
                target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
            )
            _thread.start()
            ready.wait(10)


def run(function: Callable[..., Any], *args: Any, timeout: float = 110, **kwargs: Any) -> Any:
    """Calls a function or coroutine function on the reactor thread and waits for what it (or its Deferred) gives."""
    start()

    def call() -> Any:
        result = function(*args, **kwargs)
        if hasattr(result, "__await__") and not isinstance(result, Deferred):
            result = ensureDeferred(result)
        if isinstance(result, Deferred):
            result.addTimeout(timeout, reactor)
        return result

    return blockingCallFromThread(reactor, call)


def on_reactor(test: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a coroutine a test that pytest can call: `@on_reactor async def test_...(fixture): await ...`."""

    @functools.wraps(test)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(test, *args, **kwargs)

    return call


async def until(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Waits until `condition()` (a value, or a coroutine's value) is true, looking often; fails after the timeout."""
    give_up = reactor.seconds() + timeout
    while True:
        value = condition()
        if hasattr(value, "__await__"):
            value = await value
        if value:
            return value
        assert reactor.seconds() < give_up, f"not within {timeout} s: {condition}"
        await task.deferLater(reactor, 0.01)
