"""Gauges over hosted partitions: leaders tell of replicas, everybody of logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kafkalike.metrics import Gauge
from kafkalike.replication import replica_gauges
from kafkalike.replication.partition import Partition


class Holder:
    """Three partitions of broker 1: it leads two, of which one lacks a replica, and follows one."""

    def __init__(self) -> None:
        self.hosted: Any = {
            ("whole", 0): hosted("whole", leader=1, isr=(1, 2, 3)),
            ("lacking", 0): hosted("lacking", leader=1, isr=(1,)),
            ("followed", 0): hosted("followed", leader=2, isr=()),
        }
        for topic in ("whole", "followed"):
            self.hosted[topic, 0].partition.reassigning = True
        self.directories = [
            SimpleNamespace(offline=None, logs={}),
            SimpleNamespace(offline="EIO", logs={("lost", 0): None, ("lost", 1): None}),
        ]


def hosted(topic: str, leader: int, isr: tuple[int, ...]) -> Any:
    partition = Partition(1, topic, 0, high_watermark=7, min_insync_replicas=2)
    partition.leader, partition.replicas, partition.isr = leader, (1, 2, 3), isr
    log = SimpleNamespace(
        size_bytes=100,
        segment_count=2,
        log_start_offset=5,
        log_end_offset=9,
        producers=SimpleNamespace(entries={1: None, 2: None}),
    )
    return SimpleNamespace(partition=partition, log=log)


@pytest.fixture
def holder() -> Holder:
    holder = Holder()
    replica_gauges.watch(holder)
    return holder


def values(gauge: Gauge, holder: Holder) -> Any:
    found = gauge._watched[holder](holder)
    return dict(found) if gauge.labels else found


@pytest.mark.parametrize(
    ("gauge", "expected"),
    [
        (replica_gauges.PARTITIONS, 3),
        (replica_gauges.LEADERS, 2),
        (replica_gauges.UNDER_REPLICATED, 1),
        (replica_gauges.UNDER_MIN_ISR, 1),
        (replica_gauges.AT_MIN_ISR, 0),
        (replica_gauges.REASSIGNING, 1),
        (replica_gauges.PRODUCER_IDS, 6),
        (replica_gauges.OFFLINE, 2),
        (replica_gauges.OFFLINE_DIRECTORIES, 1),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_counts_over_all_partitions(holder: Holder, gauge: Gauge, expected: int) -> None:
    assert expected == values(gauge, holder)


def test_a_leader_tells_of_its_replicas_and_a_follower_does_not(holder: Holder) -> None:
    found = {gauge.exported: values(gauge, holder) for gauge in replica_gauges.OF_LEADER}
    assert {("whole", "0"): 0, ("lacking", "0"): 1} == found["kafka_cluster_partition_underreplicated"]
    assert {("whole", "0"): 3, ("lacking", "0"): 1} == found["kafka_cluster_partition_insyncreplicascount"]
    assert {("whole", "0"): 7, ("lacking", "0"): 7} == found["kafka_topic_partition_current_offset"]


def test_every_replica_tells_of_its_log(holder: Holder) -> None:
    found = {gauge.exported: values(gauge, holder) for gauge in replica_gauges.OF_REPLICA}
    assert {
        "kafka_log_log_size": 100,
        "kafka_log_log_numlogsegments": 2,
        "kafka_log_log_logstartoffset": 5,
        "kafka_log_log_logendoffset": 9,
    } == {name: numbers["followed", "0"] for name, numbers in found.items()}
