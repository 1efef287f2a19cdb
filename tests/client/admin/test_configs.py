"""Configurations are described, altered one by one and replaced; against a broker."""

from typing import Any

from kafkalike.client.admin.configs import BROKER, BROKER_LOGGER, TOPIC
from tests.servers import Kafka, wait_until


def set_values(admin: Any, topic: str) -> dict[str, str | None]:
    return {c.name: c.value for c in admin.describe_configs([topic])[topic] if not c.is_default}


def test_values_of_topics_are_set_deleted_and_replaced(admin: Any, topic: str) -> None:
    admin.alter_configs({(TOPIC, topic): {"retention.ms": "1000", "segment.bytes": "2000000"}})
    wait_until(lambda: {"retention.ms": "1000", "segment.bytes": "2000000"} == set_values(admin, topic))
    admin.alter_configs({(TOPIC, topic): {"retention.ms": None}})
    wait_until(lambda: {"segment.bytes": "2000000"} == set_values(admin, topic))
    admin.replace_configs({(TOPIC, topic): {"retention.ms": "5000"}})
    wait_until(lambda: {"retention.ms": "5000"} == set_values(admin, topic))
    (entry,) = [c for c in admin.describe_configs([topic], synonyms=True)[topic] if c.name == "retention.ms"]
    assert "5000" == entry.synonyms[0][2]
    assert {} == admin.describe_configs([])


def test_a_brokers_configuration_is_asked_of_itself(kafka: Kafka, admin: Any) -> None:
    number = str(kafka.broker.broker_id)
    assert number in {c.value for c in admin.describe_configs([number], BROKER)[number] if c.name == "broker.id"}
    assert admin.describe_configs([number], BROKER_LOGGER)[number]
