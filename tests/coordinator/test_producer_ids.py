"""Producer ids: each once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from kafkalike.cluster.znodes.producer_ids import ProducerIdBlock
from kafkalike.coordinator.producer_ids import ProducerIds, allocate
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import allocate_producer_ids as messages
from tests.oracle import znodes_golden as golden
from tests.reactor import on_reactor
from tests.zk.test_recipes import Lossy
from tests.zookeeper import Clients
from zk.client import ZkClient, gather


def asked(zk: ZkClient, broker_id: int) -> ProducerIds:
    """Ids of a broker whose controller gives whatever is asked for."""

    async def controller(request: messages.Request) -> messages.Response:
        block = await allocate(zk, request.broker_id)
        return messages.Response(producer_id_start=block.first, producer_id_len=block.last - block.first + 1)

    return ProducerIds(lambda request: ensureDeferred(controller(request)), broker_id, lambda: 7)


@pytest.mark.real_zookeeper
@on_reactor
async def test_the_first_block_is_what_kafka_writes(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.path(), None)
    assert 0 == await asked(zk, 12).next()
    data, stat = await zk.get(ProducerIdBlock.path())
    (node,) = golden.dump("33b")["changed"]
    assert (golden.parsed(node["data"]), node["dataVersion"]) == (golden.parsed(data.decode()), stat.version)


@on_reactor
async def test_no_id_is_given_out_twice(clients: Clients) -> None:
    zk = await clients.open()
    brokers = [asked(await clients.open(), broker_id) for broker_id in range(3)]
    ids = await gather(broker.next() for _ in range(1200) for broker in brokers)
    assert 3600 == len(set(ids))
    assert 6 == (await zk.exists(ProducerIdBlock.path())).version


def test_the_next_block_is_asked_for_before_the_present_one_is_used_up() -> None:
    requests: list[tuple[Any, Deferred[Any]]] = []

    def ask(request: Any) -> Deferred[Any]:
        requests.append((request, Deferred()))
        return requests[-1][1]

    ids = ProducerIds(ask, 3, lambda: 42)
    first = ids.next()
    assert [messages.Request(broker_id=3, broker_epoch=42)] == [request for request, _ in requests]
    requests[0][1].callback(messages.Response(producer_id_start=5000, producer_id_len=1000))
    assert 5000 == first.result
    given = [ids.next().result for _ in range(898)]
    assert 1 == len(requests)
    given.append(ids.next().result)
    assert 2 == len(requests) and list(range(5001, 5900)) == given
    for _ in range(100):
        ids.next()
    late = ids.next()
    assert 2 == len(requests) and not late.called
    requests[1][1].callback(messages.Response(producer_id_start=9000, producer_id_len=1000))
    assert 9000 == late.result and 2 == len(requests)


@pytest.mark.parametrize("answer", [ConnectionError("gone"), messages.Response(error_code=Error.STALE_BROKER_EPOCH)])
def test_without_a_controller_clients_try_again(answer: Any) -> None:
    answers: list[Deferred[Any]] = []
    ids = ProducerIds(lambda request: answers.append(Deferred()) or answers[-1], 3, lambda: 42)  # type: ignore[func-returns-value]
    failed = ids.next()
    (answers[0].errback if isinstance(answer, Exception) else answers[0].callback)(answer)
    problems: list[Any] = []
    failed.addErrback(lambda failure: problems.append(failure.value.error))
    assert [Error.COORDINATOR_LOAD_IN_PROGRESS] == problems
    again = ids.next()
    answers[1].callback(messages.Response(producer_id_start=0, producer_id_len=1000))
    assert 0 == again.result


@on_reactor
async def test_a_lost_answer_loses_no_block(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.path(), None)
    block = await allocate(Lossy(zk, set=1), 1)  # type: ignore[arg-type]
    assert ProducerIdBlock(1, 0, 999) == block
    assert ProducerIdBlock(1, 1000, 1999) == await allocate(zk, 1)


@pytest.mark.parametrize("garbage", [b"", b"x", b'{"version":1,"broker":1,"block_start":0,"block_end":999}'])
@on_reactor
async def test_garbage_gives_a_retriable_error_and_stays(
    clients: Clients, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    zk = await clients.open()
    await zk.create(ProducerIdBlock.path(), garbage)
    with pytest.raises(KafkaError) as caught:
        await allocate(zk, 1)
    assert Error.COORDINATOR_LOAD_IN_PROGRESS == caught.value.error
    assert garbage == (await zk.get(ProducerIdBlock.path()))[0]
    await zk.set(ProducerIdBlock.path(), None)
    assert ProducerIdBlock(1, 0, 999) == await allocate(zk, 1)
