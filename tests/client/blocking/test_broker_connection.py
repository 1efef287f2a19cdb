"""One broker, asked directly."""

import pytest

from kafkalike.client.blocking.broker_connection import BrokerConnection
from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected
from kafkalike.protocol.messages import metadata
from tests.servers import Kafka, free_port


def test_a_broker_answers(kafka: Kafka) -> None:
    connection = BrokerConnection(Node(-1, "127.0.0.1", kafka.broker.port), "test", 2000)
    assert metadata.API_KEY in connection.versions
    answer = connection.ask(metadata, metadata.Request(topics=[]), 2000)
    assert [kafka.broker.port] == [broker.port for broker in answer.brokers]
    connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
def test_nobody_is_disconnected(host: str) -> None:
    with pytest.raises(Disconnected):
        BrokerConnection(Node(-1, host, free_port()), "test", 2000)
