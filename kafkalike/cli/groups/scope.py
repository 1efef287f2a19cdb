"""Which groups and partitions the options of kafka-consumer-groups name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Partition

Options = Mapping[str, Any]


def chosen_groups(admin: Admin, options: Options) -> list[str]:
    """Those of --group, or all of them."""
    if options["all-groups"]:
        return sorted(group.group_id for group in admin.list_groups())
    return list(dict.fromkeys(options["group"]))


def partitions_of(argument: str) -> list[Partition]:
    """The partitions that an argument TOPIC:P,P names."""
    topic, *rest = argument.split(":")
    if len(rest) != 1:
        raise ValueError(f"Invalid topic arg '{argument}', expected topic name and partitions")
    partitions = []
    for number in rest[0].split(","):
        if not number.isdecimal():
            raise ValueError(f"Invalid partition '{number}' specified in topic arg '{argument}'")
        partitions.append((topic, int(number)))
    return partitions
