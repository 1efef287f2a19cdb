"""What goes in and out of topics: Kafka's BrokerTopicMetrics.

Each partition here has the `TopicTraffic` of its topic, and whoever appends or reads adds to its counts. When the last
partition of a topic is given up the topic's counts go; the totals over all topics stay.
"""

from __future__ import annotations

import weakref

from kafkalike.errors import Error
from kafkalike.metrics import Meter, TopicMeter

MESSAGES_IN = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec")
BYTES_IN = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec")
BYTES_OUT = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec")
BYTES_REJECTED = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=BytesRejectedPerSec")
PRODUCE_REQUESTS = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=TotalProduceRequestsPerSec")
FETCH_REQUESTS = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=TotalFetchRequestsPerSec")
FAILED_PRODUCE = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=FailedProduceRequestsPerSec")
FAILED_FETCH = TopicMeter("kafka.server:type=BrokerTopicMetrics,name=FailedFetchRequestsPerSec")
INVALID_MAGIC = Meter("kafka.server:type=BrokerTopicMetrics,name=InvalidMagicNumberRecordsPerSec")
INVALID_CRC = Meter("kafka.server:type=BrokerTopicMetrics,name=InvalidMessageCrcRecordsPerSec")
INVALID_OFFSET = Meter("kafka.server:type=BrokerTopicMetrics,name=InvalidOffsetOrSequenceRecordsPerSec")
# Between brokers; Kafka has them without topics.
REPLICATION_IN = Meter("kafka.server:type=BrokerTopicMetrics,name=ReplicationBytesInPerSec").of()
REPLICATION_OUT = Meter("kafka.server:type=BrokerTopicMetrics,name=ReplicationBytesOutPerSec").of()

# What a client, or the state of the cluster, brings about every day is no failure, as in Kafka.
EXPECTED = frozenset(
    (
        Error.UNKNOWN_TOPIC_OR_PARTITION,
        Error.NOT_LEADER_OR_FOLLOWER,
        Error.MESSAGE_TOO_LARGE,
        Error.RECORD_LIST_TOO_LARGE,
        Error.CORRUPT_MESSAGE,
        Error.KAFKA_STORAGE_ERROR,
        Error.FENCED_LEADER_EPOCH,
        Error.UNKNOWN_LEADER_EPOCH,
        Error.OFFSET_OUT_OF_RANGE,
    )
)
TOO_LARGE = (Error.MESSAGE_TOO_LARGE, Error.RECORD_LIST_TOO_LARGE)
INVALID = {
    Error.CORRUPT_MESSAGE: INVALID_CRC,
    Error.INVALID_RECORD: INVALID_OFFSET,
    Error.OUT_OF_ORDER_SEQUENCE_NUMBER: INVALID_OFFSET,
    Error.UNSUPPORTED_FOR_MESSAGE_FORMAT: INVALID_MAGIC,
}


class TopicTraffic:
    """The counts of one topic."""

    __slots__ = (
        "messages_in", "bytes_in", "bytes_out", "bytes_rejected", "produce_requests", "fetch_requests",
        "failed_produce", "failed_fetch", "__weakref__",
    )  # fmt: skip

    def __init__(self, topic: str) -> None:
        self.messages_in = MESSAGES_IN.of(topic)
        self.bytes_in = BYTES_IN.of(topic)
        self.bytes_out = BYTES_OUT.of(topic)
        self.bytes_rejected = BYTES_REJECTED.of(topic)
        self.produce_requests = PRODUCE_REQUESTS.of(topic)
        self.fetch_requests = FETCH_REQUESTS.of(topic)
        self.failed_produce = FAILED_PRODUCE.of(topic)
        self.failed_fetch = FAILED_FETCH.of(topic)

    def refused(self, size: int, error: Error) -> None:
        """Records of a client were not appended."""
        self.produce_requests.count += 1
        if error in TOO_LARGE:
            self.bytes_rejected.count += size
        if error in INVALID:
            INVALID[error].mark()
        if error not in EXPECTED:
            self.failed_produce.count += 1


_known: weakref.WeakValueDictionary[str, TopicTraffic] = weakref.WeakValueDictionary()


def of(topic: str) -> TopicTraffic:
    """The traffic of a topic, which is kept as long as it is used."""
    found = _known.get(topic)
    if found is None:
        found = _known[topic] = TopicTraffic(topic)
    return found
