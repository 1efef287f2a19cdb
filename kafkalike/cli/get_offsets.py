"""kafka-get-offsets.sh: the offsets of partitions, the first, the last, or those of a time."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import Command, Fail, failure_text, load_properties, text_of, version
from kafkalike.cli.planning.partition_json import name
from kafkalike.client.cluster import Partition
from kafkalike.cluster.topic_names import INTERNAL_TOPICS

if TYPE_CHECKING:
    from kafkalike.client.blocking.admin import Admin

TIMES = {"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5}
TIMES_TEXT = (
    "-1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified "
    "long format timestamp"
)
RULE = re.compile(r"([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?")

Filter = Callable[[Partition], bool]


@click.command("kafka-get-offsets.sh", cls=Command, help="An interactive shell for getting topic-partition offsets.")
@click.option("--bootstrap-server", metavar="HOST:PORT,...", help="The server(s) to connect to.")
@click.option("--broker-list", metavar="HOST:PORT,...", help="DEPRECATED, use --bootstrap-server instead.")
@click.option("--topic", help="The topic, or a regular expression for topics; all without it.")
@click.option("--partitions", metavar="N,...", help="Only these partitions.")
@click.option(
    "--topic-partitions",
    metavar="topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
    help="Patterns: a regular expression for the topic, then a partition, or a range without its end.",
)
@click.option("--time", default="latest", metavar="TIME", help=f"{TIMES_TEXT}.")
@click.option("--command-config", metavar="FILE", help="Properties for the client.")
@click.option("--exclude-internal-topics", is_flag=True, help="Leave out internal topics.")
@version
def main(**given: Any) -> None:
    """Checks the options, then asks the leaders."""
    options = {key.replace("_", "-"): value for key, value in given.items()}
    from kafkalike.client.errors import TimedOut
    from kafkalike.errors import KafkaError

    try:
        _show(options)
    except (KafkaError, TimedOut, ValueError) as problem:
        raise Fail(f"Error occurred: {text_of(problem)}") from problem


def _show(options: Mapping[str, Any]) -> None:
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.properties import admin_options

    servers = options["bootstrap-server"] or options["broker-list"]
    if not servers:
        raise ValueError("Missing required option(s) [bootstrap-server]")
    if options["topic-partitions"] and (options["topic"] or options["partitions"]):
        raise ValueError("--topic-partitions cannot be used with --topic or --partitions")
    timestamp = _timestamp(options["time"])
    wanted = _filter(options)
    properties = {"client.id": "GetOffsetShell"} | load_properties(options["command-config"])
    with Admin(servers, **admin_options(properties)) as admin:
        partitions = [
            (topic, p.partition)
            for topic, info in admin.list_topics().items()
            if not (options["exclude-internal-topics"] and topic in INTERNAL_TOPICS)
            for p in info.partitions
            if wanted((topic, p.partition))
        ]
        if not partitions:
            raise ValueError("Could not match any topic-partitions with the specified filters")
        for partition in sorted(partitions, key=name):
            offset = _offset(admin, partition, timestamp)
            if offset >= 0:
                print(f"{partition[0]}:{partition[1]}:{offset}")


def _offset(admin: Admin, partition: Partition, timestamp: int) -> int:
    """-1 when there is none; a failure is told and counts as none."""
    from kafkalike.client.errors import TimedOut
    from kafkalike.errors import KafkaError

    try:
        return admin.list_offsets({partition: timestamp})[partition].offset
    except (KafkaError, TimedOut) as problem:
        told = failure_text(problem)
        print(f"Skip getting offsets for topic-partition {name(partition)} due to error: {told}", file=sys.stderr)
        return -1


def _timestamp(text: str) -> int:
    if text in TIMES:
        return TIMES[text]
    try:
        return int(text)
    except ValueError as problem:
        raise ValueError(f"Malformed time argument {text}. Please use {TIMES_TEXT}") from problem


def _filter(options: Mapping[str, Any]) -> Filter:
    if options["topic-partitions"]:
        rules = [_rule(text) for text in options["topic-partitions"].split(",")]
        return lambda partition: any(rule(partition) for rule in rules)
    matches = _topics(options["topic"] or ".*")
    text = options["partitions"]
    try:
        only = {int(part) for part in text.split(",")} if text else None
    except ValueError as problem:
        raise ValueError(
            f"--partitions expects a comma separated list of numeric partition ids, but received: {text}"
        ) from problem
    return lambda partition: matches(partition[0]) and (only is None or partition[1] in only)


def _rule(text: str) -> Filter:
    match = RULE.fullmatch(text)
    if match is None:
        raise ValueError(f"Invalid rule specification: {text}")
    topic, one, low, high = match.groups()
    matches = _topics(topic or ".*")
    if one:
        return lambda partition: matches(partition[0]) and partition[1] == int(one)
    first, end = int(low or 0), int(high or 2**31 - 1)
    return lambda partition: matches(partition[0]) and first <= partition[1] < end


def _topics(text: str) -> Callable[[str], bool]:
    pattern = text.strip().replace(",", "|").replace(" ", "")
    try:
        compiled = re.compile(re.sub(r"^[\"']+|[\"']+$", "", pattern))
    except re.error as problem:
        raise ValueError(f"{pattern} is an invalid regex.") from problem
    return lambda topic: compiled.fullmatch(topic) is not None


if __name__ == "__main__":
    main()
