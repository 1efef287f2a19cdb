"""kafka-consumer-groups.sh: lists, describes, rewinds and deletes consumer groups."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.groups.description import ANY, describe, list_
from kafkalike.cli.groups.offset_reset import SCENARIOS, reset
from kafkalike.cli.groups.scope import Options, chosen_groups, partitions_of
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
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Partition

ACTIONS = ("list", "describe", "delete", "reset-offsets", "delete-offsets")


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
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
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


def delete(admin: Admin, options: Options) -> None:
    """Deletes groups; says which could not be."""
    from kafkalike.errors import KafkaError

    failed, done = {}, []
    for group_id in chosen_groups(admin, options):
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
    known = [partition for topic in topics if ":" in topic for partition in partitions_of(topic)]
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


if __name__ == "__main__":
    main()
