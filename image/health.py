#!/opt/kafkalike/.venv/bin/python
"""Whether this container's broker is well: it answers, and knows itself as a member of a cluster with a controller.

Only this broker is asked: another one's death is no illness of this one. Exit status 0 or 1, and a line that says why.
"""

from __future__ import annotations

import sys

from kafkalike.client.blocking.broker_connection import BrokerConnection
from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected
from kafkalike.config import broker_config, read_properties
from kafkalike.errors import KafkaError
from kafkalike.protocol.messages import metadata

EFFECTIVE = "/run/kafkalike/server.properties"
TIMEOUT_MS = 3000


def diagnosis(host: str, port: int, broker_id: int) -> str | None:
    """What is wrong. A `broker_id` of -1 is one that ZooKeeper gave it: any will do."""
    try:
        connection = BrokerConnection(Node(-1, host, port), "health", TIMEOUT_MS)
        request = metadata.Request(topics=[], allow_auto_topic_creation=False)
        answer = connection.ask(metadata, request, TIMEOUT_MS)
    except (Disconnected, KafkaError) as problem:
        return f"it does not answer: {problem}"
    brokers = sorted(broker.node_id for broker in answer.brokers)
    if not brokers or (broker_id >= 0 and broker_id not in brokers):
        return f"it knows the brokers {brokers}, and is none of them"
    if answer.controller_id < 0:
        return "it knows no controller"
    return None


def main() -> None:
    """Asks at the first listener that is not encrypted."""
    with open(EFFECTIVE, encoding="utf-8") as file:
        config, _ = broker_config(read_properties(file.read()))
    plain = [endpoint for endpoint in config.listeners if endpoint.security_protocol == "PLAINTEXT"]
    if not plain:
        sys.exit("no listener is PLAINTEXT: this check cannot ask")
    wrong = diagnosis(plain[0].host or "127.0.0.1", plain[0].port, config["broker.id"])
    if wrong:
        sys.exit(wrong)
    print("well")


if __name__ == "__main__":
    main()
