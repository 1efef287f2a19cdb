"""The controller's writes to ZooKeeper. Each happens only while this controller's epoch is the newest: every multi
begins with a check of the version of /controller_epoch that the controller was elected with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from kafkalike.controller import effects
from kafkalike.controller.effects import CreateNode, DeleteNode, SetNode, Superseded, Written
from zk import recipes
from zk.client import (
    BadVersion,
    Check,
    ConnectionLoss,
    Create,
    Delete,
    NodeExists,
    NoNode,
    NotEmpty,
    Set,
    TooLarge,
    ZkClient,
    gather,
)

# So many operations travel in one multi, unless they are large; each is sent by itself when one cannot be done.
GROUP = 32
GROUP_BYTES = 256 << 10

ERRORS: dict[type[Exception], str] = {
    NoNode: effects.NO_NODE,
    NodeExists: effects.NODE_EXISTS,
    BadVersion: effects.BAD_VERSION,
    NotEmpty: effects.NOT_EMPTY,
    TooLarge: effects.FAILED,
}

Operation = CreateNode | SetNode | DeleteNode


async def write(zk: ZkClient, term: recipes.Term, operations: Sequence[Operation]) -> list[Written]:
    """Sends the operations, which are independent of each other, in their order; what became of each."""
    groups = await gather(_write_group(zk, term, group) for group in _groups(operations))
    return [written for group in groups for written in group]


async def _write_group(zk: ZkClient, term: recipes.Term, operations: Sequence[Operation]) -> list[Written]:
    """Sends several operations in one multi. One that fails would fail them all, so then each is sent alone."""
    try:
        results = await zk.multi(term.guarded(*itertools.chain(*map(_parts, operations))))
        # Where there is a witness, what was asked for is the second of two.
        ends = itertools.accumulate(len(_parts(operation)) for operation in operations)
        return [Written(version=getattr(results[end], "version", 0)) for end in ends]
    except (ConnectionLoss, *ERRORS) as error:
        if not isinstance(error, ConnectionLoss) and getattr(error, "index", 0) == 0:
            raise Superseded("another controller was elected") from None
        if len(operations) == 1 and not isinstance(error, ConnectionLoss):
            return [Written(ERRORS[type(error)])]
    return await gather(_write_alone(zk, term, operation) for operation in operations)


async def _write_alone(zk: ZkClient, term: recipes.Term, operation: Operation) -> Written:
    try:
        results = await recipes.insist(lambda: zk.multi(term.guarded(*_parts(operation))))
        return Written(version=getattr(results[-1], "version", 0))
    except tuple(ERRORS) as error:
        if getattr(error, "index", 0) == 0:
            raise Superseded("another controller was elected") from None
        return Written(ERRORS[type(error)])


def _groups(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    group: list[Operation] = []
    size = 0
    for operation in operations:
        grown = size + len(getattr(operation, "data", None) or b"")
        if group and (len(group) == GROUP or grown > GROUP_BYTES):
            yield group
            group, grown = [], grown - size
        group.append(operation)
        size = grown
    if group:
        yield group


def _parts(operation: Operation) -> list[Create | Set | Delete | Check]:
    match operation:
        case CreateNode(path, data):
            return [Create(path, data)]
        case SetNode(path, data, version):
            return [Set(path, data, version)]
        case DeleteNode(path, version, witness):
            return [Delete(path, version)] if witness is None else [Check(*witness), Delete(path, version)]
