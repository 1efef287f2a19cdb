"""Admin on the reactor: calls run side by side, and nothing needs a thread. tests/client/admin has the operations."""

from twisted.internet import defer, reactor

from kafkalike.client.twisted.admin import Admin
from kafkalike.errors import KafkaError
from tests.client.faces import own_threads
from tests.reactor import on_reactor
from tests.servers import Kafka


@on_reactor
async def test_calls_run_side_by_side_without_a_thread(kafka: Kafka, topic: str) -> None:
    threads = own_threads()
    admin = Admin(reactor, kafka.bootstrap)
    found = await defer.gatherResults([admin.describe_topics([topic]) for _ in range(20)])
    assert [{topic}] * 20 == [set(topics) for topics in found]
    assert threads == own_threads()
    admin.close()


@on_reactor
async def test_a_failure_is_the_deferreds(kafka: Kafka, name: str) -> None:
    admin = Admin(reactor, kafka.bootstrap)
    try:
        await admin.describe_topics([name])
    except KafkaError as problem:
        assert "UNKNOWN_TOPIC_OR_PARTITION" == problem.error.name
    else:
        raise AssertionError
    admin.close()
