"""Producer ids: each once."""

from __future__ import annotations

import pytest

from kafkalike.cluster.znodes import ProducerIdBlock
from kafkalike.coordinator.producer_ids import ProducerIds, allocate
from kafkalike.errors import Error, KafkaError
from tests.oracle import znodes_golden as golden
from tests.reactor import on_reactor
from tests.zk.test_recipes import Lossy
from tests.zoo import Clients
from zk.client import gather


@pytest.mark.real_zookeeper
@on_reactor
async def test_the_first_block_is_what_kafka_writes(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.PATH, None)
    assert 0 == await ProducerIds(zk, 12).next()
    data, stat = await zk.get(ProducerIdBlock.PATH)
    (node,) = golden.dump("33b")["changed"]
    assert (golden.parsed(node["data"]), node["dataVersion"]) == (golden.parsed(data.decode()), stat.version)


@on_reactor
async def test_no_id_is_given_out_twice(clients: Clients) -> None:
    zk = await clients.open()
    brokers = [ProducerIds(await clients.open(), broker_id) for broker_id in range(3)]
    ids = await gather(broker.next() for _ in range(1200) for broker in brokers)
    assert 3600 == len(set(ids))
    assert 6 == (await zk.exists(ProducerIdBlock.PATH)).version


@on_reactor
async def test_a_lost_answer_loses_no_block(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.PATH, None)
    block = await allocate(Lossy(zk, set=1), 1)  # type: ignore[arg-type]
    assert ProducerIdBlock(1, 0, 999) == block
    assert ProducerIdBlock(1, 1000, 1999) == await allocate(zk, 1)


@pytest.mark.parametrize("garbage", [b"", b"x", b'{"version":1,"broker":1,"block_start":0,"block_end":999}'])
@on_reactor
async def test_garbage_gives_a_retriable_error_and_stays(
    clients: Clients, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.PATH, garbage)
    ids = ProducerIds(zk, 1)
    with pytest.raises(KafkaError) as caught:
        await ids.next()
    assert Error.COORDINATOR_LOAD_IN_PROGRESS == caught.value.error
    assert garbage == (await zk.get(ProducerIdBlock.PATH))[0]
    await zk.set(ProducerIdBlock.PATH, None)
    assert 0 == await ids.next()
