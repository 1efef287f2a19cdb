"""Topic keys become the settings of a log."""

from kafkalike.config import broker_config, topic_config
from kafkalike.storage.config import FOREVER, LogConfig


def test_absent_keys_have_their_defaults_and_nothing_is_ever_deleted_by_itself() -> None:
    config = LogConfig.of({})
    assert LogConfig() == config
    assert (1 << 30, -1, -1, FOREVER) == (
        config.segment_bytes,
        config.retention_ms,
        config.retention_bytes,
        config.flush_messages,
    )
    assert config.deletes and not config.compacts


def test_keys_are_kafkas() -> None:
    config = LogConfig.of(
        {"segment.bytes": 100, "message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact, delete"}
    )
    assert (100, "LogAppendTime", True, True) == (
        config.segment_bytes,
        config.message_timestamp_type,
        config.deletes,
        config.compacts,
    )


def test_a_topics_configuration_fits() -> None:
    config = LogConfig.of(topic_config(broker_config({"zookeeper.connect": "x"})[0], {"max.message.bytes": "5"}))
    assert (5, ("delete",)) == (config.max_message_bytes, config.cleanup_policy)
    assert 86400000 == config.producer_id_expiration_ms


def test_the_deprecated_bound_of_timestamps_counts_where_the_others_say_nothing() -> None:
    both = LogConfig.of({"message.timestamp.difference.max.ms": 5})
    assert (5, 5) == (both.message_timestamp_before_max_ms, both.message_timestamp_after_max_ms)
    one = LogConfig.of({"message.timestamp.difference.max.ms": 5, "message.timestamp.after.max.ms": 7})
    assert (5, 7) == (one.message_timestamp_before_max_ms, one.message_timestamp_after_max_ms)
