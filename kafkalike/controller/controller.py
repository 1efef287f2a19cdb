"""The controller's shell: wins /controller, turns watches into events and the steps' effects into writes and letters.

Events are attended to one at a time, in the order in which they came; nothing else ever changes the context. Every
write checks the version of /controller_epoch that this controller was elected with. When that check fails, a newer
controller's mark is found, or the session is lost, this one is over: it forgets everything, and stands again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet import defer, task
from twisted.internet.defer import Deferred, ensureDeferred

from kafkalike.cluster.membership import Membership, random_uuid
from kafkalike.cluster.znodes.admin import DELETE_TOPICS, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.brokers import BROKER_IDS, LOG_DIR_EVENTS, BrokerNode
from kafkalike.cluster.znodes.cluster import FeatureNode
from kafkalike.cluster.znodes.controller import ControllerEpoch, ControllerNode
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import ISR_CHANGES, TOPICS
from kafkalike.controller import (
    broker_changes,
    controller_gauges,
    effects,
    failover,
    leader_election,
    notifications,
    reassignment,
    topic_creation,
    topic_deletion,
    unclean_recovery,
)
from kafkalike.controller.context import Context, LiveBroker, Partition, Replica
from kafkalike.controller.effects import CreateNode, DeleteNode, Node, SetNode, Steps, Superseded, Written
from kafkalike.controller.outbox import Outbox
from kafkalike.errors import Error, KafkaError
from kafkalike.metrics import Timer
from kafkalike.protocol.messages import leader_and_isr, list_offsets, offset_for_leader_epoch, stop_replica
from zk import recipes
from zk.client import (
    CONNECTED,
    LOST,
    BadVersion,
    Check,
    ConnectionClosed,
    ConnectionLoss,
    Create,
    Delete,
    NodeExists,
    NoNode,
    NotEmpty,
    SessionExpired,
    Set,
    TooLarge,
    ZkClient,
    gather,
)

log = logging.getLogger(__name__)

EVENT_QUEUE_TIME = Timer("kafka.controller:type=ControllerEventManager,name=EventQueueTimeMs")
ELECTION_TIME = Timer("kafka.controller:type=ControllerStats,name=LeaderElectionRateAndTimeMs")
# How long an event takes, by the first word of its key, or by the znode that has changed.
EVENT_TIMES = {
    "presumed": ELECTION_TIME,
    BROKER_IDS: ELECTION_TIME,
    "elect": Timer("kafka.controller:type=ControllerStats,name=ControllerChangeRateAndTimeMs"),
    TOPICS: Timer("kafka.controller:type=ControllerStats,name=TopicChangeRateAndTimeMs"),
    DELETE_TOPICS: Timer("kafka.controller:type=ControllerStats,name=TopicDeletionRateAndTimeMs"),
    ISR_CHANGES: Timer("kafka.controller:type=ControllerStats,name=IsrChangeRateAndTimeMs"),
    LOG_DIR_EVENTS: Timer("kafka.controller:type=ControllerStats,name=LogDirChangeRateAndTimeMs"),
    ReassignNode.path(): Timer("kafka.controller:type=ControllerStats,name=PartitionReassignmentRateAndTimeMs"),
    PreferredElectionNode.path(): Timer("kafka.controller:type=ControllerStats,name=ManualLeaderBalanceRateAndTimeMs"),
}

# Fenced operations that travel in one multi, unless they are large; each is sent by itself when one cannot be done.
GROUP = 32
GROUP_BYTES = 256 << 10
RETRY_SECONDS = 5.0
# Between two questions to a broker that is presumed dead.
ASK_SECONDS = 0.25
LEAVE_SECONDS = 2.0  # for /controller to be given back; without that it goes with the session

INTERRUPTIONS: dict[type[Exception], str] = {
    ConnectionLoss: "the connection to ZooKeeper is lost",
    SessionExpired: "the ZooKeeper session has expired",
    ConnectionClosed: "the ZooKeeper session is closed",
}
ERRORS: dict[type[Exception], str] = {
    NoNode: effects.NO_NODE,
    NodeExists: effects.NODE_EXISTS,
    BadVersion: effects.BAD_VERSION,
    NotEmpty: effects.NOT_EMPTY,
    TooLarge: effects.FAILED,
}


class Reach(Protocol):
    """What can be asked about other brokers; `endpoint` has host and port, None means the one in the metadata."""

    def refuses(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Whether nobody listens there."""

    def answers(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Whether the broker answers."""


class Controller:
    """One broker's candidacy, and its term when it is elected."""

    def __init__(
        self,
        zk: ZkClient,
        broker_id: int,
        config: Mapping[str, Any],
        send: Callable[[int, Any], Any],
        reactor: Any = None,
        membership: Membership | None = None,
        reach: Reach | None = None,
    ) -> None:
        """`send(broker_id, request)` gives a Deferred of the response. With a membership it stands for election only
        while this broker is registered. `reach` tells of a broker whether anybody is there."""
        if reactor is None:
            from twisted.internet import reactor
        self._zk = zk
        self._broker_id = broker_id
        self._config = config
        self._send = send
        self._reactor = reactor
        self._membership = membership
        self._reach = reach
        self._probing: set[int] = set()
        self._rests = False  # after a term that could not begin
        self._elected_at = -1  # the zxid of the present controller's election
        self._term: recipes.Term | None = None
        self._context: Context | None = None
        self._outbox: Outbox | None = None
        self._bells: dict[str, recipes.Bell] = {}
        self._events: deque[tuple[Any, Callable[[], Awaitable[None]], float]] = deque()
        self._queued: set[Any] = set()
        self._busy = False
        self._stopped = False
        self._watch = recipes.DataWatch(zk, ControllerNode.path(), self._controller_changed)
        self.controller_id = -1
        controller_gauges.watch(self)

    @property
    def queue_size(self) -> int:
        """How many events wait."""
        return len(self._events)

    @property
    def active(self) -> bool:
        """Whether this broker is the controller."""
        return self._term is not None

    @property
    def epoch(self) -> int:
        """The epoch of the present term; 0 when this broker is not the controller."""
        return self._term.epoch if self._term else 0

    @property
    def context(self) -> Context | None:
        """What the controller believes, to look at; None when this broker is not the controller."""
        return self._context

    def start(self) -> Deferred[None]:
        """Stands for election; fires when it is known whether somebody is the controller."""
        self._zk.add_listener(self._state_changed)
        return self._watch.start()

    def stop(self) -> None:
        """Stops attending to anything. /controller goes with the session."""
        self._stopped = True
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
                await resigned.addTimeout(LEAVE_SECONDS, self._reactor)

    def submit(self, steps: Callable[[Context], Steps[Any]]) -> Deferred[Any]:
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

    # Events.

    def _enqueue(self, key: Any, event: Callable[[], Awaitable[None]]) -> None:
        """Queues an event, unless one with this key waits already: events say that something changed, not what."""
        if self._stopped or key in self._queued:
            return
        self._queued.add(key)
        self._events.append((key, event, self._reactor.seconds()))
        if not self._busy:
            self._busy = True
            ensureDeferred(self._attend()).addErrback(lambda failure: log.critical("controller: %s", failure))

    async def _attend(self) -> None:
        while self._events:
            key, event, queued_at = self._events.popleft()
            self._queued.discard(key)
            began = self._reactor.seconds()
            EVENT_QUEUE_TIME.update(1000 * (began - queued_at))
            try:
                await event()
            except Superseded as error:
                self._resign(str(error))
                self._enqueue("elect", self._elect)
            except (SessionExpired, ConnectionLoss) as error:
                log.info("%s is interrupted: %s", key, INTERRUPTIONS[type(error)])
            except Exception:
                log.exception("controller event %s", key)
            if (timer := EVENT_TIMES.get(_subject(key))) is not None:
                timer.update(1000 * (self._reactor.seconds() - began))
        self._busy = False

    def unclean_allowed(self) -> None:
        """The configuration says anew where unclean elections are allowed: what has no leader is looked at again."""
        by_default = self._config["unclean.leader.election.enable"]
        self._ring(("unclean", by_default), lambda context: _allow_unclean(context, by_default))

    def _ring(self, key: tuple[Any, ...], steps: Callable[[Context], Steps[Any]]) -> None:
        """Queues steps for the present term; in another one they mean nothing."""
        term = self._term

        async def event() -> None:
            if term is not None and term is self._term and self._context is not None:
                await self._perform(term, steps(self._context))

        self._enqueue((*key, self.epoch), event)

    def _state_changed(self, state: str) -> None:
        if state == LOST:
            self.controller_id = -1
            self._resign("the ZooKeeper session is lost")
        elif state == CONNECTED:
            self._enqueue("elect", self._elect)

    def _controller_changed(self, data: bytes | None, stat: Any) -> None:
        self.controller_id = self._elected_at = -1
        if stat is not None:
            # A persistent one belongs to a migration, and is nobody's to delete.
            self._elected_at = stat.czxid if stat.ephemeralOwner else -1
            try:
                self.controller_id = ControllerNode.decode(data).broker_id
            except Garbage as error:
                log.warning("%s", error)
        if self._term is not None and (stat is None or stat.ephemeralOwner != self._zk.session_id):
            self._resign(f"the controller is now {self.controller_id}")
        if stat is None or stat.ephemeralOwner == self._zk.session_id:
            self._enqueue("elect", self._elect)

    # Deaths.

    def connection_lost(self, broker_id: int, was_connected: bool) -> None:
        """A connection to another broker ended, or could not be made: it may be dead. The controller looks after all;
        the others look after the controller, if they had a connection to it."""
        if self._reach is None or self._stopped or broker_id in self._probing:
            return
        context = self._context
        if context is not None and broker_id in context.brokers:
            epoch = context.brokers[broker_id].epoch
            dead: Callable[[], Any] = lambda: self._ring(  # noqa: E731
                ("presumed", broker_id, epoch), lambda context: broker_changes.presume_dead(context, broker_id, epoch)
            )
            endpoint = self._endpoint(context.brokers[broker_id])
        elif context is None and was_connected and broker_id == self.controller_id and self._elected_at >= 0:
            elected_at, endpoint = self._elected_at, None
            dead = lambda: ensureDeferred(self._depose(broker_id, elected_at))  # noqa: E731
        else:
            return

        def heard(refused: Any) -> None:
            self._probing.discard(broker_id)
            if refused is True and not self._stopped:
                dead()

        self._probing.add(broker_id)
        self._reach.refuses(broker_id, endpoint).addBoth(heard)

    async def _depose(self, broker_id: int, elected_at: int) -> None:
        """Deletes the /controller of a dead controller, so that another one is elected before its session ends."""
        try:
            found = await recipes.get_or_none(self._zk, ControllerNode.path())
            counter = await recipes.get_or_none(self._zk, ControllerEpoch.path())
            # Both were written by one multi. Whoever was elected since has another zxid, and counted on.
            if found is None or counter is None or not (found[1].czxid == counter[1].mzxid == elected_at):
                return
            log.warning("the controller, broker %d, is dead: nobody listens at its address", broker_id)
            await self._zk.multi([Check(ControllerEpoch.path(), counter[1].version), Delete(ControllerNode.path())])
        except (NoNode, BadVersion, ConnectionLoss, SessionExpired):
            return

    def _endpoint(self, broker: LiveBroker) -> Any:
        listener = getattr(self._config, "inter_broker_listener", None)
        return next((e for e in broker.node.endpoints if e.listener == listener), broker.node.endpoints[0])

    async def _probe(self, term: recipes.Term, broker_ids: Sequence[int]) -> set[int]:
        assert self._context is not None
        if self._reach is None:
            return set()
        brokers = self._context.brokers
        refused = await gather(self._reach.refuses(i, self._endpoint(brokers[i])) for i in broker_ids)
        return {broker_id for broker_id, refuses in zip(broker_ids, refused, strict=True) if refuses}

    def _await_answer(self, term: recipes.Term, broker_id: int, epoch: int) -> None:
        """Asks until the broker answers, or is no longer presumed dead in this term."""
        presumed = self._context.presumed_dead.get(broker_id) if self._context and self._term is term else None
        if presumed is None or presumed.epoch != epoch or self._reach is None:
            return

        def heard(answers: Any) -> None:
            if answers is True and self._term is term:
                self._ring(
                    ("answers", broker_id), lambda context: broker_changes.broker_answers(context, broker_id, epoch)
                )
            else:
                self._reactor.callLater(ASK_SECONDS, self._await_answer, term, broker_id, epoch)

        self._reach.answers(broker_id, self._endpoint(presumed)).addBoth(heard)

    # Terms.

    async def _elect(self) -> None:
        if self._rests:
            return
        if self._membership is not None:
            await self._membership.registered()
        while not self._stopped and self._term is None and self._zk.state == CONNECTED:
            found = await recipes.get_or_none(self._zk, ControllerNode.path())
            if found is not None and found[1].ephemeralOwner != self._zk.session_id:
                if found[1].ephemeralOwner == 0:
                    log.error("/controller is not an ephemeral: a migration to KRaft owns this cluster")
                return
            data = ControllerNode(self._broker_id, int(time.time() * 1000)).encode()
            try:
                term = await recipes.elect(
                    self._zk, ControllerNode.path(), data, ControllerEpoch.path(), ControllerEpoch.decode
                )
            except Garbage as error:
                log.error("%s; nobody can be elected", error)
                self._reactor.callLater(RETRY_SECONDS, self._enqueue, "elect", self._elect)
                return
            if term is not None:
                await self._begin(term)
                return

    async def _begin(self, term: recipes.Term) -> None:
        log.info("broker %d is the controller: epoch %d", self._broker_id, term.epoch)
        self._term = term
        self.controller_id = self._broker_id
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
        self._outbox = Outbox(self._send, self._answered, self._reactor)
        try:
            # Another server of the ensemble may not have heard yet what the predecessor wrote.
            await self._zk.sync()
            await self._perform(term, failover.take_over(context, random_uuid))
        except (Superseded, SessionExpired, ConnectionLoss):
            raise
        except Exception:
            log.exception("the controller cannot begin its term; another one may")
            self._resign("it could not begin")
            # Not at once again, though its own znode is seen to go.
            self._rests = True
            self._reactor.callLater(RETRY_SECONDS, self._rested)
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
        for bell in self._bells.values():
            bell.stop()
        self._bells.clear()
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
        zk = self._zk
        match effect:
            case effects.Read(paths):
                return await gather([zk.get(path).addCallbacks(_node, _absent) for path in paths])
            case effects.Children(paths):
                return await gather([zk.children(path).addErrback(_childless) for path in paths])
            case effects.Write(operations):
                groups = await gather(self._group(term, group) for group in _groups(operations))
                return [written for group in groups for written in group]
            case effects.Pause():
                await task.deferLater(self._reactor, 0, lambda: None)
            case effects.PutFeatures(data):
                await recipes.put(zk, FeatureNode.path(), data)
            case effects.Listen(directories, nodes):
                for path in (*directories, *nodes):
                    self._listen(path)
            case effects.Ignore(paths):
                for path in paths:
                    bell = self._bells.pop(path, None)
                    if bell is not None:
                        bell.stop()
            case effects.Connect(broker_id):
                if self._outbox is not None:
                    self._outbox.connect(broker_id)
            case effects.Disconnect(broker_id):
                if self._outbox is not None:
                    self._outbox.disconnect(broker_id)
            case effects.Probe(broker_ids):
                return await self._probe(term, broker_ids)
            case effects.AwaitAnswer(broker_ids):
                for broker_id in broker_ids:
                    if self._context is not None and broker_id in self._context.presumed_dead:
                        epoch = self._context.presumed_dead[broker_id].epoch
                        self._reactor.callLater(ASK_SECONDS, self._await_answer, term, broker_id, epoch)
            case effects.Later(delay_ms, subject, serial):
                self._reactor.callLater(delay_ms / 1000, self._remind, term, subject, serial)
            case effects.Send(requests):
                for broker_id, request in requests:
                    if self._outbox is not None:
                        self._outbox.put(broker_id, request)
        return None

    async def _group(self, term: recipes.Term, operations: Sequence[Any]) -> list[Written]:
        """Several operations in one fenced multi; one that fails would fail them all, so then each is sent alone."""
        try:
            results = await self._zk.multi(term.guarded(*itertools.chain(*map(_operations, operations))))
            # Where there is a witness, what was asked for is the second of two.
            ends = itertools.accumulate(len(_operations(operation)) for operation in operations)
            return [Written(version=getattr(results[end], "version", 0)) for end in ends]
        except (ConnectionLoss, *ERRORS) as error:
            if not isinstance(error, ConnectionLoss) and getattr(error, "index", 0) == 0:
                raise Superseded("another controller was elected") from None
            if len(operations) == 1 and not isinstance(error, ConnectionLoss):
                return [Written(ERRORS[type(error)])]
        return await gather(self._alone(term, operation) for operation in operations)

    async def _alone(self, term: recipes.Term, operation: Any) -> Written:
        try:
            results = await recipes.insist(lambda: self._zk.multi(term.guarded(*_operations(operation))))
            return Written(version=getattr(results[-1], "version", 0))
        except tuple(ERRORS) as error:
            if getattr(error, "index", 0) == 0:
                raise Superseded("another controller was elected") from None
            return Written(ERRORS[type(error)])

    def _remind(self, term: recipes.Term, subject: str, serial: int) -> None:
        if self._term is term:
            self._ring(("later", subject, serial), lambda context: REMINDERS[subject](context, serial))

    def _listen(self, path: str) -> None:
        if path in self._bells:
            return
        directory, _, name = path.rpartition("/")
        steps: Callable[[Context], Steps[Any]]
        if path in DIRECTORIES:
            steps = DIRECTORIES[path]
        elif path in NODES:
            steps = NODES[path]
        elif directory == TOPICS:
            steps = lambda context: topic_creation.topic_changed(context, name)  # noqa: E731
        else:
            assert path == BrokerNode.path(int(name)), f"nobody attends to {path}"
            steps = lambda context: broker_changes.broker_modified(context, int(name))  # noqa: E731
        self._bells[path] = recipes.Bell(
            self._zk, path, lambda: self._ring(("changed", path), steps), children=path in DIRECTORIES
        )

    # Answers.

    def _answered(self, broker_id: int, request: Any, response: Any) -> None:
        if response is None:
            return
        if getattr(response, "error_code", 0):
            error = Error(response.error_code)
            log.warning(
                "broker %d answers %s to %s", broker_id, error.name, type(request).__module__.rpartition(".")[2]
            )
        # Of the life that was asked: its channel was closed when a later one was seen.
        known = self._context.brokers.get(broker_id) if self._context is not None else None
        epoch = known.epoch if known is not None else -1
        if isinstance(request, stop_replica.Request):
            self._replicas_stopped(broker_id, request, response)
        elif isinstance(request, leader_and_isr.Request):
            self._leader_and_isr_answered(broker_id, request.broker_epoch, response)
        elif isinstance(request, list_offsets.Request):
            ends = unclean_recovery.answered_ends(response)
            self._ring(
                ("ends", object()), lambda context: unclean_recovery.ends_answered(context, broker_id, epoch, ends)
            )
        elif isinstance(request, offset_for_leader_epoch.Request):
            of_epochs = unclean_recovery.answered_epochs(request, response)
            self._ring(
                ("ends", object()),
                lambda context: unclean_recovery.ends_answered(context, broker_id, epoch, *of_epochs),
            )

    def _replicas_stopped(self, broker_id: int, request: Any, response: Any) -> None:
        errors = {(e.topic_name, e.partition_index): e.error_code for e in response.partition_errors}
        deleted: list[Replica] = []
        failed: list[Replica] = []
        for topic in request.topic_states:
            for state in topic.partition_states:
                if state.delete_partition:
                    error = response.error_code or errors.get((topic.topic_name, state.partition_index), 0)
                    replica = (topic.topic_name, state.partition_index, broker_id)
                    (failed if error else deleted).append(replica)
        if deleted or failed:
            epoch = request.broker_epoch
            self._ring(
                ("deleted", object()),
                lambda context: topic_deletion.replicas_deleted(context, broker_id, epoch, deleted, failed),
            )

    def _leader_and_isr_answered(self, broker_id: int, epoch: int, response: Any) -> None:
        context = self._context
        if context is None:
            return
        names = {topic_id: topic for topic, topic_id in context.topic_ids.items()} if response.topics else {}
        errors: dict[Partition, int] = {}
        for error in response.partition_errors:
            errors[error.topic_name, error.partition_index] = error.error_code
        for topic in response.topics:
            for error in topic.partition_errors:
                if topic.topic_id in names:
                    errors[names[topic.topic_id], error.partition_index] = error.error_code
        failed = [partition for partition, error in errors.items() if error == Error.KAFKA_STORAGE_ERROR]
        fine = [partition for partition, error in errors.items() if error == Error.NONE]
        if failed or context.offline_replicas.get(broker_id):
            self._ring(
                ("log dirs", object()),
                lambda context: notifications.log_dir_answered(context, broker_id, epoch, failed, fine),
            )


def _subject(key: Any) -> Any:
    """What EVENT_TIMES knows an event by."""
    if isinstance(key, tuple):
        return key[1] if key[0] == "changed" else key[0]
    return key


def _allow_unclean(context: Context, by_default: bool) -> Steps[None]:
    context.unclean_by_default = by_default
    return leader_election.elect_where_needed(context)


def _topics_changed(context: Context) -> Steps[None]:
    return topic_creation.topics_changed(context, random_uuid)


def _deletions_changed(context: Context) -> Steps[None]:
    return reassignment.deletions_changed(context, random_uuid)


DIRECTORIES: dict[str, Callable[[Context], Steps[Any]]] = {
    BROKER_IDS: broker_changes.brokers_changed,
    TOPICS: _topics_changed,
    DELETE_TOPICS: _deletions_changed,
    LOG_DIR_EVENTS: notifications.log_dirs_failed,
    ISR_CHANGES: notifications.isr_changed,
}


# What the subjects of Later stand for.
REMINDERS: dict[str, Callable[[Context, int], Steps[Any]]] = {
    "logs to compare": unclean_recovery.time_is_up,
    leader_election.BALANCE: lambda context, _: leader_election.balance(context),
}

NODES: dict[str, Callable[[Context], Steps[Any]]] = {
    ReassignNode.path(): reassignment.node_changed,
    PreferredElectionNode.path(): leader_election.node_changed,
}


def _groups(operations: Sequence[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    size = 0
    for operation in operations:
        grown = size + len(getattr(operation, "data", None) or b"")
        if group and (len(group) == GROUP or grown > GROUP_BYTES):
            yield group
            group, grown = [], grown - size
        group.append(operation)
        size = grown
    if group:
        yield group


def _operations(operation: CreateNode | SetNode | DeleteNode) -> list[Create | Set | Delete | Check]:
    match operation:
        case CreateNode(path, data):
            return [Create(path, data)]
        case SetNode(path, data, version):
            return [Set(path, data, version)]
        case DeleteNode(path, version, witness):
            return [Delete(path, version)] if witness is None else [Check(*witness), Delete(path, version)]


def _node(found: Any) -> Node:
    data, stat = found
    return Node(data, stat.version, stat.czxid, stat.mzxid)


def _absent(failure: Any) -> None:
    failure.trap(NoNode)


def _childless(failure: Any) -> list[str]:
    failure.trap(NoNode)
    return []
