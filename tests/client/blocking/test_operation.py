"""Steps as methods."""

from kafkalike.client.blocking.admin import Admin
from tests.servers import Kafka


def test_a_method_is_documented_as_its_steps_and_takes_their_arguments(kafka: Kafka, name: str) -> None:
    assert "Creates a topic" in (Admin.__dict__["create_topic"].__doc__ or "")
    with Admin(kafka.bootstrap) as admin:
        assert "create_topic" == admin.create_topic.__name__
        assert admin.create_topic(name, partitions=1, validate_only=True) is None
