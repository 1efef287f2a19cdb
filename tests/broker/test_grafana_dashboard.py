"""config/grafana-dashboard.json draws what Prometheus finds at three brokers: each name in it, each expression."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import NewTopic

from tests.servers import ROOT, Broker, EmbeddedZooKeeper, Kafka, Server, free_port, tool, wait_until

pytestmark = pytest.mark.slow

DASHBOARD = json.loads((ROOT / "config/grafana-dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
NAMES = sorted({name for each in EXPRESSIONS for name in re.findall(r"\b(?:kafka|kafkalike|process)_\w+", each)})
# What Grafana puts in for its variables.
VARIABLES = {"$__rate_interval": "10s", "$broker": ".*"}


class Prometheus(Server):
    """Prometheus, as Debian packages it, which scrapes these ports each second."""

    def __init__(self, directory: Path, scraped: list[int]) -> None:
        super().__init__(directory)
        self.scraped = scraped
        self.brokers: list[Broker] = []

    def command(self) -> list[str]:
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in self.scraped)
        config = self.directory / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: kafkalike, static_configs: [{{targets: [{targets}]}}]}}]\n"
        )
        return [
            tool("prometheus", "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def ready(self) -> bool:
        with urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
            return answer.status == 200

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What an expression comes to at this moment: labels and numbers."""
        question = urllib.parse.urlencode({"query": expression})
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{question}", timeout=10) as answer:
            found = json.load(answer)
        assert "success" == found["status"]
        return [(each["metric"], float(each["value"][1])) for each in found["data"]["result"]]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Three brokers with a topic that is produced to and consumed from, and Prometheus, which has seen them."""
    tool("prometheus", "prometheus")
    home = tmp_path_factory.mktemp("dashboard")
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        zookeeper = stack.enter_context(EmbeddedZooKeeper(home / "zookeeper"))
        settings: dict[str, Any] = {"offsets_topic_replication_factor": 1, "group_initial_rebalance_delay_ms": 0}
        brokers = [
            stack.enter_context(
                Broker(
                    home / f"broker-{broker_id}",
                    zookeeper.connect,
                    broker_id,
                    metrics_listeners=f"http://127.0.0.1:{port}",
                    **settings,
                )
            )
            for broker_id, port in enumerate(ports)
        ]
        kafka = Kafka(brokers[0], zookeeper)
        kafka.admin.create_topics([NewTopic("drawn", 3, 3)])["drawn"].result(30)
        prometheus = stack.enter_context(Prometheus(home / "prometheus", ports))
        # A count that comes into being between two scrapes has no rate: what is counted happens before and between.
        for _ in range(2):
            use(kafka)
            seen = scrapes(prometheus)
            wait_until(lambda seen=seen: scrapes(prometheus) >= seen + 2, what="two scrapes of each broker")
        prometheus.brokers = brokers
        yield prometheus


def use(kafka: Kafka) -> None:
    """A thousand messages, of which a hundred are not consumed, and an error."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(1000):
        producer.produce("drawn", b"x" * 100, partition=number % 3)
    assert 0 == producer.flush(30)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "drawers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["drawn"])
    wait_until(lambda: consumer.poll(1), what="a message")
    consumer.commit(asynchronous=False)
    consumer.close()
    with pytest.raises(KafkaException):
        kafka.admin.create_topics([NewTopic("drawn", 1, 1)])["drawn"].result(30)


def scrapes(prometheus: Prometheus) -> float:
    """How often the broker that was scraped least was scraped."""
    return min((n for _, n in prometheus.query("count_over_time(up[1h])")), default=0)


def test_the_dashboard_has_twelve_panels_without_a_gap() -> None:
    assert 12 == len({panel["title"] for panel in DASHBOARD["panels"]})
    assert all(panel["description"] and panel["targets"] for panel in DASHBOARD["panels"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert places == [(x, y) for y in range(0, 32, 8) for x in range(0, 24, 8)]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_served(prometheus: Prometheus, name: str) -> None:
    assert prometheus.query(name)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_has_an_answer(prometheus: Prometheus, expression: str) -> None:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    wait_until(lambda: prometheus.query(expression), what="an answer")


def test_the_numbers_of_three_brokers_add_up_to_those_of_the_cluster(prometheus: Prometheus) -> None:
    def number(expression: str) -> float:
        ((_, found),) = prometheus.query(expression)
        return found

    assert 1 == number("sum(kafka_controller_kafkacontroller_activecontrollercount)")
    assert 3 == number("count(kafka_server_kafkaserver_brokerstate == 3)")
    assert 2000 == number('sum(kafka_server_brokertopicmetrics_messagesin_total{topic="drawn"})')
    assert 3 == number('count(kafka_topic_partition_leader{topic="drawn"})')
    committed = number('sum(kafka_consumergroup_current_offset{consumergroup="drawers"})')
    assert 0 < committed < 2000
    assert 2000 >= number('sum(kafka_consumergroup_lag{consumergroup="drawers"})') + committed > 0
    assert 0 == number("sum(kafka_server_replicamanager_underreplicatedpartitions)")


def test_alerts_rise_when_a_broker_dies_and_fall_when_it_is_back(prometheus: Prometheus) -> None:
    def is_number(expected: float, expression: str) -> bool:
        return [expected] == [found for _, found in prometheus.query(expression)]

    under_replicated = "sum(kafka_server_replicamanager_underreplicatedpartitions)"
    follower = prometheus.brokers[2]
    follower.kill()
    wait_until(lambda: is_number(3, under_replicated), 60, "three partitions that lack a replica")
    wait_until(lambda: is_number(3, 'sum(kafka_cluster_partition_underreplicated{topic="drawn"})'))
    wait_until(lambda: is_number(1, "sum(kafka_controller_kafkacontroller_activecontrollercount)"))
    wait_until(lambda: is_number(2, "count(kafka_server_kafkaserver_brokerstate == 3)"))
    # Those of __consumer_offsets, with one replica each, that were there.
    offline = "sum(kafka_controller_kafkacontroller_offlinepartitionscount)"
    wait_until(lambda: is_number(16, offline) or is_number(17, offline), what="a third of fifty partitions offline")
    follower.start()
    wait_until(lambda: is_number(0, under_replicated), 60, "all replicas in sync")
    wait_until(lambda: is_number(0, offline), what="leaders for all partitions")
    assert prometheus.query("sum(kafka_server_replicamanager_isrexpands_total)")[0][1] >= 3
