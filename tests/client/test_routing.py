"""Who is asked, and what is asked again; on brokers that the test makes up."""

from typing import Any

import pytest

from kafkalike.client.cluster import Node
from kafkalike.client.effects import Steps
from kafkalike.client.errors import Disconnected, NotKafka, TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import find_coordinator
from tests.client.brokers import Brokers


def with_topic(brokers: Brokers, *leaders: int) -> Brokers:
    """Brokers that know a topic "t" with these leaders."""
    brokers.answer = lambda broker, api, request: brokers.metadata(
        {topic.name: list(leaders) if topic.name == "t" else [] for topic in request.topics or []}
    )
    return brokers


def test_leaders_are_looked_up_once_and_again_when_forgotten() -> None:
    brokers = with_topic(Brokers(), 1, 0)
    routing = brokers.routing
    assert 1 == brokers.run(routing.leader("t", 0)).id
    assert {1: [("t", 0)], 0: [("t", 1)]} == {
        node.id: parts for node, parts in brokers.run(routing.by_leader([("t", 0), ("t", 1)])).items()
    }
    assert [(0, "Metadata")] == brokers.asked
    routing.forget_topics(["t"])
    brokers.run(routing.leader("t", 0))
    assert 2 == len(brokers.asked)
    for topic, partition in (("t", 2), ("u", 0)):
        with pytest.raises(KafkaError) as caught:
            brokers.run(routing.leader(topic, partition))
        assert Error.UNKNOWN_TOPIC_OR_PARTITION is caught.value.error


def test_a_partition_without_leader_is_looked_up_again() -> None:
    brokers = with_topic(Brokers(), -1)
    for _ in range(2):
        with pytest.raises(KafkaError) as caught:
            brokers.run(brokers.routing.leader("t", 0))
        assert Error.LEADER_NOT_AVAILABLE is caught.value.error
    assert 2 == len(brokers.asked)


def test_a_server_that_accepts_and_is_silent_costs_a_second() -> None:
    brokers = with_topic(Brokers())
    brokers.routing.bootstrap = [Node(-1, "b0", 1), Node(1, "b1", 1)]
    brokers.silent = {0}
    before = brokers.clock.now_ms
    assert 1 == brokers.run(brokers.routing.any_node()).id
    assert 1000 == brokers.clock.now_ms - before
    assert [] == brokers.told


def test_the_node_that_has_a_connection_is_asked() -> None:
    brokers = with_topic(Brokers())
    brokers.run(brokers.routing.refresh())
    brokers.run(brokers.routing.refresh())
    assert [(0, "")] == brokers.opened


def test_nobody_there_is_told_once_and_given_up_after_the_time_for_bootstrapping() -> None:
    brokers = Brokers()
    brokers.away = {0}
    before = brokers.clock.now_ms
    with pytest.raises(TimedOut, match=r"Timed out waiting for a node assignment. Call: listTopics \(refused\)"):
        brokers.run(brokers.routing.retrying("listTopics", lambda: brokers.routing.refresh(None)))
    assert 9_000 < brokers.clock.now_ms - before <= 10_000
    assert ["WARN Connection to node -1 (b0:1) could not be established. Node may not be available."] == brokers.told


def test_a_brokers_own_address_that_does_not_resolve_is_told() -> None:
    """It comes from advertised.listeners: the client knows it from the broker."""
    brokers = Brokers()
    brokers.away, brokers.unresolved = {1}, {"b1"}
    with pytest.raises(Disconnected):
        brokers.run(brokers.routing.connect(Node(1, "b1", 1)))
    (told,) = brokers.told
    assert "the host name b1 does not resolve, and the broker says that it is there (advertised.listeners)." in told


def test_bootstrap_servers_that_do_not_resolve_are_left_out() -> None:
    brokers = Brokers()
    brokers.routing.bootstrap = [Node(-1, "x", 1), Node(-2, "b0", 1)]
    brokers.unresolved = {"x"}
    brokers.run(brokers.routing.resolve_bootstrap())
    assert [Node(-2, "b0", 1)] == brokers.routing.bootstrap
    assert ["WARN Couldn't resolve server x:1 from bootstrap.servers: the host name x does not resolve"] == brokers.told
    brokers.unresolved = {"b0"}
    with pytest.raises(ValueError, match=r"No resolvable bootstrap urls .*: the host name b0 does not resolve"):
        brokers.run(brokers.routing.resolve_bootstrap())


def test_zookeeper_is_told_from_kafka_and_nothing_is_tried_again() -> None:
    brokers = Brokers()
    brokers.away, brokers.zookeeper = {0}, True
    with pytest.raises(NotKafka, match="Something answers at b0:1, and it is ZooKeeper, not Kafka"):
        brokers.run(brokers.routing.retrying("listTopics", brokers.routing.refresh))
    assert 1 == len(brokers.opened)


def failing(*errors: Error) -> Any:
    """Steps that fail with each of these in turn, and then are done."""
    left = list(errors)

    def attempt() -> Steps[str]:
        if left:
            raise KafkaError(left.pop(0))
        yield from ()
        return "done"

    return attempt


def test_an_error_that_passes_is_retried_with_a_growing_pause() -> None:
    brokers = with_topic(Brokers())
    before = brokers.clock.now_ms
    errors = [Error.NOT_CONTROLLER] * 6
    assert "done" == brokers.run(brokers.routing.retrying("x", failing(*errors)))
    assert 100 + 200 + 400 + 800 + 1000 + 1000 == brokers.clock.now_ms - before


def test_an_error_that_does_not_pass_is_not_retried() -> None:
    brokers = with_topic(Brokers())
    for error in (Error.INVALID_TOPIC_EXCEPTION, Error.UNKNOWN_TOPIC_OR_PARTITION):
        with pytest.raises(KafkaError) as caught:
            brokers.run(brokers.routing.retrying("x", failing(error)))
        assert error is caught.value.error
    assert [] == brokers.asked


def test_an_error_that_lasts_is_told_when_the_time_is_over() -> None:
    brokers = with_topic(Brokers())
    with pytest.raises(KafkaError) as caught:
        brokers.run(brokers.routing.retrying("x", failing(*[Error.NOT_CONTROLLER] * 99), timeout_ms=3000))
    assert Error.NOT_CONTROLLER is caught.value.error


def test_a_coordinator_that_moved_is_looked_up_again() -> None:
    coordinators = [0, 1]

    def answer(broker: int, api: str, request: Any) -> Any:
        if api == "Metadata":
            return brokers.metadata({})
        number = coordinators.pop(0)
        return find_coordinator.Response(node_id=number, host=f"b{number}", port=1)

    brokers = Brokers(answer)
    seen: list[int] = []

    def attempt() -> Steps[None]:
        node = yield from brokers.routing.coordinator("g")
        seen.append(node.id)
        if node.id == 0:
            raise KafkaError(Error.NOT_COORDINATOR)

    brokers.run(brokers.routing.retrying("x", attempt, group="g"))
    brokers.run(brokers.routing.coordinator("g"))
    assert [0, 1] == seen
    assert [] == coordinators


def test_without_controller_the_cluster_is_asked_again() -> None:
    controllers = [-1, 1]
    brokers = Brokers()
    brokers.answer = lambda broker, api, request: brokers.metadata({}, controllers.pop(0) if controllers else 1)
    assert 1 == brokers.run(brokers.routing.retrying("x", brokers.routing.controller)).id
