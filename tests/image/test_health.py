from __future__ import annotations

from pathlib import Path

from image.health import diagnosis
from tests.servers import Broker, EmbeddedZooKeeper, free_port


def test_a_broker_that_answers_and_knows_itself_is_well(tmp_path: Path) -> None:
    with (
        EmbeddedZooKeeper(tmp_path / "zookeeper") as zookeeper,
        Broker(tmp_path / "broker", zookeeper.connect, 3) as broker,
    ):
        assert diagnosis("127.0.0.1", broker.port, 3) is None
        assert diagnosis("127.0.0.1", broker.port, -1) is None
        assert "it knows the brokers [3], and is none of them" == diagnosis("127.0.0.1", broker.port, 4)
    assert "does not answer" in (diagnosis("127.0.0.1", broker.port, 3) or "")


def test_nobody_is_not_well() -> None:
    assert "does not answer" in (diagnosis("127.0.0.1", free_port(), 0) or "")
