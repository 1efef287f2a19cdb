"""Znodes with which somebody orders something of the controller, and how they end. The node is deleted when the order
is carried out or refused.

When the answer to that deletion is lost, the deletion is sent again. By then somebody may have given the next order
under the same name, which must not be deleted; nor must an order that was changed after it was read. Versions tell them
apart: a new node has version 0, so the node of the order that ends is written once more, with the data that it has, and
is deleted under the version that this gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafkalike.controller.effects import DeleteNode, Node, SetNode, Steps, Write


def end_orders(read: Mapping[str, Node]) -> Steps[None]:
    """Deletes orders that are still as they were read. An order that has changed since stays: its watch tells of it."""
    yield from _end([SetNode(path, node.data, node.version) for path, node in read.items()])


def end_bare_orders(paths: Iterable[str]) -> Steps[None]:
    """Deletes orders that consist of nothing but their name."""
    yield from _end([SetNode(path, None) for path in paths])


def _end(marks: list[SetNode]) -> Steps[None]:
    if marks:
        results = yield Write(list(marks))
        marked = [(mark.path, each.version) for mark, each in zip(marks, results, strict=True) if each.error is None]
        if marked:
            yield Write([DeleteNode(path, version) for path, version in marked])
