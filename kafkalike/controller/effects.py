"""What the controller's steps ask for (effects), and what they get.

A step is a generator: each `yield` hands an effect to the shell (controller.py), and the yield's value is the outcome.
So a step reads like the sequence it is, and yet it does no I/O: a test feeds it outcomes, and controller.py feeds it
ZooKeeper's. Nothing else of the controller runs until a step has ended.

The operations of one `Write` are independent of each other and each is fenced: it happens only while this controller's
epoch is the newest. The shell ends the step (it raises inside the generator) when it is not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

NO_NODE, NODE_EXISTS, BAD_VERSION, NOT_EMPTY, FAILED = "NoNode", "NodeExists", "BadVersion", "NotEmpty", "failed"


class Superseded(Exception):
    """A newer controller's write was found: this one is over."""


@dataclass(frozen=True, slots=True)
class Node:
    """A znode that was read. `version` of a partition's state is its partition epoch, `czxid` of a broker its epoch."""

    data: bytes | None
    version: int
    czxid: int = 0
    mzxid: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one operation: an error's name, or None and the version that the node has now."""

    error: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class CreateNode:
    """Create with null data unless given."""

    path: str
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class SetNode:
    """Set; version -1 is any."""

    path: str
    data: bytes | None
    version: int = -1


@dataclass(frozen=True, slots=True)
class DeleteNode:
    """Delete; version -1 is any. With `witness`, only while that node has that version, else NO_NODE or BAD_VERSION."""

    path: str
    version: int = -1
    witness: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Outcome: a Node, or None, for each path."""

    paths: list[str]


@dataclass(frozen=True, slots=True)
class Children:
    """Outcome: the list of names for each path, [] where there is no node."""

    paths: list[str]


@dataclass(frozen=True, slots=True)
class Write:
    """Outcome: a Written for each operation. They are sent in order."""

    operations: list[CreateNode | SetNode | DeleteNode]


@dataclass(frozen=True, slots=True)
class Pause:
    """Lets the reactor serve others before a long computation goes on. Outcome: None."""


@dataclass(frozen=True, slots=True)
class PutFeatures:
    """Makes or rewrites /feature, which is not fenced. Outcome: None."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """Rings for changes of the children of `children` and of the data or existence of `nodes` from now on: must come
    before the read that the change would otherwise slip past. Outcome: None."""

    children: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """The opposite of Listen. Outcome: None."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Opens the channel to a broker; nothing can be sent to it before. Outcome: None."""

    broker_id: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Closes the channel and drops what waits in it. Outcome: None."""

    broker_id: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Looks whether somebody listens where these brokers are. Outcome: the set of ids where nobody does."""

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AwaitAnswer:
    """Asks brokers that are presumed dead again and again; an answer comes back as an event. Outcome: None."""

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """Comes back as an event, named by its subject, after a while; `serial` says of several which. Outcome: None."""

    delay_ms: int
    subject: str
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Queues control requests, in order. Outcome: None; answers that matter come back as events of their own."""

    requests: list[tuple[int, Any]]


Effect = (
    Read
    | Children
    | Write
    | Pause
    | PutFeatures
    | Listen
    | Ignore
    | Connect
    | Disconnect
    | Probe
    | AwaitAnswer
    | Later
    | Send
)

T = TypeVar("T")
Steps = Generator[Effect, Any, T]


# Partitions that a step takes at a time. Each slice waits for ZooKeeper, and this broker serves others meanwhile.
SLICE = 500


def slices(partitions: Sequence[T]) -> Iterator[Sequence[T]]:
    """The partitions of a long list, a slice at a time."""
    for at in range(0, len(partitions), SLICE):
        yield partitions[at : at + SLICE]
