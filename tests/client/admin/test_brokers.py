"""Who is in the cluster, and what each broker speaks; against a broker."""

from typing import Any

from tests.servers import Kafka


def test_a_cluster_is_discovered(kafka: Kafka, admin: Any, topic: str) -> None:
    cluster = admin.cluster([topic])
    assert [kafka.broker.broker_id] == list(cluster.nodes)
    assert cluster.controller_id == kafka.broker.broker_id
    assert [0, 1] == [p.partition for p in cluster.topics[topic].partitions]


def test_every_broker_tells_its_versions(admin: Any) -> None:
    for node in admin.cluster().nodes.values():
        versions = admin.api_versions(node)
        assert versions[3][1] >= 9, "Metadata"
        assert 0 == versions[0][0], "Produce from version 0, or librdkafka turns compression off"
