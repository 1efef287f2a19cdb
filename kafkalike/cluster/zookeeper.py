"""The verbs for every class of znodes (znodes/): read, write, create, list, watch.

A znode is named by its class and its key: `await read(zk, BrokerNode, 3)`. Whoever writes several of them together, or
only while another one has a certain version, says so in a multi of zk/client.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar, TypeVarTuple

from kafkalike.cluster.znodes.encoding import ReadableZnode, decode_or_none
from zk import recipes
from zk.client import NoNode, Stat, ZkClient, gather

Key = TypeVarTuple("Key")
One = TypeVar("One")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class WritableZnode(Protocol[T_contra, *Key]):
    """A class of znodes whose data brokers write."""

    def path(self, *key: *Key) -> str:
        """The znode's path."""
        ...

    def encode(self, value: T_contra, /) -> bytes:
        """The znode's data."""
        ...


class ZnodeDirectory(Protocol[*Key]):
    """A class of znodes that stand in a directory of their kind."""

    def directory(self, *key: *Key) -> str:
        """Their parent."""
        ...


class Notification(Protocol):
    """A sequential znode: its name says nothing but which came first."""

    PREFIX: str

    def directory(self) -> str:
        """The parent of all notifications of its kind."""
        ...

    def encode(self) -> bytes:
        """The notification's data."""
        ...


async def get(zk: ZkClient, znode: ReadableZnode[T, *Key], *key: *Key) -> tuple[T, Stat]:
    """Reads a znode: its value and its Stat. Raises NoNode and Garbage."""
    data, stat = await zk.get(znode.path(*key))
    return znode.decode(data, *key), stat


async def read(zk: ZkClient, znode: ReadableZnode[T, *Key], *key: *Key) -> T | None:
    """What a znode says; None when there is none, and when it holds garbage, which is logged."""
    try:
        data, _ = await zk.get(znode.path(*key))
    except NoNode:
        return None
    return decode_or_none(znode, data, *key)


async def read_each(zk: ZkClient, znode: ReadableZnode[T, One], keys: Iterable[One]) -> dict[One, T]:
    """What each of these znodes says, but for those that `read` has nothing of."""
    asked = list(keys)
    found = await gather(read(zk, znode, key) for key in asked)
    return {key: value for key, value in zip(asked, found, strict=True) if value is not None}


async def write(zk: ZkClient, znode: WritableZnode[T, *Key], value: T, *key: *Key, version: int = -1) -> Stat:
    """Sets a znode's data; NoNode, BadVersion."""
    return await zk.set(znode.path(*key), znode.encode(value), version)


async def create(zk: ZkClient, znode: WritableZnode[T, *Key], value: T, *key: *Key) -> bool:
    """Makes a znode, and its parents, unless it exists; whether it was, or may have been, this call that did."""
    return await recipes.ensure(zk, znode.path(*key), znode.encode(value))


async def notify(zk: ZkClient, notification: Notification) -> str:
    """Makes a notification; its path."""
    prefix = f"{notification.directory()}/{notification.PREFIX}"
    return await zk.create(prefix, notification.encode(), sequence=True)


async def children(zk: ZkClient, znode: ZnodeDirectory[*Key], *key: *Key) -> list[str]:
    """The names in a directory of znodes; NoNode."""
    return await zk.children(znode.directory(*key))


def watch(
    zk: ZkClient,
    znode: ReadableZnode[T, *Key],
    callback: Callable[[T | None, Stat | None], object],
    *key: *Key,
) -> recipes.DataWatch:
    """Once started, calls `callback(value, stat)` with what the znode says now and after each change; the value is None
    for garbage, both are for a znode that is not there."""

    def changed(data: bytes | None, stat: Stat | None) -> None:
        callback(None if stat is None else decode_or_none(znode, data, *key), stat)

    return recipes.DataWatch(zk, znode.path(*key), changed)


def watch_children(
    zk: ZkClient, znode: ZnodeDirectory[*Key], callback: Callable[[list[str]], object], *key: *Key
) -> recipes.ChildrenWatch:
    """Calls `callback(names)` with the names in a directory, once started, and whenever they may be others."""
    return recipes.ChildrenWatch(zk, znode.directory(*key), callback)
