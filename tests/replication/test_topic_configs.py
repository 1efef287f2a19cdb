"""A topic's configuration over the broker's: made once, and anew when one of them is another."""

from kafkalike.config import broker_config, reconfigure
from kafkalike.replication.topic_configs import TopicConfigs


def test_a_topics_own_value_comes_before_the_brokers() -> None:
    config, _ = broker_config({"zookeeper.connect": "x:1", "log.retention.ms": "7"})
    configs = TopicConfigs(config)
    configs.overrides = {"own": {"retention.ms": "5"}}
    assert (5, 7) == (configs.of("own")["retention.ms"], configs.of("other")["retention.ms"])
    assert configs.of("own") is configs.of("own")
    assert 5 == configs.of_logs("own").retention_ms
    reconfigure(config, {"log.retention.ms": "8"}, {})
    assert (5, 8) == (configs.of("own")["retention.ms"], configs.of("other")["retention.ms"])
    configs.forget("own")
    assert 8 == configs.of("own")["retention.ms"]


def test_what_cannot_be_used_is_left_out_and_told_once(caplog) -> None:
    config, _ = broker_config({"zookeeper.connect": "x:1"})
    configs = TopicConfigs(config)
    configs.overrides = {"t": {"retention.ms": "5", "cleanup.policy": "x"}}
    assert 5 == configs.of("t")["retention.ms"]
    configs.overrides = {"t": {"retention.ms": "6", "cleanup.policy": "x"}}
    assert 6 == configs.of("t")["retention.ms"]
    (line,) = caplog.messages
    assert "cleanup.policy: Invalid value x" in line
