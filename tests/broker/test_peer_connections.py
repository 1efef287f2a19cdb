"""Connections to other brokers: at the address that the metadata tell, or that the controller knows."""

from types import SimpleNamespace

import pytest
from twisted.internet import reactor

from kafkalike.broker.peer_connections import Peers
from kafkalike.cluster.metadata import Broker, Image
from kafkalike.config import broker_config
from kafkalike.protocol.messages import heartbeat
from tests import reactor as shared
from tests.net.test_peer import remote, server  # noqa: F401  (fixtures)


@pytest.fixture
def metadata(server):  # noqa: F811
    return SimpleNamespace(image=image(server.port))


def image(port):
    return Image(brokers={2: Broker(2, None, {"PLAINTEXT": ("127.0.0.1", port, "PLAINTEXT")})})


@pytest.fixture
def peers(metadata):
    config, _ = broker_config({"zookeeper.connect": "x:1"})
    made = Peers(1, config, metadata, reactor)
    yield made
    shared.run(made.close)


def test_only_brokers_in_the_metadata_are_known(peers):
    assert (peers.knows(2), peers.knows(3)) == (True, False)

    async def ask():
        await peers.fetch_channel(3, heartbeat, 0, heartbeat.Request())

    with pytest.raises(ConnectionError, match="the address of broker 3 is not known"):
        shared.run(ask)


def test_a_request_goes_to_the_broker_and_its_answer_comes_back(peers, remote):  # noqa: F811
    async def ask():
        answer = peers.fetch_channel(2, heartbeat, 0, heartbeat.Request(group_id="g"))
        await remote.arrived
        remote.calls[0].reply(error=27)
        return await answer

    assert shared.run(ask).error_code == 27


def test_a_broker_that_came_back_elsewhere_is_asked_there(peers, metadata, server, remote):  # noqa: F811
    metadata.image = image(1)

    async def ask(expected_calls):
        answer = peers.fetch_channel(2, heartbeat, 0, heartbeat.Request(group_id="g"))
        if expected_calls:
            await remote.arrived
            remote.calls[0].reply()
        return await answer

    with pytest.raises(ConnectionError):
        shared.run(ask, 0)
    metadata.image = image(server.port)
    assert shared.run(ask, 1).error_code == 0
