"""kafka-leader-election.sh: has leaders elected, the preferred replicas or any at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from kafkalike.cli.options import Command, bootstrap_server, fail, failure_text, load_properties, read_file, version
from kafkalike.cli.planning import partition_json
from kafkalike.cli.planning.partition_json import name

TYPES = {"preferred": 0, "unclean": 1}
WHICH = ("topic", "all-topic-partitions", "path-to-json-file")
TIMEOUT_MS = 30_000


@click.command(
    "kafka-leader-election.sh",
    cls=Command,
    help="This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are "
    "preferred replicas and unclean replicas.",
)
@bootstrap_server(required=False)
@click.option("--admin.config", "admin_config", metavar="FILE", help="Properties for the client.")
@click.option(
    "--election-type",
    metavar="TYPE",
    help='"preferred": where the leader is not the preferred replica. "unclean": where there is no leader.',
)
@click.option("--topic", help="The topic of the one partition.")
@click.option("--partition", type=int, metavar="N", help="The one partition.")
@click.option(
    "--path-to-json-file", metavar="FILE", help='{"partitions":[{"topic":"foo","partition":1}]}: these partitions.'
)
@click.option("--all-topic-partitions", is_flag=True, help="Every partition that needs it.")
@version
def main(**given: Any) -> None:
    """Checks the options, then asks the controller."""
    options = {key.replace("_", "-"): value for key, value in given.items()}
    _check(options)
    partitions = None
    if options["path-to-json-file"]:
        partitions = partition_json.elections(read_file(options["path-to-json-file"]))
    elif options["topic"]:
        partitions = [(options["topic"], options["partition"])]
    kind = options["election-type"].lower()
    elected, needless, failed = _elect(options, TYPES[kind], partitions)
    label = kind.upper()
    if elected:
        print(f"Successfully completed leader election ({label}) for partitions {_names(elected)}")
    if needless:
        print(f"Valid replica already elected for partitions {_names(needless)}")
    for partition, problem in sorted(failed.items()):
        print(f"Error completing leader election ({label}) for partition: {name(partition)}: {failure_text(problem)}")
    if failed:
        fail(f"{len(failed)} replica(s) could not be elected")


def _check(options: Mapping[str, Any]) -> None:
    missing = [option for option in ("bootstrap-server", "election-type") if options[option] is None]
    if missing:
        fail(f"Missing required option(s): {', '.join(missing)}")
    if sum(1 for option in WHICH if options[option]) != 1:
        fail(f"One and only one of the following options is required: {', '.join(WHICH)}")
    if options["topic"] and options["partition"] is None:
        fail("Missing required option(s): partition")
    if not options["topic"] and options["partition"] is not None:
        fail("Option partition is only allowed if topic is used")
    if options["election-type"].lower() not in TYPES:
        fail(f"Cannot parse argument '{options['election-type']}' of option election-type")


def _elect(
    options: Mapping[str, Any], election_type: int, partitions: Any
) -> tuple[list[Any], list[Any], dict[Any, Any]]:
    """Which partitions got a leader, which had the right one, and which could not get one."""
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import Error, KafkaError

    bounds = {"default_api_timeout_ms": TIMEOUT_MS, "request_timeout_ms": TIMEOUT_MS // 2}
    known = bounds | admin_options(load_properties(options["admin-config"]))
    try:
        with Admin(options["bootstrap-server"], **known) as admin:
            results = admin.elect_leaders(election_type, partitions)
    except TimedOut:
        told = "Timeout waiting for election results"
        print(told)
        fail(told)
    except KafkaError as problem:
        if problem.error is not Error.CLUSTER_AUTHORIZATION_FAILED:
            raise
        told = "Not authorized to perform leader election"
        print(told)
        fail(told)
    needless = [p for p, e in results.items() if e is not None and e.error is Error.ELECTION_NOT_NEEDED]
    elected = [p for p, e in results.items() if e is None]
    return elected, needless, {p: e for p, e in results.items() if e is not None and p not in needless}


def _names(partitions: list[Any]) -> str:
    return ", ".join(map(name, sorted(partitions)))


if __name__ == "__main__":
    main()
