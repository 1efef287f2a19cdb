"""Znodes under /admin are requests of tools and brokers to the controller: to delete topics, to move partitions, to
elect preferred leaders. The controller deletes such a znode here when it has carried the request out, or refused it.

When the answer to that deletion is lost, the controller sends the deletion again. By then somebody may have made the
next request under the same name, which must not be deleted; nor must a request that was changed after the controller
read it. Versions tell them apart: a new node has version 0, so the controller first writes the node once more, with the
data that it has, and deletes it under the version that this write gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafkalike.controller.effects import DeleteNode, Node, SetNode, Steps, Write


def delete_if_unchanged(read: Mapping[str, Node]) -> Steps[None]:
    """Deletes request znodes that still are as the controller read them. One that has changed since stays: its watch
    tells the controller of it."""
    yield from _delete_marked([SetNode(path, node.data, node.version) for path, node in read.items()])


def delete_names(paths: Iterable[str]) -> Steps[None]:
    """Deletes request znodes whose name is the whole request."""
    yield from _delete_marked([SetNode(path, None) for path in paths])


def _delete_marked(marks: list[SetNode]) -> Steps[None]:
    if marks:
        results = yield Write(list(marks))
        marked = [(mark.path, each.version) for mark, each in zip(marks, results, strict=True) if each.error is None]
        if marked:
            yield Write([DeleteNode(path, version) for path, version in marked])
