"""Control requests with epochs that there are not; the goldens of the control tests have those that there are."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kafkalike.broker.epoch_checks import check_follower
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients

MODULES = {"leader_and_isr": leader_and_isr, "stop_replica": stop_replica, "update_metadata": update_metadata}


@pytest.mark.parametrize("api", MODULES)
@on_reactor
async def test_a_controller_epoch_that_nobody_had_is_refused_and_not_remembered(
    clients: Clients, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    member = await Cluster(clients).add(1)
    epoch, told = member.replication.controller_epoch, list(member.replication.told)
    assert b"%d" % epoch == (await member.zk.get(ControllerEpoch.path()))[0]
    request = MODULES[api].Request(controller_id=7, controller_epoch=epoch + 1)
    assert Error.STALE_CONTROLLER_EPOCH == (await ask(member, api, request)).error_code
    assert (epoch, told, 1) == (
        member.replication.controller_epoch,
        member.replication.told,
        member.metadata.image.controller_id,
    )
    (line,) = [record.getMessage() for record in caplog.records if record.name == "kafkalike.broker.epoch_checks"]
    assert f"{api} of controller 7 with epoch {epoch + 1} is refused: the newest is {epoch}" == line
    # The request is obeyed once there is such a controller.
    await member.zk.set(ControllerEpoch.path(), b"%d" % (epoch + 1))
    assert Error.NONE == (await ask(member, api, request)).error_code
    assert epoch + 1 == member.replication.controller_epoch


@pytest.mark.parametrize("api", MODULES)
@on_reactor
async def test_a_broker_epoch_that_we_never_had_is_refused(clients: Clients, api: str) -> None:
    member = await Cluster(clients).add(1)
    epoch = member.replication.controller_epoch

    def request(broker_epoch: int) -> Any:
        return MODULES[api].Request(controller_id=1, controller_epoch=epoch, broker_epoch=broker_epoch)

    mine = member.membership.broker_epoch
    told = list(member.replication.told)
    assert Error.STALE_BROKER_EPOCH == (await ask(member, api, request(mine + 1))).error_code
    assert told == member.replication.told
    assert Error.NONE == (await ask(member, api, request(mine))).error_code
    # The controller may have heard of our newest registration before we have.
    member.membership.broker_epoch = mine - 1
    assert Error.NONE == (await ask(member, api, request(mine))).error_code


@on_reactor
async def test_while_zookeeper_says_nothing_a_controller_is_believed(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    request = update_metadata.Request(controller_id=7, controller_epoch=9)
    await member.zk.set(ControllerEpoch.path(), b"garbage")
    assert Error.NONE == (await ask(member, "update_metadata", request)).error_code
    await member.zk.set(ControllerEpoch.path(), b"9")
    await member.zk.delete(BrokerNode.path(1))
    request.controller_epoch = 10
    assert Error.STALE_CONTROLLER_EPOCH == (await ask(member, "update_metadata", request)).error_code
    member.zk.sync = lambda: Deferred()  # type: ignore[method-assign]
    assert Error.NONE == (await ask(member, "update_metadata", request)).error_code
    assert 10 == member.replication.controller_epoch


@on_reactor
async def test_a_followers_next_life_is_one_that_has_registered(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    member = await Cluster(clients).add(1)
    known = member.follower_epochs = {}
    path = BrokerNode.path(2)
    assert Error.NONE == await check_follower(member, 2, 7), "it is between two sessions"
    await member.zk.create(path, b"{}")
    epoch = (await member.zk.exists(path)).czxid
    assert Error.STALE_BROKER_EPOCH == await check_follower(member, 2, epoch + 1)
    assert {} == known
    assert f"Fetch of follower 2 with broker epoch {epoch + 1} is refused: its registration has {epoch}" in caplog.text
    assert Error.NONE == await check_follower(member, 2, epoch)
    assert {2: epoch} == known
    member.zk.sync = lambda: Deferred()  # type: ignore[method-assign]
    assert Error.NONE == await check_follower(member, 2, epoch + 1), "ZooKeeper says nothing"
    assert {2: epoch + 1} == known
