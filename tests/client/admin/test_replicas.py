"""Partitions are moved, and leaders elected; against a broker."""

from typing import Any

from kafkalike.client.admin.replicas import PREFERRED, OngoingReassignment
from kafkalike.errors import Error
from tests.client.brokers import Brokers
from tests.servers import Kafka


def test_a_reassignment_to_where_the_replicas_are_is_no_news(kafka: Kafka, admin: Any, topic: str) -> None:
    assert {} == admin.reassign({(topic, 0): [kafka.broker.broker_id]})
    assert {} == admin.reassignments({topic: [0, 1]})
    assert {} == admin.ongoing_reassignments()


def test_what_was_refused_is_told_for_each_partition(admin: Any, topic: str) -> None:
    refused = admin.reassign({(topic, 0): [99], (topic, 1): None})
    assert {
        (topic, 0): Error.INVALID_REPLICA_ASSIGNMENT,
        (topic, 1): Error.NO_REASSIGNMENT_IN_PROGRESS,
    } == {partition: problem.error for partition, problem in refused.items()}


def test_an_election_that_nobody_needs(admin: Any, topic: str) -> None:
    results = admin.elect_leaders(PREFERRED, [(topic, 0)])
    assert {(topic, 0): Error.ELECTION_NOT_NEEDED} == {p: problem.error for p, problem in results.items()}


def test_reassignments_that_go_on_are_listed() -> None:
    from kafkalike.client.admin import replicas
    from kafkalike.protocol.messages import list_partition_reassignments as api

    def answer(broker: int, name: str, request: Any) -> Any:
        if name == "Metadata":
            return brokers.metadata({})
        partition = api.OngoingPartitionReassignment(
            partition_index=0, replicas=[1, 2], adding_replicas=[2], removing_replicas=[1]
        )
        return api.Response(topics=[api.OngoingTopicReassignment(name="t", partitions=[partition])])

    brokers = Brokers(answer)
    expected = {("t", 0): OngoingReassignment((1, 2), (2,), (1,))}
    assert expected == brokers.run(replicas.ongoing_reassignments(brokers.routing))
