"""How the session with ZooKeeper is: Kafka's ZooKeeperClientMetrics and SessionExpireListener."""

from __future__ import annotations

from kafkalike.metrics import Gauge, Meter, Timer
from zk.client import CONNECTED, LOST, SUSPENDED, ZkClient

LATENCY = Timer("kafka.server:type=ZooKeeperClientMetrics,name=ZooKeeperRequestLatencyMs")
# Kafka's SessionState is a word, which no exporter shows.
IS_CONNECTED = Gauge("kafkalike_zookeeper_connected")
CHANGES = {
    CONNECTED: Meter("kafka.server:type=SessionExpireListener,name=ZooKeeperSyncConnectsPerSec"),
    SUSPENDED: Meter("kafka.server:type=SessionExpireListener,name=ZooKeeperDisconnectsPerSec"),
    LOST: Meter("kafka.server:type=SessionExpireListener,name=ZooKeeperExpiresPerSec"),
}


def watch(zk: ZkClient) -> None:
    """Measures this client from now on."""
    zk.on_answer = LATENCY.of().update
    zk.add_listener(_changed)
    IS_CONNECTED.watch(zk, lambda client: int(client.state == CONNECTED))


def _changed(state: str) -> None:
    CHANGES[state].mark()
