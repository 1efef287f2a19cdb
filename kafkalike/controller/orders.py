"""Znodes with which somebody orders something of the controller, and how they end. The node is deleted when the order
is carried out or refused.

The answer to that deletion may be lost, and it is sent again; by then the next order may be there under the same name,
and must not be taken for the one before. Nor may an order that was changed since it was read. Versions tell them apart:
a new node has version 0, and the one that ends is written once more, as it is, before it is deleted under that version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafkalike.controller.effects import DeleteNode, Node, SetNode, Steps, Write


def end_orders(read: Mapping[str, Node]) -> Steps[None]:
    """Deletes orders that are still as they were read. One that is not rings again."""
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
