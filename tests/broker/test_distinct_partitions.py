"""What a request names twice is kept once."""

from kafkalike.broker.distinct_partitions import by_topic
from kafkalike.protocol.messages import offset_commit as messages

Partition, Topic = messages.OffsetCommitRequestPartition, messages.OffsetCommitRequestTopic


def test_the_last_of_several_counts_and_a_topic_without_partitions_does_not() -> None:
    first, other, last = (Partition(partition_index=p, committed_offset=o) for p, o in ((0, 1), (1, 2), (0, 3)))
    topics = [Topic(name="t", partitions=[first]), Topic(name="none"), Topic(name="t", partitions=[other, last])]
    assert {"t": {0: last, 1: other}} == by_topic(topics)
