"""Log directories: partitions, sizes, room, and a disk that failed."""

from types import SimpleNamespace

import pytest

from kafkalike.broker.apis.describe_log_dirs import describe_log_dirs
from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_log_dirs as messages
from kafkalike.storage.files import DirectoryOffline


@pytest.fixture
def broker(tmp_path):
    logs = {
        ("a", 0): SimpleNamespace(size_bytes=100, log_end_offset=10),
        ("a", 1): SimpleNamespace(size_bytes=200, log_end_offset=10),
        ("b", 0): SimpleNamespace(size_bytes=300, log_end_offset=10),
    }
    hosted = {("b", 0): SimpleNamespace(partition=SimpleNamespace(high_watermark=13))}
    directory = SimpleNamespace(path=str(tmp_path), offline=None, logs=logs)
    return SimpleNamespace(partitions=SimpleNamespace(directories=[directory], hosted=hosted))


def described(broker, topics=None, version=4):
    call = SimpleNamespace(request=messages.Request(topics=topics), version=version)
    response = describe_log_dirs(broker, call)
    response.encode(version)
    return response.results[0]


def shown(result):
    return [
        (topic.name, p.partition_index, p.partition_size, p.offset_lag)
        for topic in result.topics
        for p in topic.partitions
    ]


def test_every_partition_is_listed_with_its_size_and_lag(broker):
    assert shown(described(broker)) == [("a", 0, 100, 0), ("a", 1, 200, 0), ("b", 0, 300, 3)]


def test_only_what_was_asked_for_is_listed(broker):
    asked = [messages.DescribableLogDirTopic(topic="a", partitions=[1, 7])]
    assert shown(described(broker, asked)) == [("a", 1, 200, 0)]


def test_room_is_told_from_version_4_on(broker):
    result = described(broker)
    assert result.total_bytes >= result.usable_bytes > 0
    assert described(broker, version=3).total_bytes == -1


def test_a_failed_disk_is_listed_with_its_error(broker):
    broker.partitions.directories[0].offline = DirectoryOffline("x", None)
    result = described(broker)
    assert (result.error_code, result.topics) == (Error.KAFKA_STORAGE_ERROR, [])
