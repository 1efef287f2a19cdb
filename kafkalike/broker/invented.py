"""Control requests with epochs that nobody ever had.

A controller epoch above the newest we have heard of is a new controller's, and one that we believed though it was made
up would have us refuse every real controller from then on. So the first request of each epoch is compared with
/controller_epoch, which a controller has written before it says anything; and a broker epoch above our own with our
registration, of which a controller may hear sooner than we do. Apache's brokers believe both.
"""

from __future__ import annotations

import logging
from typing import Any

from twisted.internet import defer

from kafkalike.cluster.znodes import BrokerNode, ControllerEpoch, Garbage
from kafkalike.errors import Error
from zk.client import ZooKeeperError, gather
from zk.recipes import get_or_none

log = logging.getLogger(__name__)

# While ZooKeeper cannot be asked a request is believed: it may be what saves the partition.
PATIENCE_SECONDS = 0.5


async def check(broker: Any, request: Any) -> Error:
    """11 or 77 for a request whose controller epoch, or broker epoch, there is not; a line says so."""
    known = max(broker.replicas.orders.controller_epoch, broker.controller.epoch)
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


async def _newest(broker: Any) -> tuple[int, int]:
    """Both epochs as ZooKeeper has them now."""
    zk = broker.zk
    # ZooKeeper keeps the order of one session's requests.
    answers = [zk.sync(), get_or_none(zk, ControllerEpoch.path), zk.exists(BrokerNode.path(broker.broker_id))]
    _, found, registration = await gather(answers)
    controller_epoch = ControllerEpoch.decode(found[0]) if found is not None else 0
    return controller_epoch, registration.czxid if registration is not None else -1
