"""Connections, leaders, coordinators, retries."""

import socket
import threading
import time

import pytest

from kafkalike.client.blocking.network import Connection, Network
from kafkalike.client.cluster import Node, parse_servers
from kafkalike.client.errors import Disconnected, NotKafka, TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import metadata
from tests.servers import Kafka, free_port


def test_servers_are_parsed_or_refused_in_kafkas_words() -> None:
    assert [Node(-1, "a", 1), Node(-2, "b.c", 9092)] == parse_servers("a:1, PLAINTEXT://b.c:9092,")
    assert [Node(-1, "::1", 9092)] == parse_servers("[::1]:9092")
    for wrong in ("a", "a:b", "a:²", "a:0", "a:70000", ":1"):
        with pytest.raises(ValueError, match="Invalid url in bootstrap.servers"):
            parse_servers(wrong)
    with pytest.raises(ValueError, match="No resolvable"):
        parse_servers(" ,")


def test_a_cluster_is_discovered(kafka: Kafka, topic: str) -> None:
    network = Network(kafka.bootstrap, "test")
    cluster = network.refresh([topic])
    assert [kafka.broker.broker_id] == list(cluster.nodes)
    assert cluster.controller_id == kafka.broker.broker_id
    assert [0, 1] == [p.partition for p in cluster.topics[topic].partitions]
    assert kafka.broker.port == network.leader(topic, 1).port
    with pytest.raises(KafkaError) as caught:
        network.leader(topic, 2)
    assert Error.UNKNOWN_TOPIC_OR_PARTITION is caught.value.error
    network.close()


def test_an_unreachable_cluster_is_told_once_and_given_up() -> None:
    told: list[str] = []
    network = Network(f"127.0.0.1:{free_port()}", "test", bootstrap_timeout_ms=300, tell=told.append)
    with pytest.raises(TimedOut, match=r"Timed out waiting for a node assignment. Call: listTopics"):
        network.retrying("listTopics", lambda: network.refresh(None))
    assert 1 == len(told)
    assert "could not be established. Node may not be available." in told[0]


def test_a_server_that_accepts_and_is_silent_costs_a_second(kafka: Kafka) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        network = Network(f"127.0.0.1:{silent.getsockname()[1]},{kafka.bootstrap}", "test")
        assert [kafka.broker.broker_id] == list(network.refresh().nodes)
        assert 0.9 < time.monotonic() - began < 5
        network.close()


def test_an_error_that_does_not_pass_is_not_retried() -> None:
    network, attempts = Network("127.0.0.1:1", "test"), []

    def attempt() -> None:
        attempts.append(1)
        raise KafkaError(Error.INVALID_TOPIC_EXCEPTION)

    with pytest.raises(KafkaError):
        network.retrying("x", attempt)
    assert 1 == len(attempts)


def test_an_error_that_passes_is_retried(kafka: Kafka) -> None:
    network = Network(kafka.bootstrap, "test", retry_backoff_ms=1)
    errors = [Error.NOT_CONTROLLER, Error.COORDINATOR_LOAD_IN_PROGRESS]

    def attempt() -> str:
        if errors:
            raise KafkaError(errors.pop())
        return "done"

    assert "done" == network.retrying("x", attempt)
    network.close()


class Talker:
    """A server that answers the first request with these bytes and closes."""

    def __init__(self, answer: bytes) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.node = Node(0, "127.0.0.1", self.socket.getsockname()[1])
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer: bytes) -> None:
        connection, _ = self.socket.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\2ab", b"\0\0\0\6\0\0\0\1xx"],
)
def test_what_is_no_broker_is_a_failed_connection(answer: bytes) -> None:
    with pytest.raises((Disconnected, KafkaError)):
        Connection(Talker(answer).node, "test", 2000)


def test_a_port_connected_to_itself_is_nobody() -> None:
    """Linux lets a socket connect to its own port in the range for outgoing connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(Disconnected):
            Connection(Node(0, "127.0.0.1", port), "test", 500)


def test_requests_of_two_threads_do_not_mix(kafka: Kafka, topic: str) -> None:
    network = Network(kafka.bootstrap, "test")
    node = network.any_node()
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(30):
            answer = network.call(node, metadata, metadata.Request(topics=[metadata.MetadataRequestTopic(name=topic)]))
            if [topic] != [t.name for t in answer.topics]:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong
    network.close()


def test_names_that_do_not_resolve_are_told_at_once(kafka: Kafka) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match=r"No resolvable bootstrap urls .*: the host name a.invalid does not resolve"):
        Network("a.invalid:9392", "test", tell=told.append)
    assert [] == told
    network = Network(f"b..c:1,{kafka.bootstrap}", "test", tell=told.append)
    assert ["WARN Couldn't resolve server b..c:1 from bootstrap.servers: b..c is no host name"] == told
    assert kafka.broker.broker_id in network.refresh().nodes
    network.close()


def test_zookeeper_is_told_from_kafka_and_nothing_is_tried_again(kafka: Kafka) -> None:
    network = Network(kafka.zookeeper.connect, "test", tell=lambda text: None)
    reason = f"Something answers at {kafka.zookeeper.connect}, and it is ZooKeeper, not Kafka: --bootstrap-server .*"
    for _ in range(2):
        with pytest.raises(NotKafka, match=reason):
            network.retrying("listTopics", network.refresh, timeout_ms=10**9)
    # Beside a broker it does no harm.
    network = Network(f"{kafka.zookeeper.connect},{kafka.bootstrap}", "test")
    assert kafka.broker.broker_id in network.refresh().nodes
    network.close()


def test_a_brokers_own_address_that_does_not_resolve_is_told() -> None:
    """It comes from advertised.listeners: the client knows it from the broker."""
    told: list[str] = []
    network = Network("127.0.0.1:1", "test", tell=told.append)
    with pytest.raises(Disconnected):
        network.connection(Node(5, "a.invalid", 9092))
    assert 1 == len(told)
    assert (
        "Connection to node 5 (a.invalid:9092) could not be established. Node may not be available: the host name "
        in (told[0])
    )
    assert "(advertised.listeners)" in told[0]
