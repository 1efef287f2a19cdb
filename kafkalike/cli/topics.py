"""kafka-topics.sh: creates, lists, describes, alters and deletes topics."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import (
    Command,
    Fail,
    bootstrap_server,
    command_config,
    exclusive,
    fail,
    load_properties,
    text_of,
    version,
)
from kafkalike.cluster.topic_names import INTERNAL_TOPICS

if TYPE_CHECKING:
    from kafkalike.client.admin.configs import ConfigEntry
    from kafkalike.client.admin.replicas import OngoingReassignment
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Partition, PartitionInfo, TopicInfo

ACTIONS = ("create", "list", "alter", "describe", "delete")
REPORTS = (
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
)
NO_ID = bytes(16)


@click.command("kafka-topics.sh", cls=Command, help="Create, delete, describe, or change a topic.")
@bootstrap_server(required=False)
@command_config()
@click.option("--list", "list_", is_flag=True, help="List all available topics.")
@click.option("--create", is_flag=True, help="Create a new topic.")
@click.option("--delete", is_flag=True, help="Delete a topic.")
@click.option("--alter", is_flag=True, help="Alter the number of partitions.")
@click.option("--describe", is_flag=True, help="List details for the given topics.")
@click.option(
    "--topic",
    help="The topic to create, alter, describe or delete. Except for --create a regular expression may be given.",
)
@click.option("--topic-id", help="The id of the topic to describe.")
@click.option("--config", multiple=True, metavar="NAME=VALUE", help="A configuration override for a new topic.")
@click.option("--delete-config", multiple=True, metavar="NAME", help="Not supported with --bootstrap-server.")
@click.option("--partitions", type=int, metavar="N", help="The number of partitions of the topic.")
@click.option("--replication-factor", type=int, metavar="N", help="The replication factor of a new topic.")
@click.option(
    "--replica-assignment", metavar="B:B,B:B,...", help="The brokers of each partition, the preferred leader first."
)
@click.option("--under-replicated-partitions", is_flag=True, help="Describe only under-replicated partitions.")
@click.option("--unavailable-partitions", is_flag=True, help="Describe only partitions whose leader is not available.")
@click.option(
    "--under-min-isr-partitions", is_flag=True, help="Describe only partitions with fewer ISRs than configured."
)
@click.option(
    "--at-min-isr-partitions", is_flag=True, help="Describe only partitions with just as many ISRs as configured."
)
@click.option("--topics-with-overrides", is_flag=True, help="Describe only topics with overridden configuration.")
@click.option("--if-exists", is_flag=True, help="Do nothing if the topic does not exist.")
@click.option("--if-not-exists", is_flag=True, help="Do nothing if the topic to create exists already.")
@click.option("--exclude-internal", is_flag=True, help="Leave out internal topics.")
@click.option("--partition-size-limit-per-response", type=int, metavar="N", help="Accepted and not needed.")
@version
def main(**given: Any) -> None:
    """Checks the options, then runs the one action."""
    options = {name.rstrip("_").replace("_", "-"): value for name, value in given.items()}
    action = _check(options)
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import KafkaError

    properties = load_properties(options["command-config"])
    try:
        with Admin(options["bootstrap-server"], **admin_options(properties)) as admin:
            {"create": create, "list": list_, "alter": alter, "describe": describe, "delete": delete}[action](
                admin, options
            )
    except (KafkaError, TimedOut, ValueError) as problem:
        raise Fail(f"Error while executing topic command : {text_of(problem)}", to_stdout=True) from problem


def _check(options: dict[str, Any]) -> str:
    actions = [action for action in ACTIONS if options[action]]
    if len(actions) != 1:
        fail("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
    action = actions[0]
    if not options["bootstrap-server"]:
        fail("--bootstrap-server must be specified")
    if action == "describe" and options["if-exists"] and not options["topic"] and not options["topic-id"]:
        fail("--topic or --topic-id is required to describe a topic")
    if action not in ("list", "describe") and not options["topic"]:
        fail('Missing required argument "[topic]"')
    if action == "alter":
        if options["config"]:
            fail(
                'Option combination "[bootstrap-server],[config]" can\'t be used with option "[alter]" '
                "(the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)"
            )
        if options["partitions"] is None:
            fail('Missing required argument "[partitions]"')
    allowed = {
        "config": {"alter", "create"},
        "partitions": {"alter", "create"},
        "replication-factor": {"create"},
        "replica-assignment": {"alter", "create"},
        "if-exists": {"alter", "delete", "describe"},
        "if-not-exists": {"create"},
        "exclude-internal": {"list", "describe"},
        "topics-with-overrides": {"describe"},
        **{report: {"describe"} for report in REPORTS},
    }
    for option, where in allowed.items():
        exclusive(options, option, [other for other in ACTIONS if other not in where])
    exclusive(options, "delete-config", ["bootstrap-server"])
    if action == "create":
        exclusive(options, "replica-assignment", ["partitions", "replication-factor"])
    exclusive(options, "topics-with-overrides", REPORTS)
    for report in REPORTS:
        exclusive(options, report, [other for other in REPORTS if other != report])
    return action


# The actions.


def create(admin: Admin, options: Mapping[str, Any]) -> None:
    """--create."""
    from kafkalike.errors import Error, KafkaError

    name, factor, partitions = options["topic"], options["replication-factor"], options["partitions"]
    configs = _configs(options["config"])
    if "." in name or "_" in name:
        print(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could "
            "collide. To avoid issues it is best to use either, but not both."
        )
    if factor is not None and not 1 <= factor <= 32767:
        raise ValueError("The replication factor must be between 1 and 32767 inclusive")
    if partitions is not None and partitions < 1:
        raise ValueError("The partitions must be greater than 0")
    assignments = _assignment(options["replica-assignment"])
    try:
        admin.create_topic(name, partitions, factor, assignments=assignments, configs=configs)
    except KafkaError as problem:
        if problem.error is Error.TOPIC_ALREADY_EXISTS and options["if-not-exists"]:
            return
        raise
    print(f"Created topic {name}.")


def list_(admin: Admin, options: Mapping[str, Any]) -> None:
    """--list."""
    print("\n".join(_matching(admin.list_topics(), options)))


def alter(admin: Admin, options: Mapping[str, Any]) -> None:
    """--alter."""
    topics = admin.list_topics()
    names = _matching(topics, options)
    _demand(names, options)
    assignment = _assignment(options["replica-assignment"])
    if names:
        counts = dict.fromkeys(names, options["partitions"])
        new = None
        if assignment:
            new = {name: list(assignment.values())[len(topics[name].partitions) :] for name in names}
        admin.create_partitions(counts, new)


def delete(admin: Admin, options: Mapping[str, Any]) -> None:
    """--delete."""
    names = _matching(admin.list_topics(), options)
    _demand(names, options)
    if names:
        admin.delete_topics(names)


def describe(admin: Admin, options: Mapping[str, Any]) -> None:
    """--describe."""
    topics = admin.list_topics()
    wanted_id = _topic_id(options["topic-id"])
    if wanted_id is not None:
        names = [name for name, topic in topics.items() if topic.id == wanted_id]
        if not names and not options["if-exists"]:
            raise ValueError(f"TopicId '{options['topic-id']}' does not exist as expected")
    else:
        names = _matching(topics, options)
        _demand(names, options)
    if not names:
        return
    topics = admin.describe_topics(names)
    configs = admin.describe_configs(names)
    live = set(admin.cluster().nodes)
    moving = admin.reassignments({name: [p.partition for p in topics[name].partitions] for name in names})
    whole = not any(options[report] for report in REPORTS)
    for name in names:
        topic, config = topics[name], configs[name]
        overrides = [entry for entry in config if not entry.is_default]
        if whole and (overrides or not options["topics-with-overrides"]):
            _print_topic(topic, overrides, moving)
        if options["topics-with-overrides"]:
            continue
        for partition in topic.partitions:
            reassignment = moving.get((name, partition.partition))
            if whole or _reported(partition, config, live, options, _factor(partition, reassignment)):
                _print_partition(name, partition, reassignment)


def _print_topic(
    topic: TopicInfo, overrides: Sequence[ConfigEntry], moving: Mapping[Partition, OngoingReassignment]
) -> None:
    first = topic.partitions[0]
    shown_id = f"\tTopicId: {_text_id(topic.id)}" if topic.id != NO_ID else ""
    print(
        f"Topic: {topic.name}{shown_id}\tPartitionCount: {len(topic.partitions)}"
        f"\tReplicationFactor: {_factor(first, moving.get((topic.name, first.partition)))}"
        f"\tConfigs: {','.join(f'{entry.name}={entry.value}' for entry in overrides)}"
    )


def _print_partition(name: str, partition: PartitionInfo, reassignment: OngoingReassignment | None) -> None:
    changing = ""
    if reassignment is not None:
        changing = f"\tAdding Replicas: {_ids(reassignment.adding)}\tRemoving Replicas: {_ids(reassignment.removing)}"
    leader = partition.leader if partition.leader >= 0 else "none"
    print(
        f"\tTopic: {name}\tPartition: {partition.partition}\tLeader: {leader}\tReplicas: {_ids(partition.replicas)}"
        f"\tIsr: {_ids(partition.isr)}{changing}\tElr: N/A\tLastKnownElr: N/A"
    )


def _ids(brokers: Sequence[int]) -> str:
    return ",".join(map(str, brokers))


def _factor(partition: PartitionInfo, reassignment: OngoingReassignment | None) -> int:
    if reassignment is None:
        return len(partition.replicas)
    return len(reassignment.replicas) - len(reassignment.adding)


def _reported(
    partition: PartitionInfo, config: Sequence[ConfigEntry], live: set[int], options: Mapping[str, Any], factor: int
) -> bool:
    minimum = next((int(entry.value or 1) for entry in config if entry.name == "min.insync.replicas"), 1)
    led, in_sync = partition.leader >= 0, len(partition.isr)
    return bool(
        (options["under-replicated-partitions"] and factor > in_sync)
        or (options["unavailable-partitions"] and (not led or partition.leader not in live))
        or (options["under-min-isr-partitions"] and (not led or in_sync < minimum))
        or (options["at-min-isr-partitions"] and in_sync == minimum)
    )


def _matching(topics: Mapping[str, TopicInfo], options: Mapping[str, Any]) -> list[str]:
    """Names that --topic matches, sorted. Kafka's include lists: commas are alternatives, outer quotes are dropped."""
    pattern = None
    if options["topic"] is not None:
        text = options["topic"].strip().replace(",", "|").replace(" ", "")
        try:
            pattern = re.compile(re.sub(r"[\"']+$", "", re.sub(r"^[\"']+", "", text)))
        except re.error as problem:
            raise ValueError(f"{text} is an invalid regex.") from problem
    return sorted(
        name
        for name in topics
        if (pattern is None or pattern.fullmatch(name))
        and not (options["exclude-internal"] and name in INTERNAL_TOPICS)
    )


def _demand(names: Sequence[str], options: Mapping[str, Any]) -> None:
    if options["topic"] and not names and not options["if-exists"]:
        raise ValueError(f"Topic '{options['topic']}' does not exist as expected")


def _configs(pairs: Sequence[str]) -> dict[str, str]:
    configs = {}
    for pair in pairs:
        parts = re.split(r"\s*=\s*", pair)
        if len(parts) != 2:
            raise ValueError(
                'requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".'
            )
        configs[parts[0].strip()] = parts[1].strip()
    return configs


def _assignment(text: str | None) -> dict[int, list[int]] | None:
    if not text:
        return None
    assignment: dict[int, list[int]] = {}
    for partition, part in enumerate(text.split(",")):
        try:
            brokers = [int(broker) for broker in part.split(":")]
        except ValueError as problem:
            raise ValueError(f'For input string: "{part}"') from problem
        twice = sorted({broker for broker in brokers if brokers.count(broker) > 1})
        if twice:
            raise ValueError(f"Partition replica lists may not contain duplicate entries: {_ids(twice)}")
        assignment[partition] = brokers
        if len(brokers) != len(assignment[0]):
            raise ValueError(f"Partition {partition} has different replication factor: {brokers}")
    return assignment


def _topic_id(text: str | None) -> bytes | None:
    if not text:
        return None
    try:
        wanted = base64.urlsafe_b64decode(text + "==")
    except ValueError:
        wanted = b""
    if len(wanted) != 16:
        raise ValueError(f"Input string `{text}` decoded as {len(wanted)} bytes, which is not equal to the expected 16")
    return None if wanted == NO_ID else wanted


def _text_id(topic_id: bytes) -> str:
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


if __name__ == "__main__":
    main()
