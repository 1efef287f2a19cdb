"""Records what Apache Kafka 3.9.1 in ZooKeeper mode says of configuration: `python -m tests.oracle.config_recorder`.

    config/broker.tsv, topic.tsv   what DescribeConfigs lists: name, type, default, read only, sensitive, synonyms
    config/verdicts.tsv            a value of a key, and the refusal of the classes that read it from a broker's file
                                   or of a topic
    config/dynamic.tsv             the same of a running broker, which is asked with validate_only
    config/resources.tsv           what it answers for each type of resource

It wants a JDK, which runs ConfigVerdicts.java from its source, and the jars of Apache Kafka.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kafkalike.config import BROKER, DYNAMIC_ONLY, TOPIC
from kafkalike.protocol.messages import by_name
from tests.oracle.config_golden import HERE, TYPES, short, values_to_try
from tests.servers import ApacheBroker, Broker, EmbeddedZooKeeper, kafka_home, request

Row = tuple[Any, ...]
SET, TOPIC_TYPE, BROKER_TYPE = 0, 2, 4


def ask(broker: Broker, api: Any, version: int, message: Any) -> Any:
    """One request by a connection of its own."""
    answer = request(broker.port, api.API_KEY, version, message.encode(version), timeout=30, host=broker.host)
    return api.Response.decode(version, answer, 4)


def described(broker: Broker, kind: int, name: str) -> Any:
    api = by_name("describe_configs")
    resource = api.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
    return ask(broker, api, 3, api.Request(resources=[resource], include_synonyms=True)).results[0]


def altered(broker: Broker, kind: int, name: str, key: str, value: str) -> tuple[int, str]:
    """What is answered to one value that is only to be validated."""
    api = by_name("incremental_alter_configs")
    entry = api.AlterableConfig(name=key, config_operation=SET, value=value)
    resource = api.AlterConfigsResource(resource_type=kind, resource_name=name, configs=[entry])
    result = ask(broker, api, 0, api.Request(resources=[resource], validate_only=True)).responses[0]
    return result.error_code, result.error_message or ""


def listed(result: Any) -> Iterator[Row]:
    for entry in sorted(result.configs, key=lambda entry: entry.name):
        synonyms = ",".join(f"{s.source}:{s.name}" for s in entry.synonyms)
        kind = TYPES[entry.config_type]
        yield entry.name, kind, json.dumps(entry.value), int(entry.read_only), int(entry.is_sensitive), synonyms


def asked() -> list[tuple[str, str, str]]:
    """Each value that is tried, as (broker or topic, key, value)."""
    tables = (("broker", BROKER), ("topic", TOPIC))
    return [(table, name, value) for table, keys in tables for name in sorted(keys) for value in values_to_try(name)]


def verdicts() -> Iterator[Row]:
    questions = asked()
    java = ["java", "-cp", f"{kafka_home()}/lib/*", str(HERE / "ConfigVerdicts.java")]
    told = "".join(f"{table}\t{name}\t{quote(value)}\n" for table, name, value in questions)
    answers = subprocess.run(java, input=told, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[:-1]
    for (table, name, value), answer in zip(questions, answers, strict=True):
        yield table, name, json.dumps(value), short(name, answer)


def dynamic_verdicts(broker: Broker) -> Iterator[Row]:
    for name, key in sorted((BROKER | DYNAMIC_ONLY).items()):
        for entity, values in (("0", values_to_try(name)), ("", ["1"])):
            for value in values if key.dynamic else ["1"]:
                code, message = altered(broker, BROKER_TYPE, entity, name, value)
                yield entity, name, json.dumps(value), code, short(name, message)


def resources(broker: Broker) -> Iterator[Row]:
    for kind in (-1, 0, 1, 2, 3, 4, 8, 16, 32, 64):
        for name in ("", "0", "1", "x"):
            found = described(broker, kind, name)
            yield "describe", kind, name, found.error_code, json.dumps(found.error_message), bool(found.configs)
            yield "alter", kind, name, *altered(broker, kind, name, "interval.ms", "1000"), ""


def write(name: str, rows: Iterator[Row]) -> None:
    (HERE / name).write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def main() -> None:
    """Overwrites what is there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with (
            EmbeddedZooKeeper(home / "zookeeper") as zookeeper,
            ApacheBroker(home / "broker", zookeeper.connect) as broker,
        ):
            api = by_name("create_topics")
            topic = api.CreatableTopic(name="t", num_partitions=1, replication_factor=1)
            ask(broker, api, 4, api.Request(topics=[topic], timeout_ms=30000))
            write("broker.tsv", listed(described(broker, BROKER_TYPE, "0")))
            write("topic.tsv", listed(described(broker, TOPIC_TYPE, "t")))
            write("resources.tsv", resources(broker))
            write("dynamic.tsv", dynamic_verdicts(broker))
    write("verdicts.tsv", verdicts())


if __name__ == "__main__":
    main()
