"""kafka-broker-api-versions.sh: which requests, in which versions, each broker answers."""

from __future__ import annotations

from types import ModuleType

import click

from kafkalike.cli.options import (
    Command,
    Fail,
    bootstrap_server,
    command_config,
    fail,
    load_properties,
    text_of,
    version,
)

# Requests that are not for clients: those between brokers, and to the controller of clusters without ZooKeeper.
NOT_FOR_CLIENTS = frozenset({4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82})

# Requests of Kafka 3.9's clients that no broker with ZooKeeper answers: named in the listing, not spoken here.
ELSEWHERE = {
    55: "DescribeQuorum",
    64: "UnregisterBroker",
    71: "GetTelemetrySubscriptions",
    72: "PushTelemetry",
    74: "ListClientMetricsResources",
    75: "DescribeTopicPartitions",
    76: "ShareGroupHeartbeat",
    77: "ShareGroupDescribe",
    78: "ShareFetch",
    79: "ShareAcknowledge",
    80: "AddRaftVoter",
    81: "RemoveRaftVoter",
    83: "InitializeShareGroupState",
    84: "ReadShareGroupState",
    85: "WriteShareGroupState",
    86: "DeleteShareGroupState",
    87: "ReadShareGroupStateSummary",
}


@click.command("kafka-broker-api-versions.sh", cls=Command, help="Retrieve broker version information.")
@bootstrap_server(required=False)
@command_config()
@version
def main(bootstrap_server: str | None, command_config: str | None) -> None:
    """Asks every broker of the cluster."""
    if not bootstrap_server:
        fail('Missing required argument "[bootstrap-server]"')
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import KafkaError

    try:
        with Admin(bootstrap_server, **admin_options(load_properties(command_config))) as admin:
            nodes = sorted(admin.cluster().nodes.values(), key=lambda node: node.id)
            for node in nodes:
                try:
                    print(f"{node} -> {listing(admin.api_versions(node))}")
                except (KafkaError, TimedOut) as problem:
                    print(f"{node} -> ERROR: {text_of(problem)}")
    except (KafkaError, TimedOut) as problem:
        raise Fail(f"Error: {text_of(problem)}") from problem


def listing(served: dict[int, tuple[int, int]]) -> str:
    """A broker's versions in Kafka's words: what it serves and what of that we would use, and what it lacks."""
    from kafkalike.protocol.messages import by_name, names

    known = {api.API_KEY: api for api in map(by_name, names())}
    lines = {key: f"{name}({key}): UNSUPPORTED" for key, name in ELSEWHERE.items()}
    lines |= {key: f"{api.NAME}({key}): UNSUPPORTED" for key, api in known.items() if key not in NOT_FOR_CLIENTS}
    for key, (low, high) in served.items():
        name = known[key].NAME if key in known else ELSEWHERE.get(key, "UNKNOWN")
        versions = str(low) if low == high else f"{low} to {high}"
        lines[key] = f"{name}({key}): {versions}" + (_usable(known[key], low, high) if key in known else "")
    return "(\n\t" + ",\n\t".join(line for _, line in sorted(lines.items())) + "\n)"


def _usable(api: ModuleType, low: int, high: int) -> str:
    if api.VERSIONS[1] < low:
        return " [unusable: node too new]"
    if high < api.VERSIONS[0]:
        return " [unusable: node too old]"
    return f" [usable: {min(api.VERSIONS[1], high)}]"


if __name__ == "__main__":
    main()
