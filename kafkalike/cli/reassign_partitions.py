"""kafka-reassign-partitions.sh: moves partitions to other brokers."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import (
    Command,
    Fail,
    bootstrap_server,
    command_config,
    fail,
    failure_text,
    load_properties,
    read_file,
    version,
)
from kafkalike.cli.planning import partition_json, reassignment
from kafkalike.cli.planning.partition_json import name
from kafkalike.cli.planning.reassignment import numbers
from kafkalike.client.cluster import Partition

if TYPE_CHECKING:
    from kafkalike.client.blocking.admin import Admin

# What each action needs, and what else it allows.
NEEDS: dict[str, tuple[str, ...]] = {
    "generate": ("topics-to-move-json-file", "broker-list"),
    "execute": ("reassignment-json-file",),
    "verify": ("reassignment-json-file",),
    "cancel": ("reassignment-json-file",),
    "list": (),
}
ALLOWS: dict[str, tuple[str, ...]] = {
    "generate": ("disable-rack-aware",),
    "execute": ("additional", "throttle", "replica-alter-log-dirs-throttle", "timeout"),
    "verify": ("preserve-throttles",),
    "cancel": ("preserve-throttles", "timeout"),
    "list": (),
}
EXISTING = (
    "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a "
    "new partition assignment in addition to the existing one. The --additional flag can also be used to change the "
    "throttle by resubmitting the current reassignment."
)
MUST_VERIFY = (
    "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed."
)
NO_LOG_DIRS = (
    'Log directories other than "any" are not supported: a replica stays in the directory that its broker chose for it.'
)


class _Terse(Exception):
    """Ends the command with this text alone."""


@click.command(
    "kafka-reassign-partitions.sh", cls=Command, help="This tool helps to move topic partitions between replicas."
)
@click.option("--generate", is_flag=True, help="Propose an assignment of topics to brokers; changes nothing.")
@click.option("--execute", is_flag=True, help="Start what --reassignment-json-file says.")
@click.option("--verify", is_flag=True, help="Tell how far it is, and remove the throttles when nothing moves.")
@click.option("--cancel", is_flag=True, help="Call off what --reassignment-json-file says.")
@click.option("--list", "list_", is_flag=True, help="List every reassignment that goes on.")
@bootstrap_server(required=False)
@command_config()
@click.option(
    "--reassignment-json-file",
    metavar="FILE",
    help='{"version":1,"partitions":[{"topic":"foo","partition":1,"replicas":[1,2,3]}]}',
)
@click.option("--topics-to-move-json-file", metavar="FILE", help='{"version":1,"topics":[{"topic":"foo"}]}')
@click.option("--broker-list", metavar="ID,...", help="The brokers that --generate may use.")
@click.option("--disable-rack-aware", is_flag=True, help="Leave racks out of account with --generate.")
@click.option("--throttle", type=int, metavar="N", help="Bytes a second between brokers, with --execute.")
@click.option("--replica-alter-log-dirs-throttle", type=int, metavar="N", help="Not supported.")
@click.option("--timeout", type=int, metavar="MS", help="Accepted; only moves between log directories would wait.")
@click.option(
    "--additional", is_flag=True, help="Start this beside others that go on, or change the throttle of this one."
)
@click.option("--preserve-throttles", is_flag=True, help="Leave the throttles of topics and brokers as they are.")
@version
def main(**given: Any) -> None:
    """Checks the options, then runs the one action."""
    options = {key.rstrip("_").replace("_", "-"): value for key, value in given.items()}
    action = _check(options)
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import KafkaError

    try:
        properties = {"client.id": "reassign-partitions-tool"} | load_properties(options["command-config"])
        with Admin(options["bootstrap-server"], **admin_options(properties)) as admin:
            {"generate": generate, "execute": execute, "verify": verify, "cancel": cancel, "list": list_}[action](
                admin, options
            )
    except _Terse as problem:
        raise Fail(str(problem), to_stdout=True) from problem
    except (KafkaError, TimedOut, ValueError) as problem:
        raise Fail(f"Error: {failure_text(problem)}", to_stdout=True) from problem


def _check(options: Mapping[str, Any]) -> str:
    actions = [action for action in NEEDS if options[action]]
    if len(actions) != 1:
        fail(f"Command must include exactly one action: {', '.join('--' + action for action in NEEDS)}")
    action = actions[0]
    if not options["bootstrap-server"]:
        fail("Please specify --bootstrap-server")
    for needed in NEEDS[action]:
        if options[needed] is None:
            fail(f'Missing required argument "[{needed}]"')
    allowed = {action, *NEEDS[action], *ALLOWS[action], "bootstrap-server", "command-config"}
    for option, value in options.items():
        if value not in (None, False) and option not in allowed:
            fail(f'Option "[{option}]" can\'t be used with action "[{action}]"')
    return action


# The actions.


def generate(admin: Admin, options: Mapping[str, Any]) -> None:
    """--generate."""
    from kafkalike.controller.assignment import assign
    from kafkalike.errors import KafkaError

    brokers = [_broker_id(text) for text in options["broker-list"].split(",")]
    twice = partition_json.duplicates(brokers)
    if twice:
        raise ValueError(f"Broker list contains duplicate entries: [{', '.join(map(str, twice))}]")
    topics = partition_json.topics(read_file(options["topics-to-move-json-file"]))
    current = _assignment(admin, topics)
    racks = _racks(admin, brokers, not options["disable-rack-aware"])
    proposed: dict[Partition, Sequence[int]] = {}
    for topic in topics:
        held = {index: replicas for (owner, index), replicas in current.items() if owner == topic}
        start, shift = (random.randrange(max(len(racks), 1)) for _ in "ab")
        try:
            found = assign(racks, len(held), len(held[0]), start, shift)
        except KafkaError as problem:
            raise ValueError(problem.message) from problem  # no broker said it: Kafka's command names no class
        proposed |= {(topic, index): replicas for index, replicas in found.items()}
    print(f"Current partition replica assignment\n{partition_json.as_reassignment(current)}\n")
    print(f"Proposed partition reassignment configuration\n{partition_json.as_reassignment(proposed)}")


def execute(admin: Admin, options: Mapping[str, Any]) -> None:
    """--execute."""
    targets, directories = partition_json.reassignment(read_file(options["reassignment-json-file"]))
    proposed = reassignment.executable(targets)
    throttle = -1 if options["throttle"] is None else options["throttle"]
    if directories or options["replica-alter-log-dirs-throttle"] is not None:
        raise ValueError(NO_LOG_DIRS)
    ongoing = admin.ongoing_reassignments()
    if ongoing and not options["additional"]:
        raise _Terse(EXISTING)
    unknown = {broker for replicas in proposed.values() for broker in replicas} - set(admin.cluster().nodes)
    if unknown:
        raise ValueError(f"Unknown broker id {min(unknown)}")
    current = _assignment_of(admin, proposed)
    print(
        f"Current partition replica assignment\n\n{partition_json.as_reassignment(current)}\n\n"
        "Save this to use as the --reassignment-json-file option during rollback"
    )
    if throttle >= 0:
        print(MUST_VERIFY)
        _set_throttles(admin, reassignment.moves(ongoing, proposed, current), throttle)
    refused = admin.reassign(proposed)
    if refused:
        told = "\n".join(f"{name(p)}: {refused[p].message}" for p in sorted(refused))
        raise _Terse(f"Error reassigning partition(s):\n{told}")
    print(f"Successfully started partition reassignment{_s(proposed)} for {_names(proposed)}")


def verify(admin: Admin, options: Mapping[str, Any]) -> None:
    """--verify."""
    targets, directories = partition_json.reassignment(read_file(options["reassignment-json-file"]))
    if directories:
        raise ValueError(NO_LOG_DIRS)
    ongoing = admin.ongoing_reassignments()
    wanted = {partition for partition, _ in targets} - ongoing.keys()
    placed = _placed(admin, sorted({topic for topic, _ in wanted}))
    print("Status of partition reassignment:")
    for partition, target in sorted(dict(targets).items()):
        print(reassignment.status(partition, placed.get(partition, ()), target, partition in ongoing))
    print()
    if not ongoing and not options["preserve-throttles"]:
        _clear_throttles(admin, targets)


def cancel(admin: Admin, options: Mapping[str, Any]) -> None:
    """--cancel."""
    targets, directories = partition_json.reassignment(read_file(options["reassignment-json-file"]))
    if directories:
        raise ValueError(NO_LOG_DIRS)
    # Kafka's condition: what only adds replicas is left alone.
    active = [
        partition
        for partition, state in sorted(admin.ongoing_reassignments().items())
        if partition in dict(targets) and (not state.adding or state.removing)
    ]
    if active:
        refused = admin.reassign(dict.fromkeys(active))
        if refused:
            told = "\n".join(f"{name(p)}: {refused[p].message}" for p in sorted(refused))
            raise _Terse(f"Error cancelling partition reassignment{_s(refused)} for:\n{told}")
        print(f"Successfully cancelled partition reassignment{_s(active)} for: {_names(active)}")
    else:
        print("None of the specified partition reassignments are active.")
    print("None of the specified partition moves are active.", end="")
    if options["preserve-throttles"]:
        print()
    else:
        _clear_throttles(admin, targets)


def list_(admin: Admin, _: Mapping[str, Any]) -> None:
    """--list."""
    ongoing = admin.ongoing_reassignments()
    if not ongoing:
        print("No partition reassignments found.")
        return
    print("Current partition reassignments:")
    for partition, state in sorted(ongoing.items()):
        print(reassignment.listed(partition, state))


# What they share.


def _set_throttles(admin: Admin, planned: Mapping[Partition, reassignment.Move], rate: int) -> None:
    from kafkalike.client.admin.configs import BROKER, TOPIC

    leaders, followers = reassignment.leader_throttles(planned), reassignment.follower_throttles(planned)
    admin.alter_configs(
        {
            (TOPIC, topic): {
                reassignment.LEADER_REPLICAS: leaders[topic],
                reassignment.FOLLOWER_REPLICAS: followers[topic],
            }
            for topic in leaders
        }
    )
    rates: dict[str, str | None] = {reassignment.LEADER_RATE: str(rate), reassignment.FOLLOWER_RATE: str(rate)}
    admin.alter_configs({(BROKER, str(broker)): rates for broker in reassignment.moving_brokers(planned)})
    print(f"The inter-broker throttle limit was set to {rate} B/s")


def _clear_throttles(admin: Admin, targets: Sequence[tuple[Partition, Sequence[int]]]) -> None:
    """Clears the throttles of all brokers and of the topics named, as it is not known any more which brokers took
    part."""
    from kafkalike.client.admin.configs import BROKER, TOPIC

    brokers = sorted(set(admin.cluster().nodes) | {broker for _, replicas in targets for broker in replicas})
    print(f"Clearing broker-level throttles on broker{_s(brokers)} {numbers(brokers)}")
    admin.alter_configs({(BROKER, str(broker)): dict.fromkeys(reassignment.BROKER_THROTTLES) for broker in brokers})
    topics = sorted({topic for (topic, _), _ in targets})
    print(f"Clearing topic-level throttles on topic{_s(topics)} {','.join(topics)}")
    admin.alter_configs({(TOPIC, topic): dict.fromkeys(reassignment.TOPIC_THROTTLES) for topic in topics})


def _placed(admin: Admin, topics: Sequence[str]) -> dict[Partition, tuple[int, ...]]:
    """The replicas of those of the topics that exist."""
    found = admin.cluster(topics).topics if topics else {}
    return {(topic, p.partition): p.replicas for topic in topics for p in found[topic].partitions}


def _assignment(admin: Admin, topics: Sequence[str]) -> dict[Partition, tuple[int, ...]]:
    """The replicas of topics, which must exist."""
    placed = _placed(admin, topics)
    for topic in topics:
        if (topic, 0) not in placed:
            raise _unknown(f"Topic {topic} not found.")
    return placed


def _assignment_of(admin: Admin, partitions: Collection[Partition]) -> dict[Partition, tuple[int, ...]]:
    placed = _assignment(admin, sorted({topic for topic, _ in partitions}))
    missing = sorted(set(partitions) - placed.keys())
    if missing:
        raise _unknown(f"Unable to find partition: {', '.join(map(name, missing))}")
    return {partition: placed[partition] for partition in partitions}


def _racks(admin: Admin, brokers: Sequence[int], aware: bool) -> dict[int, str | None]:
    nodes = admin.cluster().nodes
    racks = {broker: nodes[broker].rack if aware else None for broker in brokers if broker in nodes}
    if len({rack is None for rack in racks.values()}) > 1:
        raise ValueError(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica "
            "assignment without rack information."
        )
    return racks


def _unknown(message: str) -> Exception:
    from kafkalike.errors import Error, KafkaError

    return KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, message)


def _broker_id(text: str) -> int:
    try:
        return int(text)
    except ValueError as problem:
        raise ValueError(f'For input string: "{text}"') from problem


def _names(partitions: Collection[Partition]) -> str:
    return ",".join(map(name, sorted(partitions)))


def _s(items: Collection[Any]) -> str:
    return "" if len(items) == 1 else "s"


if __name__ == "__main__":
    main()
