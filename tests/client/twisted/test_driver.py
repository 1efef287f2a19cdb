"""The engine on a reactor: nobody there, ZooKeeper there, calls that are cancelled."""

import pytest
from twisted.internet import reactor

from kafkalike.client.errors import Disconnected, NotKafka, TimedOut
from kafkalike.client.twisted.driver import Driver
from tests.reactor import on_reactor
from tests.servers import Kafka, free_port


@on_reactor
async def test_nobody_there() -> None:
    driver = Driver(reactor, f"127.0.0.1:{free_port()}", "test", default_api_timeout_ms=300)
    with pytest.raises(TimedOut, match="Timed out waiting for a node assignment"):
        await driver.run(driver.routing.retrying("listTopics", driver.routing.refresh))
    driver.close()


@on_reactor
async def test_zookeeper_is_told_from_kafka(kafka: Kafka) -> None:
    driver = Driver(reactor, kafka.zookeeper.connect, "test")
    with pytest.raises(NotKafka, match="and it is ZooKeeper, not Kafka"):
        await driver.run(driver.routing.refresh())
    driver.close()


@on_reactor
async def test_names_that_do_not_resolve() -> None:
    driver = Driver(reactor, "a.invalid:1", "test")
    with pytest.raises(ValueError, match="the host name a.invalid does not resolve"):
        await driver.run(driver.routing.resolve_bootstrap())
    driver.close()


@on_reactor
async def test_a_call_can_be_cancelled(kafka: Kafka) -> None:
    driver = Driver(reactor, kafka.bootstrap, "test")
    call = driver.run(driver.routing.refresh())
    call.cancel()
    with pytest.raises(Disconnected):
        await call
    driver.close()
