"""All parts together: what a stop leaves for the next start, and configurations that change meanwhile."""

import pytest

from kafkalike.config import reconfigure
from kafkalike.errors import Error, KafkaError
from tests import reactor as shared
from tests.replication.test_replicas import errors, lead, opened, records  # noqa: F401  (opened is a fixture)


def test_a_restart_finds_records_and_high_watermark(opened):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    replication.append_as_leader("t", 0, records(5), 1)
    shared.run(replication.stop)
    again = opened()
    assert errors(shared.run(again.leader_and_isr, lead(epoch=1))) == [0]
    assert again.partition("t", 0).high_watermark == 5
    assert again.log("t", 0).end_offset_for_epoch(0) == (0, 5)


def test_nothing_is_appended_once_the_logs_are_closed(opened):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    shared.run(replication.stop)
    with pytest.raises(KafkaError) as refusal:
        replication.append_as_leader("t", 0, records(), 1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    assert replication.partitions.directories[0].offline is None


def test_a_value_of_a_topic_that_cannot_be_used_stops_neither_the_others_nor_later_ones(opened, caplog):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    log = replication.partitions.hosted["t", 0].log
    for limit in ("5000", "6000"):
        shared.run(
            replication.configure, "t", {"max.message.bytes": limit, "cleanup.policy": "x", "retention.days": "1"}
        )
        assert (int(limit), ("delete",)) == (log.config.max_message_bytes, log.config.cleanup_policy)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "cleanup.policy: Invalid value x" in line
    assert "retention.days: Unknown topic config name" in line


def test_a_broker_key_that_is_a_logs_too_reaches_it(opened):  # noqa: F811
    replication = opened(**{"producer.id.expiration.ms": "7000"})
    shared.run(replication.leader_and_isr, lead())
    log = replication.partitions.hosted["t", 0].log
    assert 7000 == log.config.producer_id_expiration_ms
    reconfigure(replication.config, {"producer.id.expiration.ms": "8000"}, {})
    shared.run(replication.configure, "t", {})
    assert 8000 == log.config.producer_id_expiration_ms
