"""How the death of a broker's process is noticed before its ZooKeeper session ends.

A connection to the broker ends, or cannot be made, and nobody listens at the broker's address. Then the controller
presumes the broker dead (broker_changes.py), until the broker answers again. When it is the controller that died,
another broker deletes /controller, for the next election.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, ensureDeferred

from kafkalike.clock import Timers
from kafkalike.cluster.znodes.controller import ControllerEpoch, ControllerNode
from kafkalike.config import Config
from kafkalike.controller import broker_changes
from kafkalike.controller.context import Context, LiveBroker
from kafkalike.controller.effects import Steps
from zk import recipes
from zk.client import BadVersion, Check, ConnectionLoss, Delete, NoNode, SessionExpired, ZkClient, gather

log = logging.getLogger(__name__)

# Between two questions to a broker that is presumed dead.
ASK_SECONDS = 0.25


class Address(Protocol):
    """Where a broker listens."""

    @property
    def host(self) -> str:
        """A name or an address."""

    @property
    def port(self) -> int:
        """The TCP port."""


class Connections(Protocol):
    """How brokers are tried out. Without an endpoint a broker is tried at the one that the metadata have."""

    def refuses(self, broker_id: int, endpoint: Address | None = None) -> Deferred[bool]:
        """Whether nobody listens at the broker's address."""

    def answers(self, broker_id: int, endpoint: Address | None = None) -> Deferred[bool]:
        """Whether the broker answers."""


class Term(Protocol):
    """What the controller tells of its present term."""

    @property
    def context(self) -> Context | None:
        """What this broker believes as the controller; None while it is not the controller."""

    @property
    def controller_id(self) -> int:
        """The broker that is the controller, -1 while there is none."""

    @property
    def elected_at(self) -> int:
        """The zxid of that controller's election; -1 when it must not be deposed."""

    def enqueue_steps(self, key: tuple[Any, ...], steps: Callable[[Context], Steps[Any]]) -> None:
        """Queues steps for the present term."""


class DeadBrokers:
    """Tries out the brokers whose connections ended."""

    def __init__(self, zk: ZkClient, config: Config, timers: Timers, connections: Connections, term: Term) -> None:
        self._zk = zk
        self._config = config
        self._timers = timers
        self._connections = connections
        self._term = term
        self._tried: set[int] = set()
        self._stopped = False

    def stop(self) -> None:
        """Stops: no broker is presumed dead any more."""
        self._stopped = True

    def connection_lost(self, broker_id: int, was_connected: bool) -> None:
        """A connection to another broker ended, or could not be made: the broker may be dead. The controller looks
        after all brokers; the others look after the controller, if they had a connection to it."""
        if self._stopped or broker_id in self._tried:
            return
        context, elected_at = self._term.context, self._term.elected_at
        dead: Callable[[], Any]
        if context is not None and broker_id in context.brokers:
            epoch = context.brokers[broker_id].epoch
            dead = lambda: self._presume_dead(broker_id, epoch)  # noqa: E731
            endpoint = self._endpoint(context.brokers[broker_id])
        elif context is None and was_connected and broker_id == self._term.controller_id and elected_at >= 0:
            dead = lambda: ensureDeferred(depose(self._zk, broker_id, elected_at))  # noqa: E731
            endpoint = None
        else:
            return

        def tried(refused: Any) -> None:
            self._tried.discard(broker_id)
            if refused is True and not self._stopped:
                dead()

        self._tried.add(broker_id)
        self._connections.refuses(broker_id, endpoint).addBoth(tried)

    def _presume_dead(self, broker_id: int, epoch: int) -> None:
        self._term.enqueue_steps(
            ("presumed dead", broker_id, epoch), lambda context: broker_changes.presume_dead(context, broker_id, epoch)
        )

    async def refusing(self, context: Context, broker_ids: Sequence[int]) -> set[int]:
        """Those of the live brokers at whose addresses nobody listens."""
        refused = await gather(self._connections.refuses(i, self._endpoint(context.brokers[i])) for i in broker_ids)
        return {broker_id for broker_id, refuses in zip(broker_ids, refused, strict=True) if refuses}

    def await_answer(self, context: Context, broker_id: int) -> None:
        """Asks a broker that is presumed dead again and again, until it answers or is not presumed dead any more."""
        presumed = context.presumed_dead.get(broker_id)
        if presumed is not None:
            self._timers.callLater(ASK_SECONDS, self._ask, context, broker_id, presumed.epoch)

    def _ask(self, context: Context, broker_id: int, epoch: int) -> None:
        presumed = context.presumed_dead.get(broker_id) if self._term.context is context else None
        if presumed is None or presumed.epoch != epoch:
            return

        def asked(answers: Any) -> None:
            if answers is True and self._term.context is context:
                self._term.enqueue_steps(
                    ("answers", broker_id), lambda context: broker_changes.broker_answers(context, broker_id, epoch)
                )
            else:
                self._timers.callLater(ASK_SECONDS, self._ask, context, broker_id, epoch)

        self._connections.answers(broker_id, self._endpoint(presumed)).addBoth(asked)

    def _endpoint(self, broker: LiveBroker) -> Address:
        listener = self._config.inter_broker_listener
        return next((e for e in broker.node.endpoints if e.listener == listener), broker.node.endpoints[0])


async def depose(zk: ZkClient, broker_id: int, elected_at: int) -> None:
    """Deletes the /controller of a dead controller, so that another one is elected before its session ends."""
    try:
        found = await recipes.get_or_none(zk, ControllerNode.path())
        counter = await recipes.get_or_none(zk, ControllerEpoch.path())
        # The election wrote both in one multi. Whoever was elected since has another zxid, and another epoch.
        if found is None or counter is None or not (found[1].czxid == counter[1].mzxid == elected_at):
            return
        log.warning("the controller, broker %d, is dead: nobody listens at its address", broker_id)
        await zk.multi([Check(ControllerEpoch.path(), counter[1].version), Delete(ControllerNode.path())])
    except (NoNode, BadVersion, ConnectionLoss, SessionExpired):
        return
