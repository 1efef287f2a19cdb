"""kafka-consumer-groups.sh: lists, describes, rewinds and deletes consumer groups."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import (
    Command,
    Fail,
    bootstrap_server,
    command_config,
    exclusive,
    fail,
    failure_text,
    load_properties,
    text_of,
    version,
)

if TYPE_CHECKING:
    from kafkalike.client.admin.groups import CommittedOffset, Group
    from kafkalike.client.blocking.admin import Admin

Partition = tuple[str, int]
Options = Mapping[str, Any]
# What a reset would commit: group -> partition -> offset.
Plans = dict[str, dict[Partition, int]]

ACTIONS = ("list", "describe", "delete", "reset-offsets", "delete-offsets")
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
STATES = ("PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling")
TYPES = ("Consumer", "Classic", "Share")
REBALANCING = ("PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling")
ANY = "*"  # --state and --type without a value.


@click.command(
    "kafka-consumer-groups.sh",
    cls=Command,
    help="List all consumer groups, describe a group, delete group info, or reset a group's offsets.",
)
@bootstrap_server(required=False)
@command_config()
@click.option("--list", "list_", is_flag=True, help="List all consumer groups.")
@click.option("--describe", is_flag=True, help="Describe a group: members, positions and lag.")
@click.option("--delete", is_flag=True, help="Delete groups with their offsets.")
@click.option("--reset-offsets", is_flag=True, help="Set the offsets of a group without members.")
@click.option("--delete-offsets", is_flag=True, help="Delete offsets of a group.")
@click.option("--group", multiple=True, metavar="ID", help="The consumer group to act on.")
@click.option("--all-groups", is_flag=True, help="Act on all groups.")
@click.option(
    "--topic", multiple=True, metavar="TOPIC[:P,P]", help="The topic to reset or delete offsets of, with partitions."
)
@click.option("--all-topics", is_flag=True, help="Reset offsets of all topics the group has committed.")
@click.option("--offsets", is_flag=True, help="Describe offsets and lag (the default).")
@click.option("--members", is_flag=True, help="Describe the members.")
@click.option("--state", is_flag=False, flag_value=ANY, metavar="[STATES]", help="Describe, or list with, states.")
@click.option("--type", "type_", is_flag=False, flag_value=ANY, metavar="[TYPES]", help="List with types.")
@click.option("--verbose", is_flag=True, help="Show assignments too.")
@click.option("--timeout", type=int, metavar="MS", help="How long to try. [default: 5000]")
@click.option("--dry-run", is_flag=True, help="Only show what --reset-offsets would do (the default).")
@click.option("--execute", is_flag=True, help="Do it.")
@click.option("--export", is_flag=True, help="Show the result as CSV.")
@click.option("--to-offset", type=int, metavar="OFFSET", help="Reset to an offset.")
@click.option("--shift-by", type=int, metavar="N", help="Reset by N forward, or backward if negative.")
@click.option("--to-datetime", metavar="DATETIME", help="Reset to a time: YYYY-MM-DDTHH:mm:SS.sss.")
@click.option("--by-duration", metavar="DURATION", help="Reset to so long ago: PnDTnHnMnS.")
@click.option("--to-earliest", is_flag=True, help="Reset to the oldest message.")
@click.option("--to-latest", is_flag=True, help="Reset behind the newest message.")
@click.option("--to-current", is_flag=True, help="Reset to the committed offset.")
@click.option("--from-file", metavar="FILE", help="Reset to the offsets in a CSV file.")
@version
def main(**given: Any) -> None:
    """Checks the options, then runs the one action."""
    options = {name.rstrip("_").replace("_", "-"): value for name, value in given.items()}
    action = _check(options)
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.blocking.properties import admin_options
    from kafkalike.client.errors import TimedOut
    from kafkalike.errors import KafkaError

    settings = admin_options(load_properties(options["command-config"]))
    settings["default_api_timeout_ms"] = options["timeout"] or 5000
    actions: dict[str, Callable[[Admin, Options], None]] = {
        "list": list_,
        "describe": describe,
        "delete": delete,
        "reset-offsets": reset,
        "delete-offsets": delete_offsets,
    }
    try:
        with Admin(options["bootstrap-server"], **settings) as admin:
            actions[action](admin, options)
    except (KafkaError, TimedOut) as problem:
        text = f"\nError: Executing consumer group command failed due to {text_of(problem)}"
        raise Fail(text, to_stdout=True) from problem
    except ValueError as problem:
        raise Fail(str(problem)) from problem


def _check(options: dict[str, Any]) -> str:
    actions = [action for action in ACTIONS if options[action]]
    if len(actions) != 1:
        fail("Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets")
    action = actions[0]
    if not options["bootstrap-server"]:
        fail('Missing required argument "[bootstrap-server]"')
    for name, where in {
        "members": ("describe",),
        "verbose": ("describe",),
        "offsets": ("describe",),
        "state": ("describe", "list"),
        "type": ("list",),
    }.items():
        if options[name] not in (None, False) and action not in where:
            others = ", ".join(other for other in where)
            fail(f"Option(s) [{name}] are unavailable given other options on the command line ([{others}])")
    scoped = options["group"] or options["all-groups"]
    if action == "describe":
        if not scoped:
            fail("Option [describe] takes one of these options: [all-groups], [group]")
        if sum(options[name] not in (None, False) for name in ("members", "offsets", "state")) > 1:
            fail("Option [describe] takes at most one of these options: [members], [offsets], [state]")
        if options["state"] not in (None, ANY):
            fail("Option [describe] does not take a value for [state]")
    elif action == "delete":
        if not scoped:
            fail("Option [delete] takes one of these options: [group], [all-groups]")
        if options["topic"]:
            fail("The consumer does not support topic-specific offset deletion from a consumer group.")
    elif action == "delete-offsets":
        if not options["group"] or not options["topic"]:
            fail("Option [delete-offsets] takes the following options: [group], [topic]")
    elif action == "reset-offsets":
        _check_reset(options, bool(scoped))
    exclusive(options, "group", ["all-groups", "list"])
    exclusive(options, "topic", ["list", "describe"])
    return action


def _check_reset(options: dict[str, Any], scoped: bool) -> None:
    if options["dry-run"] and options["execute"]:
        fail("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
    if not options["dry-run"] and not options["execute"]:
        print(
            "WARN: No action will be performed as the --execute option is missing. In a future major release, the "
            "default behavior of this command will be to prompt the user before executing the reset rather than doing "
            "a dry run. You should add the --dry-run option explicitly if you are scripting this command and want to "
            "keep the current default behavior without prompting.",
            file=sys.stderr,
        )
    if not scoped:
        fail("Option [reset-offsets] takes one of these options: [group], [all-groups]")
    chosen = [name for name in SCENARIOS if options[name] not in (None, False)]
    if len(chosen) > 1:
        fail(f'Option "[{chosen[0]}]" can\'t be used with option "[{chosen[1]}]"')
    if not options["all-topics"] and not options["topic"] and not options["from-file"]:
        fail("One of the reset scopes should be defined: --all-topics, --topic.")
    if not chosen:
        scenarios = ", ".join(f"[{name}]" for name in SCENARIOS)
        fail(f"Option '[reset-offsets]' requires one of the following scenarios: [{scenarios}]")


def _groups(admin: Admin, options: Options) -> list[str]:
    if options["all-groups"]:
        return sorted(group.group_id for group in admin.list_groups())
    return list(dict.fromkeys(options["group"]))


# --list


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


# --describe


def describe(admin: Admin, options: Options) -> None:
    """Offsets, members or state of each group."""
    for group_id in sorted(_groups(admin, options)):
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


# --delete, --delete-offsets


def delete(admin: Admin, options: Options) -> None:
    """Deletes groups; says which could not be."""
    from kafkalike.errors import KafkaError

    failed, done = {}, []
    for group_id in _groups(admin, options):
        try:
            admin.delete_group(group_id)
            done.append(group_id)
        except KafkaError as problem:
            failed[group_id] = problem
    if not failed:
        print(f"Deletion of requested consumer groups ('{', '.join(done)}') was successful.")
        return
    print("\nError: Deletion of some consumer groups failed:")
    for group_id, reason in failed.items():
        print(f"* Group '{group_id}' could not be deleted due to: {failure_text(reason)}")
    if done:
        names = "', '".join(done)
        print(f"\nThese consumer groups were deleted successfully: '{names}'")
    sys.exit(1)


def delete_offsets(admin: Admin, options: Options) -> None:
    """Deletes offsets of some topics; says what became of each partition."""
    from kafkalike.errors import Error, KafkaError

    group_id, topics = options["group"][0], options["topic"]
    known = [partition for topic in topics if ":" in topic for partition in _partitions_of(topic)]
    results: dict[Partition, str] = {}
    for topic in topics:
        if ":" not in topic:
            try:
                info = admin.describe_topics([topic])[topic]
                known += [(topic, part.partition) for part in info.partitions]
            except KafkaError as problem:
                results[topic, -1] = f"Error: :{text_of(problem)}"
    text = f"Request succeed for deleting offsets with topic {', '.join(topics)} group {group_id}"
    failed = bool(results)
    try:
        for partition, error in admin.delete_offsets(group_id, known).items():
            results[partition] = "Successful" if error is Error.NONE else f"Error: :{error.message}"
            if error is not Error.NONE:
                failed = True
                text = "\nError: Encounter some partition level error, see the follow-up details:"
    except KafkaError as problem:
        failed = True
        text = {
            Error.INVALID_GROUP_ID: f"\nError: '{group_id}' is not valid.",
            Error.GROUP_ID_NOT_FOUND: f"\nError: '{group_id}' does not exist.",
            Error.GROUP_AUTHORIZATION_FAILED: f"\nError: Access to '{group_id}' is not authorized.",
            Error.NON_EMPTY_GROUP: f"\nError: Deleting offsets of a consumer group '{group_id}' is forbidden "
            "if the group is not empty.",
        }.get(problem.error, f"\nError: Encounter some unknown error: {text_of(problem)}")
        results.update({partition: f"Error: :{text_of(problem)}" for partition in known})
    print(text)
    print(f"\n{'TOPIC':<30} {'PARTITION':<15} {'STATUS':<15}")
    for (topic, number), result in sorted(results.items()):
        print(f"{topic:<30} {'Not Provided' if number < 0 else number:<15} {result:<15}")
    if failed:
        sys.exit(1)


# --reset-offsets


def reset(admin: Admin, options: Options) -> None:
    """Shows the new offsets, and commits them with --execute."""
    plans: Plans = {}
    refused = False
    for group_id in _groups(admin, options):
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
    scope = [partition for topic in options["topic"] if ":" in topic for partition in _partitions_of(topic)]
    for topic in options["topic"]:
        if ":" not in topic:
            info = admin.describe_topics([topic])[topic]
            scope += [(topic, part.partition) for part in info.partitions]
    return scope


def _partitions_of(argument: str) -> list[Partition]:
    topic, *rest = argument.split(":")
    if len(rest) != 1:
        raise ValueError(f"Invalid topic arg '{argument}', expected topic name and partitions")
    partitions = []
    for number in rest[0].split(","):
        if not number.isdecimal():
            raise ValueError(f"Invalid partition '{number}' specified in topic arg '{argument}'")
        partitions.append((topic, int(number)))
    return partitions


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


if __name__ == "__main__":
    main()
