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

from kafkalike.protocol.messages import (
    leader_and_isr,
    list_offsets,
    offset_for_leader_epoch,
    stop_replica,
    update_metadata,
)

NO_NODE, NODE_EXISTS, BAD_VERSION, NOT_EMPTY, FAILED = "NoNode", "NodeExists", "BadVersion", "NotEmpty", "failed"


Request = (
    leader_and_isr.Request
    | update_metadata.Request
    | stop_replica.Request
    | list_offsets.Request
    | offset_for_leader_epoch.Request
)


class Superseded(Exception):
    """Another controller has been elected: this controller's term is over."""


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
    """Creates a znode, with null data unless given."""

    path: str
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class SetNode:
    """Sets a znode's data; version -1 is any."""

    path: str
    data: bytes | None
    version: int = -1


@dataclass(frozen=True, slots=True)
class DeleteNode:
    """Deletes a znode; version -1 is any. With `witness` (path, version), only while that other znode has that version,
    else NO_NODE or BAD_VERSION."""

    path: str
    version: int = -1
    witness: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Reads znodes. Outcome: a Node, or None, for each path."""

    paths: list[str]


@dataclass(frozen=True, slots=True)
class Children:
    """Lists the children of znodes. Outcome: the names for each path, [] where there is no znode."""

    paths: list[str]


@dataclass(frozen=True, slots=True)
class Write:
    """Sends operations in order. Outcome: a Written for each."""

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
    """Watches the children of `children`, and the data and existence of `nodes`, from now on: a change becomes an
    event. Steps must listen before they read, or they miss a change in between. Outcome: None."""

    children: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """Ends the watches of `Listen`. Outcome: None."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Opens the queue of requests to a broker; before that nothing can be sent to it. Outcome: None."""

    broker_id: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Closes the queue of requests to a broker and drops those that wait. Outcome: None."""

    broker_id: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Tries the addresses of brokers. Outcome: the ids of those at whose address nobody listens."""

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AwaitAnswer:
    """Asks brokers that are presumed dead again and again; an answer becomes an event. Outcome: None."""

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """Becomes an event after a while; `subject` says which steps follow, and `serial` for which of several reminders.
    Outcome: None."""

    delay_ms: int
    subject: str
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Queues control requests, in order. Outcome: None; responses that matter become events."""

    requests: list[tuple[int, Request]]


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


# How many partitions a step takes at a time. Each slice waits for ZooKeeper, and this broker serves clients meanwhile.
SLICE = 500


def slices(partitions: Sequence[T]) -> Iterator[Sequence[T]]:
    """The partitions of a long list, a slice at a time."""
    for at in range(0, len(partitions), SLICE):
        yield partitions[at : at + SLICE]
