"""--reset-offsets of kafka-consumer-groups: where a scenario puts each partition, shown or committed."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kafkalike.cli.groups.scope import Options, chosen_groups, partitions_of

if TYPE_CHECKING:
    from kafkalike.client.admin.groups import CommittedOffset
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Partition

# What a reset would commit: group -> partition -> offset.
Plans = dict[str, dict["Partition", int]]

SCENARIOS = (
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
)


def reset(admin: Admin, options: Options) -> None:
    """Shows the new offsets, and commits them with --execute."""
    plans: Plans = {}
    refused = False
    for group_id in chosen_groups(admin, options):
        state = admin.describe_group(group_id).state
        if state not in ("Empty", "Dead"):
            refused = True
            print(
                f"\nError: Assignments can only be reset if the group '{group_id}' is inactive, but the current state "
                f"is {state}."
            )
            plans[group_id] = {}
            continue
        plans[group_id] = _plan(admin, options, group_id)
        if options["execute"]:
            admin.commit(group_id, plans[group_id])
    if options["export"]:
        _print_csv(plans, with_group=len(options["group"]) != 1)
    else:
        print(f"\n{'GROUP':<30} {'TOPIC':<30} {'PARTITION':<10} {'NEW-OFFSET':<15}")
        for group_id, plan in plans.items():
            for (topic, number), offset in sorted(plan.items()):
                print(f"{group_id:<30} {topic:<30} {number:<10} {offset:<15}")
    if refused:
        sys.exit(1)


def _print_csv(plans: Plans, with_group: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for group_id, plan in plans.items():
        for (topic, number), offset in sorted(plan.items()):
            writer.writerow([group_id, topic, number, offset] if with_group else [topic, number, offset])


def _plan(admin: Admin, options: Options, group_id: str) -> dict[Partition, int]:
    """Where the chosen scenario puts each partition of the chosen scope."""
    from kafkalike.cli.planning.iso8601 import parse_datetime, parse_duration
    from kafkalike.protocol import EARLIEST, LATEST

    committed = admin.committed(group_id)
    scope = _scope(admin, options, committed)
    if options["to-offset"] is not None:
        offset: int = options["to-offset"]
        return _within(admin, dict.fromkeys(scope, offset))
    if options["shift-by"] is not None:
        return _within(admin, _shifted(scope, committed, options["shift-by"]))
    if options["to-earliest"]:
        return _at(admin, scope, EARLIEST)
    if options["to-latest"]:
        return _at(admin, scope, LATEST)
    if options["to-datetime"] is not None:
        return _since(admin, scope, parse_datetime(options["to-datetime"]))
    if options["by-duration"] is not None:
        return _since(admin, scope, int(time.time() * 1000) - parse_duration(options["by-duration"]))
    if options["from-file"] is not None:
        return _within(admin, _from_file(options, group_id))
    current = {partition: committed[partition].offset for partition in scope if partition in committed}
    return current | _at(admin, [partition for partition in scope if partition not in committed], LATEST)


def _scope(admin: Admin, options: Options, committed: Mapping[Partition, CommittedOffset]) -> list[Partition]:
    if options["all-topics"]:
        return sorted(committed)
    scope = [partition for topic in options["topic"] if ":" in topic for partition in partitions_of(topic)]
    for topic in options["topic"]:
        if ":" not in topic:
            info = admin.describe_topics([topic])[topic]
            scope += [(topic, part.partition) for part in info.partitions]
    return scope


def _shifted(
    scope: Iterable[Partition], committed: Mapping[Partition, CommittedOffset], by: int
) -> dict[Partition, int]:
    wanted = {}
    for topic, number in scope:
        if (topic, number) not in committed:
            raise ValueError(
                f"Cannot shift offset for partition {topic}-{number} since there is no current committed offset"
            )
        wanted[topic, number] = committed[topic, number].offset + by
    return wanted


def _at(admin: Admin, scope: Iterable[Partition], timestamp: int) -> dict[Partition, int]:
    found = admin.list_offsets(dict.fromkeys(scope, timestamp))
    return {partition: at.offset for partition, at in found.items()}


def _since(admin: Admin, scope: Iterable[Partition], timestamp: int) -> dict[Partition, int]:
    """The first message since then; the end of a partition that has none."""
    from kafkalike.protocol import LATEST

    found = _at(admin, scope, timestamp)
    empty = [partition for partition, offset in found.items() if offset < 0]
    for topic, number in empty:
        print(f"\nWarn: Partition {number} from topic {topic} is empty. Falling back to latest known offset.")
    return found | _at(admin, empty, LATEST)


def _within(admin: Admin, wanted: dict[Partition, int]) -> dict[Partition, int]:
    """No further than the log goes, with a warning."""
    from kafkalike.protocol import EARLIEST, LATEST

    starts, ends = _at(admin, wanted, EARLIEST), _at(admin, wanted, LATEST)
    for (topic, number), offset in list(wanted.items()):
        start, end = starts[topic, number], ends[topic, number]
        bound, which = (end, "higher than latest") if offset > end else (start, "lower than earliest")
        if not start <= offset <= end:
            print(
                f"WARN New offset ({offset}) is {which} offset for topic partition {topic}-{number}. "
                f"Value will be set to {bound}",
                file=sys.stderr,
            )
            wanted[topic, number] = bound
    return wanted


def _from_file(options: Options, group_id: str) -> dict[Partition, int]:
    try:
        with open(options["from-file"], encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as problem:
        raise ValueError(f"{options['from-file']}: {problem.strerror}") from problem
    plan, groups = {}, set()
    for row in rows:
        group, fields = (group_id, row) if len(row) == 3 else (row[0], row[1:])
        groups.add(group)
        if len(fields) != 3 or not fields[1].strip().isdecimal() or not fields[2].strip().isdecimal():
            raise ValueError(f"{options['from-file']}: not [group,]topic,partition,offset: {','.join(row)}")
        if group == group_id:
            plan[fields[0], int(fields[1])] = int(fields[2])
    if group_id not in groups:
        print(f"\nError: No reset plan for group {group_id} found")
    return plan
