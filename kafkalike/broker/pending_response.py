"""A response that will be there later: what a handler returns when it cannot answer yet.

It is awaitable, as a Deferred is, and costs less: requests that wait (Fetch, Produce with acks=all, the group's) are
many. Who has the response calls `respond`, once, perhaps before anybody has asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

R = TypeVar("R")


class PendingResponse(Generic[R]):
    """The response to one request."""

    __slots__ = ("_response", "_then")

    def __init__(self) -> None:
        self._response: R | None = None
        self._then: Callable[[R], object] | None = None

    def respond(self, response: R) -> None:
        """The response is there. Only the first one counts."""
        if self._response is None:
            self._response = response
            if self._then is not None:
                self._then(response)

    def then(self, receive: Callable[[R], object]) -> None:
        """Hands the response to `receive`, now or as soon as it is there."""
        self._then = receive
        if self._response is not None:
            receive(self._response)

    def __await__(self) -> Generator[Deferred[R], None, R]:
        response: Deferred[R] = Deferred()
        self.then(response.callback)
        return (yield from response.__await__())
