"""How a blocking client has a method for steps: `list_topics = Operation(topics.list_topics)` in its class. Arguments
and result are those of the steps, for the type checker too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from kafkalike.client.blocking.loop import Loop
from kafkalike.client.effects import Steps
from kafkalike.client.routing import Routing

P = ParamSpec("P")
T = TypeVar("T")


class _Client(Protocol):
    loop: Loop


class Operation(Generic[P, T]):
    """Steps as a method that returns when they have ended."""

    def __init__(self, steps: Callable[Concatenate[Routing, P], Steps[T]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    def __get__(self, client: _Client, owner: Any) -> Callable[P, T]:
        @functools.wraps(self.steps)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.loop.run(self.steps(client.loop.routing, *args, **kwargs))

        return run
