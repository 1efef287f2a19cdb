"""Control requests, producer ids, AlterPartition and ControlledShutdown at the broker that gets them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import defer

from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.errors import Error
from kafkalike.protocol.messages import (
    allocate_producer_ids,
    alter_partition,
    controlled_shutdown,
    init_producer_id,
    leader_and_isr,
    stop_replica,
    update_metadata,
)
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.controller.test_controller import has, write_topic_znode
from tests.reactor import on_reactor
from tests.zookeeper import Clients
from zk.client import SessionExpired


@on_reactor
async def test_a_stale_controllers_metadata_is_refused(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await member.zk.set(ControllerEpoch.path(), b"5")
    endpoint = update_metadata.UpdateMetadataEndpoint(port=1, host="h", listener="PLAINTEXT")
    newer = update_metadata.Request(
        controller_id=7,
        controller_epoch=5,
        live_brokers=[update_metadata.UpdateMetadataBroker(id=7, endpoints=[endpoint])],
    )
    assert Error.NONE == (await ask(member, "update_metadata", newer)).error_code
    assert (7, [7]) == (member.metadata.image.controller_id, list(member.metadata.image.brokers))
    older = update_metadata.Request(controller_id=8, controller_epoch=4)
    assert Error.STALE_CONTROLLER_EPOCH == (await ask(member, "update_metadata", older)).error_code
    assert 7 == member.metadata.image.controller_id


@pytest.mark.parametrize(("api", "module"), [("leader_and_isr", leader_and_isr), ("stop_replica", stop_replica)])
@on_reactor
async def test_replicas_get_what_is_theirs(clients: Clients, api: str, module: Any) -> None:
    member = await Cluster(clients).add(1)
    for version in range(module.VERSIONS[1] + 1):
        answer = await ask(member, api, module.Request(controller_id=1, controller_epoch=1), version)
        assert Error.NONE == answer.error_code
    assert 1 == member.replication.told[-1].controller_id


@on_reactor
async def test_leader_and_isr_during_which_the_session_ends_was_for_an_earlier_life(clients: Clients) -> None:
    """Simulation, seed 101727."""
    member = await Cluster(clients).add(1)
    member.replication.leader_and_isr = lambda *_: defer.fail(SessionExpired())
    answer = await ask(member, "leader_and_isr", leader_and_isr.Request(controller_id=1, controller_epoch=1))
    assert Error.STALE_BROKER_EPOCH == answer.error_code


@pytest.mark.parametrize("version", range(6))
@on_reactor
async def test_an_idempotent_producer_gets_an_id_of_its_own(clients: Clients, version: int) -> None:
    member = await Cluster(clients).add(1)
    request = init_producer_id.Request(transactional_id=None, transaction_timeout_ms=1000)
    answers = [await ask(member, "init_producer_id", request, version) for _ in range(2)]
    assert [(Error.NONE, 0, 0), (Error.NONE, 1, 0)] == [
        (a.error_code, a.producer_id, a.producer_epoch) for a in answers
    ]


@on_reactor
async def test_ids_that_contradict_themselves_and_transactions_are_refused(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    for fields, error in (
        ({"transactional_id": None, "producer_id": 5}, Error.INVALID_REQUEST),
        ({"transactional_id": None, "producer_epoch": 5}, Error.INVALID_REQUEST),
        ({"transactional_id": ""}, Error.INVALID_REQUEST),
        ({"transactional_id": "x"}, Error.UNSUPPORTED_VERSION),
    ):
        request = init_producer_id.Request(transaction_timeout_ms=1000, **fields)  # type: ignore[arg-type]
        answer = await ask(member, "init_producer_id", request)
        assert (error, -1) == (answer.error_code, answer.producer_id)


@on_reactor
async def test_the_controller_gives_blocks_to_brokers_it_knows(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)

    async def block(member: Any, broker_id: int, epoch: int) -> Any:
        request = allocate_producer_ids.Request(broker_id=broker_id, broker_epoch=epoch)
        return await ask(member, "allocate_producer_ids", request)

    for start in (0, 1000):
        answer = await block(one, 2, two.membership.broker_epoch)
        assert (Error.NONE, start, 1000) == (answer.error_code, answer.producer_id_start, answer.producer_id_len)
    assert Error.STALE_BROKER_EPOCH == (await block(one, 2, two.membership.broker_epoch + 1)).error_code
    assert Error.BROKER_ID_NOT_REGISTERED == (await block(one, 9, 1)).error_code
    assert Error.NOT_CONTROLLER == (await block(two, 2, two.membership.broker_epoch)).error_code


@pytest.mark.parametrize("version", range(4))
@on_reactor
async def test_a_broker_that_leaves_hands_over_its_leaderships(clients: Clients, version: int) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    await write_topic_znode(one.zk, "t", {0: (2, 1), 1: (2,)})
    assert await two.metadata.wait(has("t", 2), 10000)

    def request(broker_id: int, epoch: int) -> Any:
        return controlled_shutdown.Request(broker_id=broker_id, broker_epoch=epoch)

    epoch = two.membership.broker_epoch
    if version >= 2:
        assert (
            Error.STALE_BROKER_EPOCH
            == (await ask(one, "controlled_shutdown", request(2, epoch - 1), version)).error_code
        )
    for member, broker_id, error in ((one, 9, Error.BROKER_NOT_AVAILABLE), (two, 2, Error.NOT_CONTROLLER)):
        answer = await ask(member, "controlled_shutdown", request(broker_id, epoch), version)
        assert error == answer.error_code
    answer = await ask(one, "controlled_shutdown", request(2, epoch), version)
    assert (Error.NONE, []) == (answer.error_code, answer.remaining_partitions)
    state = one.metadata.image.partition("t", 0)
    assert state is not None and (1, (1,)) == (state.leader, state.isr)
    # The other one has nobody to hand over to: the second has left, the first is the last.
    answer = await ask(one, "controlled_shutdown", request(1, one.membership.broker_epoch), version)
    assert [("t", 0)] == [(p.topic_name, p.partition_index) for p in answer.remaining_partitions]


@pytest.mark.parametrize("version", range(4))
@on_reactor
async def test_only_the_controller_alters_partitions(clients: Clients, version: int) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    request = alter_partition.Request(broker_id=2, broker_epoch=two.membership.broker_epoch)
    assert Error.NONE == (await ask(one, "alter_partition", request, version)).error_code
    assert Error.NOT_CONTROLLER == (await ask(two, "alter_partition", request, version)).error_code
    request.broker_epoch -= 1
    assert Error.STALE_BROKER_EPOCH == (await ask(one, "alter_partition", request, version)).error_code
