"""Metrics count, are read under the exporters' names, and hold nobody."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from kafkalike import metrics
from kafkalike.metrics import Gauge, Meter, Metric, Timer, TopicMeter, exported_name, lines


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test declares is gone after it."""
    monkeypatch.setattr(metrics, "REGISTRY", {})
    yield


def numbers(metric: Metric) -> list[str]:
    """Its lines without the two that say what it is."""
    return "".join(lines(metric)).splitlines()[2:]


@pytest.mark.parametrize(
    ("name", "kind", "exported"),
    [
        (
            "kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec",
            "counter",
            "kafka_server_brokertopicmetrics_messagesin_total",
        ),
        (
            "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions",
            "gauge",
            "kafka_server_replicamanager_underreplicatedpartitions",
        ),
        (
            "kafka.network:type=RequestMetrics,name=TotalTimeMs",
            "summary",
            "kafka_network_requestmetrics_totaltimems",
        ),
        (
            "kafka.coordinator.group:type=GroupMetadataManager,name=NumGroups",
            "gauge",
            "kafka_coordinator_group_groupmetadatamanager_numgroups",
        ),
        ("kafka_consumergroup_lag", "gauge", "kafka_consumergroup_lag"),
    ],
)
def test_an_mbean_is_exported_as_the_jmx_exporters_rules_would(name: str, kind: str, exported: str) -> None:
    assert exported == exported_name(name, kind)


def test_a_meter_counts() -> None:
    shrinks = Meter("kafka.server:type=ReplicaManager,name=IsrShrinksPerSec")
    assert ["kafka_server_replicamanager_isrshrinks_total 0"] == numbers(shrinks), "it is there before it happens"
    shrinks.mark()
    shrinks.mark(2)
    assert (
        "# HELP kafka_server_replicamanager_isrshrinks_total kafka.server:type=ReplicaManager,name=IsrShrinksPerSec\n"
        "# TYPE kafka_server_replicamanager_isrshrinks_total counter\n"
        "kafka_server_replicamanager_isrshrinks_total 3\n"
    ) == "".join(lines(shrinks))


def test_labels_tell_the_counts_of_a_meter_apart() -> None:
    errors = Meter("errors_total", "request", "error")
    errors.mark(1, "Produce", "NONE")
    errors.of("Fetch", "NONE").count += 5
    assert [
        'errors_total{request="Produce",error="NONE"} 1',
        'errors_total{request="Fetch",error="NONE"} 5',
    ] == numbers(errors)


def test_a_label_may_hold_anything() -> None:
    groups = Meter("groups_total", "group")
    groups.mark(1, 'a "group"\nof \\two')
    assert [r'groups_total{group="a \"group\"\nof \\two"} 1'] == numbers(groups)


def test_the_total_over_topics_keeps_what_a_topic_counted_that_is_gone() -> None:
    received = TopicMeter("received_total")
    first, second = received.of("first"), received.of("second")
    assert first is received.of("first"), "all partitions of a topic count together"
    first.count += 3
    second.count += 4
    received.mark()
    assert [
        "received_total 8",
        'received_total{topic="first"} 3',
        'received_total{topic="second"} 4',
    ] == numbers(received)
    del first
    assert ["received_total 8", 'received_total{topic="second"} 4'] == numbers(received)


class Owner:
    leaders = 3


def test_a_gauge_asks_its_owner_and_does_not_keep_it() -> None:
    leaders = Gauge("leaders")
    by_topic = Gauge("leaders_by_topic", "topic", "partition")
    owner = Owner()
    leaders.watch(owner, lambda each: each.leaders)
    by_topic.watch(owner, lambda each: [(("t", "0"), each.leaders)])
    assert ["leaders 3"] == numbers(leaders)
    assert ['leaders_by_topic{topic="t",partition="0"} 3'] == numbers(by_topic)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert [] == numbers(leaders) + numbers(by_topic)


def test_a_gauge_with_several_owners_and_no_labels_is_one_number() -> None:
    """As the queues of all listeners: Prometheus refuses a scrape that says one series twice."""
    queued = Gauge("queued")
    owners = [Owner(), Owner(), Owner()]
    for owner, number in zip(owners, (2, None, 5), strict=True):
        queued.watch(owner, lambda _, number=number: number)
    assert ["queued 7"] == numbers(queued)
    del owner, owners[1:]
    assert ["queued 2"] == numbers(queued)


def test_a_timer_tells_how_often_how_long_altogether_and_its_newest_quantiles() -> None:
    elections = Timer("elections")
    for ms in range(1, 101):
        elections.update(ms)
    assert [
        'elections{quantile="0.5"} 51.0',
        'elections{quantile="0.75"} 76.0',
        'elections{quantile="0.95"} 96.0',
        'elections{quantile="0.98"} 99.0',
        'elections{quantile="0.99"} 100.0',
        'elections{quantile="0.999"} 100.0',
        "elections_sum 5050.0",
        "elections_count 100",
    ] == numbers(elections)
    for _ in range(metrics.WINDOW):
        elections.update(7)
    assert 'elections{quantile="0.999"} 7.0' == numbers(elections)[5], "older ones are forgotten"


def test_a_timer_without_durations_has_zeroes() -> None:
    assert 'elections{quantile="0.99"} 0.0' in numbers(Timer("elections"))
