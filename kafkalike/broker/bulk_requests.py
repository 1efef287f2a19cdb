"""A request for many things, done a slice at a time: between two slices the reactor serves everybody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime

from zk.client import gather

T = TypeVar("T")

SLICE = 100


async def in_slices(reactor: IReactorTime, items: Iterable[T], do: Callable[[T], Awaitable[Any]]) -> list[Any]:
    """The results of `do(item)`, in order; the items of one slice are done side by side."""
    waiting = list(items)
    results: list[Any] = []
    for at in range(0, len(waiting), SLICE):
        if at:
            await task.deferLater(reactor, 0, lambda: None)
        results += await gather([do(item) for item in waiting[at : at + SLICE]])
    return results
