"""The engine on sockets and select."""

import socket
import threading
import time

import pytest

from kafkalike.client.blocking.loop import Loop, unresolved
from kafkalike.client.cluster import Node
from kafkalike.client.effects import Connect, Steps
from kafkalike.client.errors import NotKafka, TimedOut, Unreachable
from kafkalike.protocol.messages import metadata
from tests.servers import Kafka, free_port


def test_names() -> None:
    assert unresolved("127.0.0.1") is None
    assert unresolved("localhost") is None
    assert (unresolved("a.invalid") or "").startswith("the host name a.invalid does not resolve (")
    assert "a..b is no host name" == unresolved("a..b")


def test_names_that_do_not_resolve_are_told_at_once(kafka: Kafka) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match=r"No resolvable bootstrap urls .*: the host name a.invalid does not resolve"):
        Loop("a.invalid:9392", "test", tell=told.append)
    assert [] == told
    loop = Loop(f"b..c:1,{kafka.bootstrap}", "test", tell=told.append)
    assert ["WARN Couldn't resolve server b..c:1 from bootstrap.servers: b..c is no host name"] == told
    assert kafka.broker.broker_id in loop.run(loop.routing.refresh()).nodes
    loop.close()


@pytest.mark.real_zookeeper
def test_zookeeper_is_told_from_kafka_and_nothing_is_tried_again(kafka: Kafka) -> None:
    loop = Loop(kafka.zookeeper.connect, "test", tell=lambda text: None)
    reason = f"Something answers at {kafka.zookeeper.connect}, and it is ZooKeeper, not Kafka: --bootstrap-server .*"
    for _ in range(2):
        with pytest.raises(NotKafka, match=reason):
            loop.run(loop.routing.retrying("listTopics", loop.routing.refresh, timeout_ms=10**9))
    loop.close()
    # Beside a broker it does no harm.
    loop = Loop(f"{kafka.zookeeper.connect},{kafka.bootstrap}", "test", tell=lambda text: None)
    assert kafka.broker.broker_id in loop.run(loop.routing.refresh()).nodes
    loop.close()


def test_an_unreachable_cluster_is_told_once_and_given_up() -> None:
    told: list[str] = []
    loop = Loop(f"127.0.0.1:{free_port()}", "test", bootstrap_timeout_ms=300, tell=told.append)
    with pytest.raises(TimedOut, match=r"Timed out waiting for a node assignment. Call: listTopics"):
        loop.run(loop.routing.retrying("listTopics", lambda: loop.routing.refresh(None)))
    assert 1 == len(told)
    assert "could not be established. Node may not be available." in told[0]
    loop.close()


def test_a_server_that_accepts_and_is_silent_costs_a_second(kafka: Kafka) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        loop = Loop(f"127.0.0.1:{silent.getsockname()[1]},{kafka.bootstrap}", "test")
        assert [kafka.broker.broker_id] == list(loop.run(loop.routing.refresh()).nodes)
        assert 0.9 < time.monotonic() - began < 5
        loop.close()


def test_of_a_host_with_several_addresses_the_next_is_tried_when_one_is_silent(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a name has an IPv6 address whose packets are dropped: the time to connect is shared among them."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # The queue is full now: Linux drops who comes next.
        _, port = kafka.bootstrap.split(":")
        addresses = [full.getsockname(), ("127.0.0.1", int(port))]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr("kafkalike.client.blocking.loop.socket.getaddrinfo", lambda *_, **__: found)
        loop = Loop(f"two.addresses:{port}", "test", request_timeout_ms=3000)
        began = time.monotonic()
        assert [kafka.broker.broker_id] == list(loop.run(loop.routing.refresh()).nodes)
        assert time.monotonic() - began > 1
        loop.close()


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


def connect(node: Node) -> None:
    loop = Loop("127.0.0.1:1", "test", request_timeout_ms=2000)

    def steps() -> Steps[None]:
        yield Connect(node)

    try:
        loop.run(steps())
    finally:
        loop.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\2ab", b"\0\0\0\6\0\0\0\1xx"],
)
def test_what_is_no_broker_is_a_failed_connection(answer: bytes) -> None:
    with pytest.raises(Unreachable):
        connect(Talker(answer).node)


def test_a_port_connected_to_itself_is_nobody() -> None:
    """Linux lets a socket connect to its own port in the range for outgoing connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            connect(Node(0, "127.0.0.1", probe.getsockname()[1]))


def test_requests_of_several_threads_do_not_mix(kafka: Kafka, topic: str, name: str) -> None:
    loop = Loop(kafka.bootstrap, "test")
    node = loop.run(loop.routing.any_node())
    wrong: list[object] = []

    def ask(wanted: str) -> None:
        request = metadata.Request(topics=[metadata.MetadataRequestTopic(name=wanted)])
        for _ in range(30):
            answer = loop.run(loop.routing.ask(node, metadata, request))
            if [wanted] != [t.name for t in answer.topics]:
                wrong.append(answer)

    kafka.create_topic(f"{name}-other", 1)
    threads = [threading.Thread(target=ask, args=(wanted,)) for wanted in (topic, f"{name}-other", topic)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong
    loop.close()


def test_a_thread_keeps_it_going_and_ends_with_it(kafka: Kafka) -> None:
    before = threading.active_count()
    loop = Loop(kafka.bootstrap, "test")
    loop.keep_going("test")
    assert loop.run(loop.routing.refresh()).nodes
    assert before + 1 == threading.active_count()
    loop.close()
    assert before == threading.active_count()
