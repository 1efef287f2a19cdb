"""kafka-preferred-replica-election.sh: the command that Kafka had before kafka-leader-election.

With --zookeeper it writes /admin/preferred_replica_election, which the controller carries out and removes.
"""

from __future__ import annotations

import json
from typing import Any

import click

from kafkalike.cli.options import Command, fail, failure_text, load_properties, read_file, version
from kafkalike.cli.planning import partition_json
from kafkalike.cli.planning.partition_json import name
from kafkalike.client.cluster import Partition

TIMEOUT_MS = 30_000
TOPICS = "/brokers/topics"
ELECTION = "/admin/preferred_replica_election"


@click.command(
    "kafka-preferred-replica-election.sh",
    cls=Command,
    help="This tool helps to causes leadership for each partition to be transferred back to the 'preferred replica', "
    "it can be used to balance leadership among the servers.",
)
@click.option("--bootstrap-server", metavar="HOST:PORT,...", help="The server(s) to connect to.")
@click.option("--zookeeper", metavar="HOST:PORT[/CHROOT]", help="DEPRECATED. Ask the controller through ZooKeeper.")
@click.option("--admin.config", "admin_config", metavar="FILE", help="Properties for the client.")
@click.option(
    "--path-to-json-file",
    metavar="FILE",
    help='{"partitions":[{"topic":"foo","partition":1}]}: these partitions, instead of all.',
)
@version
def main(
    bootstrap_server: str | None, zookeeper: str | None, admin_config: str | None, path_to_json_file: str | None
) -> None:
    """Asks the controller, by a request or by a znode."""
    print("This tool is deprecated. Please use kafka-leader-election tool. Tracking issue: KAFKA-8405")
    if bool(bootstrap_server) == bool(zookeeper):
        fail("Exactly one of '[bootstrap-server]' or '[zookeeper]' must be provided")
    partitions = None if path_to_json_file is None else _partitions(read_file(path_to_json_file))
    if zookeeper:
        print("Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.")
        print("Use --bootstrap-server instead to specify a broker to connect to.")
        _by_znode(zookeeper, partitions)
    else:
        _by_request(bootstrap_server or "", load_properties(admin_config), partitions)


def _partitions(text: str) -> list[Partition]:
    try:
        return partition_json.elections(text)
    except ValueError as problem:
        # The older command has other words, and one sentence for both kinds of emptiness.
        told = str(problem).replace("Replica election data", "Preferred replica election data")
        raise ValueError("Preferred replica election data is empty" if '"partitions"' in told else told) from problem


def _by_request(servers: str, properties: dict[str, str], partitions: list[Partition] | None) -> None:
    from kafkalike.client.admin.replicas import PREFERRED
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import Error

    bounds = {"default_api_timeout_ms": 2 * TIMEOUT_MS, "request_timeout_ms": TIMEOUT_MS}
    try:
        with Admin(servers, **bounds | admin_options(properties)) as admin:
            results = admin.elect_leaders(PREFERRED, partitions)
    except TimedOut:
        print("Timeout waiting for election results")
        fail("Timeout waiting for election results")
    elected = [p for p, e in results.items() if e is None]
    needless = [p for p, e in results.items() if e is not None and e.error is Error.ELECTION_NOT_NEEDED]
    failed = {p: e for p, e in results.items() if e is not None and p not in needless}
    if elected:
        print(f"Successfully completed preferred leader election for partitions {_names(elected)}")
    if needless:
        # Kafka's command names the wrong ones here.
        print(f"Preferred replica already elected for partitions {_names(needless)}")
    for partition, problem in sorted(failed.items()):
        told = failure_text(problem)
        print(f"Error completing preferred leader election for partition: {name(partition)}: {told}")
    if failed:
        fail(f"{len(failed)} preferred replica(s) could not be elected")


def _by_znode(servers: str, partitions: list[Partition] | None) -> None:
    from zk.blocking_client import Client, ClientError
    from zk.ensemble import parse
    from zk.wire import Code

    client = Client(parse(servers), TIMEOUT_MS)
    client.connect()
    try:
        if missing := client.missing_chroot():
            fail(f"ZooKeeper at {servers}: {missing}")
        topics = client.children(TOPICS)[0] if partitions is None else sorted({topic for topic, _ in partitions})
        existing = {(topic, index) for topic in topics for index in _indexes(client, topic)}
        wanted = sorted(existing) if partitions is None else [p for p in partitions if p in existing]
        entries = [{"topic": topic, "partition": index} for topic, index in wanted]
        data = json.dumps({"version": 1, "partitions": entries}, separators=(",", ":")).encode()
        try:
            client.create(ELECTION, data)
        except ClientError as problem:
            if problem.code != Code.NODE_EXISTS:
                raise ValueError(f"ZooKeeper refuses {ELECTION}: {Code(problem.code).name}") from problem
            waiting = partition_json.elections((client.get(ELECTION)[0] or b"").decode())
            raise ValueError(
                f"Preferred replica leader election currently in progress for {','.join(map(name, waiting))}. "
                "Aborting operation"
            ) from None
    finally:
        client.close()
    print(f"Created preferred replica election path with {','.join(map(name, wanted))}")
    print(f"Successfully started preferred replica election for partitions Set({_names(wanted)})")
    for partition in partitions or ():
        if partition not in existing:
            print(f"Skipping preferred replica leader election for partition {name(partition)} since it doesn't exist.")


def _indexes(client: Any, topic: str) -> list[int]:
    """A topic's partitions; none of a topic that is not there."""
    from kafkalike.cluster.znodes.topics import TopicNode
    from zk.blocking_client import ClientError

    try:
        data, _ = client.get(TopicNode.path(topic))
    except ClientError:
        return []
    return list(TopicNode.decode(data, topic).partitions)


def _names(partitions: Any) -> str:
    return ", ".join(map(name, sorted(partitions)))


if __name__ == "__main__":
    main()
