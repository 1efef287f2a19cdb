"""--list and --describe of kafka-consumer-groups: groups, their offsets, members and states as tables."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kafkalike.cli.groups.scope import Options, chosen_groups

if TYPE_CHECKING:
    from kafkalike.client.admin.groups import Group
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Partition

STATES = ("PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling")
TYPES = ("Consumer", "Classic", "Share")
REBALANCING = ("PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling")
ANY = "*"  # --state and --type without a value.


def list_(admin: Admin, options: Options) -> None:
    """Names; with --state or --type a table."""
    states = _chosen(options["state"], STATES, "state")
    types = _chosen(options["type"], TYPES, "types")
    groups = sorted(admin.list_groups(states, types), key=lambda group: group.group_id)
    if options["state"] is None and options["type"] is None:
        for group in groups:
            print(group.group_id)
        return
    width = max([15, *(len(group.group_id) for group in groups)]) + 10
    rows = [("GROUP", "TYPE", "STATE")]
    rows += [(g.group_id, g.type.capitalize() or "Unknown", g.state or "Unknown") for g in groups]
    for name, kind, state in rows:
        line = f"{name:<{width}}"
        if options["type"] is not None:
            line += f" {kind:<20}"
        if options["state"] is not None:
            line += f" {state:<20}"
        print(line)


def _chosen(text: str | None, valid: Sequence[str], what: str) -> list[str]:
    if text in (None, ANY):
        return []
    known = {name.lower().replace("_", ""): name for name in valid}
    wanted = [known.get(part.strip().lower().replace("_", "")) for part in (text or "").split(",")]
    if None in wanted:
        raise ValueError(f"Invalid {what} list '{text}'. Valid {what.rstrip('s')}s are: {', '.join(valid)}")
    return [name for name in wanted if name]


def describe(admin: Admin, options: Options) -> None:
    """Offsets, members or state of each group."""
    for group_id in sorted(chosen_groups(admin, options)):
        group = admin.describe_group(group_id)
        if options["members"]:
            _describe_members(group, options["verbose"])
        elif options["state"] is not None:
            if _shown(group, 1):
                _describe_state(group)
        else:
            _describe_offsets(admin, group)


def _shown(group: Group, rows: int) -> bool:
    """Says what there is to say about the state; whether a table is to follow."""
    if group.state == "Dead":
        print(f"\nError: Consumer group '{group.group_id}' does not exist.")
        return False
    sys.stdout.flush()
    if group.state == "Empty":
        print(f"\nConsumer group '{group.group_id}' has no active members.", file=sys.stderr)
    elif group.state in REBALANCING:
        print(f"\nWarning: Consumer group '{group.group_id}' is rebalancing.", file=sys.stderr)
    sys.stderr.flush()
    return rows > 0


def _describe_offsets(admin: Admin, group: Group) -> None:
    committed = admin.committed(group.group_id) if group.state != "Dead" else {}
    owners: dict[Partition, tuple[str, str, str]] = {}
    for member in sorted(group.members, key=lambda member: -len(member.partitions)):
        for partition in sorted(member.partitions):
            owners[partition] = (member.member_id, member.host, member.client_id)
    for partition in sorted(committed):
        owners.setdefault(partition, ("-", "-", "-"))
    ends = _ends(admin, owners)
    rows = []
    for (topic, number), owner in owners.items():
        at = committed.get((topic, number))
        end = ends.get((topic, number))
        lag = "-" if at is None or end is None else end - at.offset
        rows.append(
            (group.group_id, topic, number, "-" if at is None else at.offset, "-" if end is None else end, lag, *owner)
        )
    if not _shown(group, len(rows)):
        return
    names = ("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST")
    widths = [_width(rows, 0), _width(rows, 1), 10, 15, 15, 15, _width(rows, 6), _width(rows, 7)]
    print()
    for row in ((*names, "CLIENT-ID"), *rows):
        print(" ".join([*(f"{cell!s:<{width}}" for cell, width in zip(row, widths, strict=False)), str(row[8])]))


def _ends(admin: Admin, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """Log ends; without those of topics that no longer exist."""
    from kafkalike.errors import KafkaError
    from kafkalike.protocol import LATEST

    ends = {}
    topics: dict[str, list[Partition]] = {}
    for partition in partitions:
        topics.setdefault(partition[0], []).append(partition)
    for wanted in topics.values():
        try:
            found = admin.list_offsets(dict.fromkeys(wanted, LATEST))
        except KafkaError:
            continue
        ends.update({partition: at.offset for partition, at in found.items()})
    return ends


def _width(rows: Collection[Sequence[Any]], column: int, least: int = 15) -> int:
    return max([least, *(len(str(row[column])) for row in rows)])


def _describe_members(group: Group, verbose: bool) -> None:
    rows = [
        (group.group_id, m.member_id, m.group_instance_id or "", m.host, m.client_id, len(m.partitions))
        for m in group.members
    ]
    if not _shown(group, len(rows)):
        return
    static = any(row[2] for row in rows)
    widths = [_width(rows, 0), _width(rows, 1), _width(rows, 2, 17), _width(rows, 3), _width(rows, 4), 15]
    names = ("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS")
    last = ["ASSIGNMENT", *(_ranges(member.partitions) for member in group.members)]
    print()
    for row, assignment in zip((names, *rows), last, strict=True):
        cells = [
            f"{cell!s:<{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            if static or index != 2
        ]
        print(" ".join(cells) + " " + (assignment if verbose else ""))


def _ranges(partitions: Iterable[Partition]) -> str:
    by_topic: dict[str, list[int]] = {}
    for topic, number in partitions:
        by_topic.setdefault(topic, []).append(number)
    if not by_topic:
        return "-"
    return ", ".join(f"{topic}({','.join(map(str, sorted(numbers)))})" for topic, numbers in sorted(by_topic.items()))


def _describe_state(group: Group) -> None:
    node = group.coordinator
    coordinator = f"{node.host}:{node.port}  ({node.id})"
    width = max(25, len(coordinator))
    print()
    for row in (
        ("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"),
        (group.group_id, coordinator, group.protocol, group.state, len(group.members)),
    ):
        print(f"{row[0]:<{width}} {row[1]:<25} {row[2]:<20} {row[3]:<15} {row[4]}")
