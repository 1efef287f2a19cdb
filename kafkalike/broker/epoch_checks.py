"""Requests with epochs that nobody ever had.

A controller epoch above the newest we have heard of is a new controller's, and one that we believed though it was made
up would have us refuse every real controller from then on. So the first request of each epoch is compared with
/controller_epoch, which a controller has written before it says anything; and a broker epoch above our own with our
registration, of which a controller may hear sooner than we do. A follower's fetch with a broker epoch above those that
we know is its next life's, and would have us refuse the real one from then on: it is compared with its registration.
Apache's brokers believe all three.
"""

from __future__ import annotations

import logging
from typing import Protocol

from twisted.internet import defer

from kafkalike.broker.broker import Broker
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.errors import Error
from zk.client import Stat, ZooKeeperError, both
from zk.recipes import get_or_none

log = logging.getLogger(__name__)

# While ZooKeeper does not answer, the broker believes the request, which may save the partition.
PATIENCE_SECONDS = 0.5


class ControlRequest(Protocol):
    """LeaderAndIsr, StopReplica or UpdateMetadata."""

    controller_id: int
    controller_epoch: int
    broker_epoch: int


async def check_controller(broker: Broker, request: ControlRequest) -> Error:
    """11 or 77 for a request whose controller epoch, or broker epoch, there is not; a line says so."""
    known = max(broker.replication.control_requests.controller_epoch, broker.controller.epoch)
    if request.controller_epoch <= known and request.broker_epoch <= broker.membership.broker_epoch:
        return Error.NONE
    asked = defer.ensureDeferred(_newest(broker)).addTimeout(PATIENCE_SECONDS, broker.reactor)
    try:
        controller_epoch, broker_epoch = await asked
    except (ZooKeeperError, Garbage, defer.TimeoutError) as problem:
        log.info("controller epoch %d is believed: %s", request.controller_epoch, problem or type(problem).__name__)
        return Error.NONE
    name = type(request).__module__.rpartition(".")[2]
    if request.controller_epoch > controller_epoch:
        told = (name, request.controller_id, request.controller_epoch, controller_epoch)
        log.warning("%s of controller %d with epoch %d is refused: the newest is %d", *told)
        return Error.STALE_CONTROLLER_EPOCH
    if request.broker_epoch > broker_epoch:
        told = (name, request.controller_id, request.broker_epoch, broker_epoch)
        log.warning("%s of controller %d for broker epoch %d is refused: ours is %d", *told)
        return Error.STALE_BROKER_EPOCH
    return Error.NONE


async def check_follower(broker: Broker, broker_id: int, broker_epoch: int) -> Error:
    """77 for a follower's broker epoch that is higher than its registration's; else it is remembered."""
    asked = defer.ensureDeferred(_registration(broker, broker_id)).addTimeout(PATIENCE_SECONDS, broker.reactor)
    try:
        found = await asked
    except (ZooKeeperError, defer.TimeoutError) as problem:
        told = (broker_epoch, broker_id, problem or type(problem).__name__)
        log.info("broker epoch %d of follower %d is believed: %s", *told)
    else:
        if found is None:
            return Error.NONE  # Between two sessions it still has its old one: asked again with the next fetch.
        if broker_epoch > found.czxid:
            told = (broker_id, broker_epoch, found.czxid)
            log.warning("Fetch of follower %d with broker epoch %d is refused: its registration has %d", *told)
            return Error.STALE_BROKER_EPOCH
    lives = broker.follower_epochs
    lives[broker_id] = max(broker_epoch, lives.get(broker_id, broker_epoch))
    return Error.NONE


async def _registration(broker: Broker, broker_id: int) -> Stat | None:
    _, found = await both(broker.zk.sync(), broker.zk.exists(BrokerNode.path(broker_id)))
    return found


async def _newest(broker: Broker) -> tuple[int, int]:
    """Reads the controller epoch and the broker epoch from ZooKeeper."""
    zk = broker.zk
    # ZooKeeper keeps the order of one session's requests.
    synced = zk.sync()
    read = both(get_or_none(zk, ControllerEpoch.path()), zk.exists(BrokerNode.path(broker.broker_id)))
    _, (found, registration) = await both(synced, read)
    controller_epoch = ControllerEpoch.decode(found[0]) if found is not None else 0
    return controller_epoch, registration.czxid if registration is not None else -1
