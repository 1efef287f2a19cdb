"""Java's property names as keyword arguments."""

from kafkalike.client.properties import admin_options, consumer_options, producer_options


def test_producer_properties() -> None:
    given = {"acks": "all", "linger.ms": "5", "compression.type": "lz4", "enable.idempotence": "False", "x": "y"}
    expected = {"acks": -1, "linger_ms": 5, "compression_type": "lz4", "enable_idempotence": False}
    assert expected == producer_options(given)
    limit = {"max.in.flight.requests.per.connection": "1"}
    assert {"max_in_flight_requests_per_connection": 1} == producer_options(limit)
    assert {"keyless": "sticky"} == producer_options({"partitioner.class": "a.b.DefaultPartitioner"})


def test_consumer_properties() -> None:
    given = {"group.id": "g", "session.timeout.ms": "6000", "enable.auto.commit": "true"}
    expected = {"group_id": "g", "session_timeout_ms": 6000, "enable_auto_commit": True}
    assert expected == consumer_options(given)
    strategy = {"partition.assignment.strategy": "org.apache.kafka.clients.consumer.RoundRobinAssignor"}
    assert {"strategies": ["roundrobin"]} == consumer_options(strategy)


def test_admin_properties() -> None:
    assert {"request_timeout_ms": 7, "client_id": "c"} == admin_options({"request.timeout.ms": "7", "client.id": "c"})
