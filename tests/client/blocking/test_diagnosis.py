"""Host names that are none, and ZooKeeper where a broker should be."""

import pytest

from kafkalike.client.blocking.diagnosis import is_zookeeper, unresolved
from tests.servers import Kafka, free_port


def test_names() -> None:
    assert unresolved("127.0.0.1") is None
    assert unresolved("localhost") is None
    assert (unresolved("a.invalid") or "").startswith("the host name a.invalid does not resolve (")
    assert "a..b is no host name" == unresolved("a..b")


@pytest.mark.real_zookeeper
def test_who_is_zookeeper(kafka: Kafka) -> None:
    assert is_zookeeper("127.0.0.1", kafka.zookeeper.port)
    assert not is_zookeeper("127.0.0.1", kafka.broker.port)
    assert not is_zookeeper("127.0.0.1", free_port())
    assert not is_zookeeper("a..b", 1)
