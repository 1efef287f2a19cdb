"""What a request names, each partition once, as Kafka keeps it: in a map.

The last of several that name one partition counts and is answered, once; a topic without partitions is not answered.
Used by the APIs where Kafka does so; others answer whatever is named as often as it is, or refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def by_topic(topics: Iterable[Any]) -> dict[str, dict[int, Any]]:
    """What the request says of each partition, by topic."""
    found: dict[str, dict[int, Any]] = {}
    for topic in topics:
        if topic.partitions:
            partitions = found.setdefault(topic.name, {})
            for each in topic.partitions:
                partitions[each.partition_index] = each
    return found
