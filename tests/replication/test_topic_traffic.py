"""The counts of a topic are shared by its partitions, and go with the last of them."""

from __future__ import annotations

import pytest

from kafkalike.errors import Error
from kafkalike.metrics import TopicMeter
from kafkalike.replication import topic_traffic
from kafkalike.replication.topic_traffic import (
    BYTES_REJECTED,
    FAILED_PRODUCE,
    INVALID_CRC,
    MESSAGES_IN,
    PRODUCE_REQUESTS,
)


def of_topics(meter: TopicMeter) -> dict[str, float]:
    return {sample.labels[0]: sample.value for sample in meter.read() if sample.labels}


def total(meter: TopicMeter) -> float:
    return next(sample.value for sample in meter.read() if not sample.labels)


def test_partitions_count_together_and_the_total_stays_when_the_topic_goes() -> None:
    before = total(MESSAGES_IN)
    first, second = topic_traffic.of("traffic-1"), topic_traffic.of("traffic-1")
    assert first is second
    first.messages_in.count += 5
    assert 5 == of_topics(MESSAGES_IN)["traffic-1"]
    del first, second
    assert "traffic-1" not in of_topics(MESSAGES_IN)
    assert before + 5 == total(MESSAGES_IN)


@pytest.mark.parametrize(
    ("error", "rejected", "failed"),
    [
        (Error.MESSAGE_TOO_LARGE, 1000, 0),
        (Error.NOT_LEADER_OR_FOLLOWER, 0, 0),
        (Error.CORRUPT_MESSAGE, 0, 0),
        (Error.NOT_ENOUGH_REPLICAS, 0, 1),
    ],
)
def test_refused_records_are_counted_as_kafka_counts_them(error: Error, rejected: int, failed: int) -> None:
    traffic = topic_traffic.of("traffic-2")
    crc = INVALID_CRC.of().count
    traffic.refused(1000, error)
    assert 1 == of_topics(PRODUCE_REQUESTS)["traffic-2"]
    assert rejected == of_topics(BYTES_REJECTED)["traffic-2"]
    assert failed == of_topics(FAILED_PRODUCE)["traffic-2"]
    assert (error is Error.CORRUPT_MESSAGE) == (INVALID_CRC.of().count == crc + 1)
