"""The controller: it wins /controller, turns watches into steps, and carries out what the steps ask for (effects.py).

Events are attended to one at a time, in the order in which they came; nothing else ever changes the context. Every
write checks the version of /controller_epoch that this controller was elected with. When that check fails, or a state
of a newer controller is found, or the session is lost, this controller's term is over: it forgets everything, and
stands for election again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import random
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred, ensureDeferred

from kafkalike.clock import Clock, Timers
from kafkalike.cluster import zookeeper
from kafkalike.cluster.membership import Membership, random_uuid
from kafkalike.cluster.znodes.admin import DeleteTopicNode, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.brokers import BrokerNode, LogDirEvent
from kafkalike.cluster.znodes.cluster import FeatureNode
from kafkalike.cluster.znodes.controller import ControllerEpoch, ControllerNode
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import ISR_CHANGES, TopicNode
from kafkalike.config import Config
from kafkalike.controller import (
    broker_changes,
    control_responses,
    controller_gauges,
    effects,
    failover,
    fenced_writes,
    leader_election,
    notifications,
    reassignment,
    topic_creation,
    unclean_recovery,
)
from kafkalike.controller.context import Context
from kafkalike.controller.dead_brokers import Connections, DeadBrokers
from kafkalike.controller.effects import Node, Steps, Superseded
from kafkalike.controller.event_queue import Event, EventQueue
from kafkalike.controller.outbox import Outbox
from kafkalike.errors import Error, KafkaError
from zk import recipes
from zk.client import CONNECTED, LOST, ConnectionLoss, NoNode, SessionExpired, Stat, ZkClient, gather

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
LEAVE_SECONDS = 2.0  # how long giving /controller back may take; else it goes with the session

# The steps that follow when a znode has changed, or when the time of a reminder has come.
StepsOf = Callable[[Context], Steps[Any]]


class Controller:
    """One broker's candidacy, and its term when it is elected."""

    def __init__(
        self,
        zk: ZkClient,
        broker_id: int,
        config: Config,
        send: Callable[[int, Any], Any],
        timers: Timers,
        clock: Clock,
        rng: random.Random,
        membership: Membership,
        connections: Connections,
    ) -> None:
        """`send(broker_id, request)` gives a Deferred of the response. The broker stands for election only while it is
        registered. `connections` tries whether another broker is there."""
        self._zk = zk
        self._broker_id = broker_id
        self._config = config
        self._send = send
        self._timers = timers
        self._clock = clock
        self._membership = membership
        self._new_id = functools.partial(random_uuid, rng)
        self._dead_brokers = DeadBrokers(zk, config, timers, connections, self)
        self._rests = False  # whether this broker waits after a term that could not begin
        self._term: recipes.Term | None = None
        self._context: Context | None = None
        self._outbox: Outbox | None = None
        self._watches: dict[str, recipes.ChangeWatch] = {}
        self._events = EventQueue(timers, self._superseded)
        self._stopped = False
        self._watch = zookeeper.watch(zk, ControllerNode, self._controller_changed)
        self._directories: dict[str, StepsOf] = {
            BrokerNode.directory(): broker_changes.brokers_changed,
            TopicNode.directory(): lambda context: topic_creation.topics_changed(context, self._new_id),
            DeleteTopicNode.directory(): lambda context: reassignment.deletions_changed(context, self._new_id),
            LogDirEvent.directory(): notifications.log_dirs_failed,
            ISR_CHANGES: notifications.isr_changed,
        }
        self._elected_at = -1
        self._controller_id = -1
        controller_gauges.watch(self)

    @property
    def active(self) -> bool:
        """Whether this broker is the controller."""
        return self._term is not None

    @property
    def epoch(self) -> int:
        """The epoch of the present term; 0 when this broker is not the controller."""
        return self._term.epoch if self._term else 0

    @property
    def queue_size(self) -> int:
        """How many events wait."""
        return len(self._events)

    @property
    def context(self) -> Context | None:
        """What this broker believes as the controller, to look at; None when it is not the controller."""
        return self._context

    @property
    def controller_id(self) -> int:
        """The broker that is the controller, -1 while there is none."""
        return self._controller_id

    @property
    def elected_at(self) -> int:
        """The zxid of the present controller's election; -1 when there is none, or it belongs to a migration."""
        return self._elected_at

    def start(self) -> Deferred[None]:
        """Stands for election; fires when it is known whether somebody is the controller."""
        self._zk.add_listener(self._state_changed)
        return self._watch.start()

    def stop(self) -> None:
        """Stops attending to anything. /controller goes with the session."""
        self._stopped = True
        self._dead_brokers.stop()
        self._watch.stop()
        self._zk.remove_listener(self._state_changed)
        self._resign("stopping")

    async def leave(self) -> None:
        """Stops, and gives /controller back, for the others to elect another controller at once."""
        term = self._term
        self.stop()
        if term is not None and self._zk.state == CONNECTED:
            resigned = ensureDeferred(recipes.resign(self._zk, ControllerNode.path(), term))
            with contextlib.suppress(SessionExpired, defer.TimeoutError):
                await resigned.addTimeout(LEAVE_SECONDS, cast(Any, self._timers))

    def submit(self, steps: StepsOf) -> Deferred[Any]:
        """Runs steps as an event of its own and gives their result; NOT_CONTROLLER when this broker is not it."""
        if self._stopped:
            return defer.fail(KafkaError(Error.NOT_CONTROLLER))
        answer: Deferred[Any] = Deferred()

        async def event() -> None:
            term, context = self._term, self._context
            if term is None or context is None:
                answer.errback(KafkaError(Error.NOT_CONTROLLER))
                return
            try:
                result = await self._perform(term, steps(context))
            except (Superseded, SessionExpired, ConnectionLoss):
                answer.errback(KafkaError(Error.NOT_CONTROLLER))
                raise
            except Exception as error:
                answer.errback(error)
            else:
                answer.callback(result)

        self._enqueue(object(), event)
        return answer

    def connection_lost(self, broker_id: int, was_connected: bool) -> None:
        """A connection of this broker to another one ended, or could not be made: the other one may be dead."""
        self._dead_brokers.connection_lost(broker_id, was_connected)

    def unclean_election_changed(self) -> None:
        """unclean.leader.election.enable has changed for the cluster or for a topic: partitions without a leader are
        looked at again."""
        by_default = self._config["unclean.leader.election.enable"]
        self.enqueue_steps(("unclean election", by_default), lambda context: _allow_unclean(context, by_default))

    # Events.

    def _enqueue(self, key: Any, event: Event) -> None:
        if not self._stopped:
            self._events.put(key, event)

    def enqueue_steps(self, key: tuple[Any, ...], steps: StepsOf) -> None:
        """Queues steps for the present term; in another one they mean nothing."""
        term = self._term

        async def event() -> None:
            if term is not None and term is self._term and self._context is not None:
                await self._perform(term, steps(self._context))

        self._enqueue((*key, self.epoch), event)

    def _superseded(self, why: str) -> None:
        self._resign(why)
        self._enqueue("elect", self._elect)

    def _state_changed(self, state: str) -> None:
        if state == LOST:
            self._controller_id = -1
            self._resign("the ZooKeeper session is lost")
        elif state == CONNECTED:
            self._enqueue("elect", self._elect)

    def _controller_changed(self, controller: ControllerNode | None, stat: Stat | None) -> None:
        self._controller_id = self._elected_at = -1
        if stat is not None:
            # A persistent /controller belongs to a migration to KRaft, and no broker may delete it.
            self._elected_at = stat.czxid if stat.ephemeralOwner else -1
        if controller is not None:
            self._controller_id = controller.broker_id
        if self._term is not None and (stat is None or stat.ephemeralOwner != self._zk.session_id):
            self._resign(f"the controller is now {self._controller_id}")
        if stat is None or stat.ephemeralOwner == self._zk.session_id:
            self._enqueue("elect", self._elect)

    # Terms.

    async def _elect(self) -> None:
        if self._rests:
            return
        await self._membership.registered()
        while not self._stopped and self._term is None and self._zk.state == CONNECTED:
            found = await recipes.get_or_none(self._zk, ControllerNode.path())
            if found is not None and found[1].ephemeralOwner != self._zk.session_id:
                if found[1].ephemeralOwner == 0:
                    log.error("/controller is not an ephemeral: a migration to KRaft owns this cluster")
                return
            data = ControllerNode(self._broker_id, self._clock.wall_ms()).encode()
            try:
                term = await recipes.elect(
                    self._zk, ControllerNode.path(), data, ControllerEpoch.path(), ControllerEpoch.decode
                )
            except Garbage as error:
                log.error("%s; nobody can be elected", error)
                self._timers.callLater(RETRY_SECONDS, self._enqueue, "elect", self._elect)
                return
            if term is not None:
                await self._begin(term)
                return

    async def _begin(self, term: recipes.Term) -> None:
        log.info("broker %d is the controller: epoch %d", self._broker_id, term.epoch)
        self._term = term
        self._controller_id = self._broker_id
        self._context = context = Context(
            self._broker_id,
            term.epoch,
            unclean_by_default=self._config["unclean.leader.election.enable"],
            deletion_enabled=self._config["delete.topic.enable"],
            unclean_recovery_ms=self._config["unclean.recovery.timeout.ms"],
            balance_ms=1000 * self._config["leader.imbalance.check.interval.seconds"]
            if self._config["auto.leader.rebalance.enable"]
            else 0,
            imbalance_percentage=self._config["leader.imbalance.per.broker.percentage"],
        )
        self._outbox = Outbox(self._send, self._answered, self._timers)
        try:
            # Our server of the ensemble may not have the predecessor's last writes yet.
            await self._zk.sync()
            await self._perform(term, failover.take_over(context, self._new_id))
        except (Superseded, SessionExpired, ConnectionLoss):
            raise
        except Exception:
            log.exception("the controller cannot begin its term; another one may")
            self._resign("it could not begin")
            # This broker does not stand again at once, though it sees its own znode go.
            self._rests = True
            self._timers.callLater(RETRY_SECONDS, self._rested)
            await recipes.resign(self._zk, ControllerNode.path(), term)

    def _rested(self) -> None:
        self._rests = False
        self._enqueue("elect", self._elect)

    def _resign(self, why: str) -> None:
        if self._term is None:
            return
        log.info("broker %d is no longer the controller: %s", self._broker_id, why)
        self._term = None
        self._context = None
        for watch in self._watches.values():
            watch.stop()
        self._watches.clear()
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None

    # Effects.

    async def _perform(self, term: recipes.Term, steps: Steps[Any]) -> Any:
        outcome: Any = None
        try:
            while True:
                if self._term is not term:
                    raise Superseded("the term has ended")
                try:
                    effect = steps.send(outcome)
                except StopIteration as end:
                    return end.value
                outcome = await self._effect(term, effect)
        finally:
            steps.close()

    async def _effect(self, term: recipes.Term, effect: effects.Effect) -> Any:
        zk, context, outbox = self._zk, self._context, self._outbox
        assert context is not None and outbox is not None
        match effect:
            case effects.Read(paths):
                return await gather([zk.get(path).addCallbacks(_node, _absent) for path in paths])
            case effects.Children(paths):
                return await gather([zk.children(path).addErrback(_childless) for path in paths])
            case effects.Write(operations):
                return await fenced_writes.write(zk, term, operations)
            case effects.Pause():
                others: Deferred[None] = Deferred()
                self._timers.callLater(0, others.callback, None)
                await others
            case effects.PutFeatures(data):
                await recipes.put(zk, FeatureNode.path(), data)
            case effects.Listen(directories, nodes):
                for path in (*directories, *nodes):
                    self._listen(path)
            case effects.Ignore(paths):
                for path in paths:
                    watch = self._watches.pop(path, None)
                    if watch is not None:
                        watch.stop()
            case effects.Connect(broker_id):
                outbox.connect(broker_id)
            case effects.Disconnect(broker_id):
                outbox.disconnect(broker_id)
            case effects.Probe(broker_ids):
                return await self._dead_brokers.refusing(context, broker_ids)
            case effects.AwaitAnswer(broker_ids):
                for broker_id in broker_ids:
                    self._dead_brokers.await_answer(context, broker_id)
            case effects.Later(delay_ms, subject, serial):
                self._timers.callLater(delay_ms / 1000, self._remind, term, subject, serial)
            case effects.Send(requests):
                for broker_id, request in requests:
                    outbox.put(broker_id, request)
        return None

    def _remind(self, term: recipes.Term, subject: str, serial: int) -> None:
        if self._term is term:
            self.enqueue_steps(("later", subject, serial), lambda context: REMINDERS[subject](context, serial))

    def _listen(self, path: str) -> None:
        if path in self._watches:
            return
        directory, _, name = path.rpartition("/")
        steps: StepsOf
        if path in self._directories:
            steps = self._directories[path]
        elif path in NODES:
            steps = NODES[path]
        elif directory == TopicNode.directory():
            steps = lambda context: topic_creation.topic_changed(context, name)  # noqa: E731
        else:
            assert path == BrokerNode.path(int(name)), f"nobody attends to {path}"
            steps = lambda context: broker_changes.broker_modified(context, int(name))  # noqa: E731
        changed = functools.partial(self.enqueue_steps, ("changed", path), steps)
        self._watches[path] = recipes.ChangeWatch(self._zk, path, changed, children=path in self._directories)

    def _answered(self, broker_id: int, request: Any, response: Any) -> None:
        if response is not None and self._context is not None:
            steps = control_responses.steps_after(self._context, broker_id, request, response)
            if steps is not None:
                self.enqueue_steps(("response", object()), steps)


def _allow_unclean(context: Context, by_default: bool) -> Steps[None]:
    context.unclean_by_default = by_default
    return leader_election.elect_where_needed(context)


# The steps for each subject of `Later`.
REMINDERS: dict[str, Callable[[Context, int], Steps[Any]]] = {
    unclean_recovery.COMPARISON: unclean_recovery.comparison_timed_out,
    leader_election.BALANCE: lambda context, _: leader_election.balance(context),
}

NODES: dict[str, StepsOf] = {
    ReassignNode.path(): reassignment.request_changed,
    PreferredElectionNode.path(): leader_election.request_changed,
}


def _node(found: Any) -> Node:
    data, stat = found
    return Node(data, stat.version, stat.czxid, stat.mzxid)


def _absent(failure: Any) -> None:
    failure.trap(NoNode)


def _childless(failure: Any) -> list[str]:
    failure.trap(NoNode)
    return []
