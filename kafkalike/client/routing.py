"""Who is asked: any broker, a partition's leader, the controller, a group's coordinator; and what is asked again.

Nothing here is tried again by itself except in `retrying`, which runs steps again while they fail in a way that passes:
a broker that is away, a leader or coordinator that moved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol, TypeVar

from kafkalike.client.cluster import Cluster, Node, Partition, TopicInfo
from kafkalike.client.connection import Connection
from kafkalike.client.effects import Ask, Connect, ConnectedNodes, Fork, Probe, Resolve, Sleep, Steps, Task, Wait
from kafkalike.client.errors import Disconnected, NotKafka, TimedOut, Unreachable, error_about, raise_error
from kafkalike.clock import Clock
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import find_coordinator, metadata

T = TypeVar("T")

PATIENCE_MS = 1000  # with one silent broker, before another is asked too
MAX_BACKOFF_MS = 1000

# ZooKeeper's word for its version, and how its answers begin, be it only that the word is not allowed. ZooKeeper closes
# a connection on which Kafka is spoken without a word, and its address is easily mistaken for a broker's.
ZOOKEEPER_WORD = b"srvr"
ZOOKEEPER_ANSWERS = (b"Zookeeper version", b"srvr is not executed", b"This ZooKeeper instance")


class Chance(Protocol):
    """A source of random numbers, as random.Random is."""

    def shuffle(self, x: Any) -> None:
        """Puts a list into another order."""

    def uniform(self, a: float, b: float) -> float:
        """A number between these."""


class Routing:
    """What one client knows of its cluster, and the steps that find it out."""

    def __init__(
        self,
        bootstrap: Sequence[Node],
        clock: Clock,
        rng: Chance,
        tell: Callable[[str], None],
        *,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        default_api_timeout_ms: int = 60_000,
        bootstrap_timeout_ms: int = 10_000,
    ) -> None:
        self.bootstrap = list(bootstrap)
        self.clock = clock
        self.tell = tell
        self.request_timeout_ms = request_timeout_ms
        self.retry_backoff_ms = retry_backoff_ms
        self.default_api_timeout_ms = default_api_timeout_ms
        self.bootstrap_timeout_ms = bootstrap_timeout_ms
        self.cluster = Cluster()
        self._rng = rng
        self._coordinators: dict[str, Node] = {}
        self._told: set[Node] = set()
        self._topic_errors: dict[str, Error] = {}
        self._unreachable_since: int | None = None

    # Requests.

    def ask(
        self,
        node: Node,
        api: ModuleType,
        request: Any,
        *,
        timeout_ms: float | None = None,
        purpose: str = "",
        answered: bool = True,
    ) -> Steps[Any]:
        """One request, one answer. Disconnected when there is none."""
        try:
            response = yield Ask(node, api, request, timeout_ms or self.request_timeout_ms, purpose, answered)
        except Unreachable as problem:
            yield from self._explain(node, problem)
            raise
        self._told.discard(node)
        return response

    def connect(self, node: Node, purpose: str = "") -> Steps[Connection]:
        """The connection to a node; Disconnected when it cannot be made."""
        try:
            connection: Connection = yield Connect(node, purpose)
        except Unreachable as problem:
            yield from self._explain(node, problem)
            raise
        self._told.discard(node)
        return connection

    def _explain(self, node: Node, problem: Unreachable) -> Steps[None]:
        """Why there is no connection, told once: the host name is none, or the server is another one."""
        if node.id < 0:
            answer = yield Probe(node.host, node.port, ZOOKEEPER_WORD, max(map(len, ZOOKEEPER_ANSWERS)))
            if answer.startswith(ZOOKEEPER_ANSWERS):
                raise NotKafka(
                    f"Something answers at {node.host}:{node.port}, and it is ZooKeeper, not Kafka: "
                    "--bootstrap-server wants the address of a broker"
                ) from problem
        if node in self._told:
            return
        self._told.add(node)
        reason = yield Resolve(node.host)
        why = f": {reason}, and the broker says that it is there (advertised.listeners)" if reason else ""
        self.tell(
            f"WARN Connection to node {node.id} ({node.host}:{node.port}) could not be established. "
            f"Node may not be available{why}."
        )

    # Who is there.

    def resolve_bootstrap(self) -> Steps[None]:
        """Leaves out the bootstrap servers whose host names have no address; ValueError when none has one."""
        reasons: dict[Node, str] = {}
        for node in self.bootstrap:
            reason = yield Resolve(node.host)
            if reason is not None:
                reasons[node] = reason
        if len(reasons) == len(self.bootstrap):
            why = ", ".join(sorted(set(reasons.values())))
            raise ValueError(f"No resolvable bootstrap urls given in bootstrap.servers: {why}")
        for node, reason in reasons.items():
            self.tell(f"WARN Couldn't resolve server {node.host}:{node.port} from bootstrap.servers: {reason}")
        self.bootstrap = [node for node in self.bootstrap if node not in reasons]

    def any_node(self) -> Steps[Node]:
        """A broker that answers; the known ones first, then the bootstrap servers. Who accepts a connection and is
        silent then costs PATIENCE_MS: the next is asked beside it, and the first that answers is the one."""
        known = list(self.cluster.nodes.values())
        self._rng.shuffle(known)
        nodes = [*known, *self.bootstrap]
        connected: set[int] = yield ConnectedNodes()
        for node in nodes:
            if node.id in connected:
                return node
        failure: BaseException = Disconnected("no broker is known")
        stranger: NotKafka | None = None
        attempts: dict[Task[Connection], Node] = {}
        while nodes or attempts:
            if nodes:
                node = nodes.pop(0)
                task: Task[Connection] = yield Fork(self.connect(node))
                attempts[task] = node
            if not any(attempt.done for attempt in attempts):
                yield Wait(tuple(attempt.finished for attempt in attempts), PATIENCE_MS if nodes else None)
            for task in [attempt for attempt in attempts if attempt.done]:
                node = attempts.pop(task)
                problem = task.failure
                if problem is None:
                    return node
                if isinstance(problem, NotKafka):
                    stranger = problem
                elif isinstance(problem, Disconnected):
                    failure = problem
                else:
                    raise problem
        # A broker that is away comes back; the wrong address is no better later.
        raise failure if stranger is None or known else stranger

    def refresh(self, topics: Sequence[str] | None = (), *, create: bool = False) -> Steps[Cluster]:
        """Asks for brokers and topics: the named ones, or all with None."""

        def request(version: int) -> Any:
            wanted = [metadata.MetadataRequestTopic(name=name) for name in topics] if topics is not None else None
            if version == 0:
                wanted = wanted or []
            made = metadata.Request(topics=wanted)
            if version >= 4:
                made.allow_auto_topic_creation = create
            return made

        node = yield from self.any_node()
        response = yield from self.ask(node, metadata, request)
        self.cluster.update(response, topics is None)
        return self.cluster

    def topic(self, name: str, *, create: bool = False) -> Steps[TopicInfo]:
        """A topic with all its partitions led. KafkaError (some retriable) when it is not so."""
        known = self.known_topic(name)
        if known is None:
            cluster = yield from self.refresh([name], create=create)
            known = cluster.topics[name]
        raise_error(known.error, about=f"topic {name}")
        return known

    def known_topic(self, name: str) -> TopicInfo | None:
        """The topic if it is known to be well: nothing has to be asked for it."""
        known = self.cluster.topics.get(name)
        return known if known is not None and known.error is Error.NONE and known.partitions else None

    def known_leader(self, topic: str, partition: int) -> Node | None:
        """The leader if it is known: nothing has to be asked for it."""
        known = self.known_topic(topic)
        if known is None or not 0 <= partition < len(known.partitions):
            return None
        return self.cluster.nodes.get(known.partitions[partition].leader)

    def leader(self, topic: str, partition: int) -> Steps[Node]:
        """The broker that leads a partition. KafkaError when there is none, or no such partition."""
        info = yield from self.topic(topic)
        if not 0 <= partition < len(info.partitions):
            raise error_about(f"{topic}-{partition}", Error.UNKNOWN_TOPIC_OR_PARTITION)
        node = self.known_leader(topic, partition)
        if node is None:
            self.forget_topics([topic])
            raise error_about(f"{topic}-{partition}", Error.LEADER_NOT_AVAILABLE)
        return node

    def by_leader(self, partitions: Iterable[Partition]) -> Steps[dict[Node, list[Partition]]]:
        """Partitions under the brokers that lead them."""
        groups: dict[Node, list[Partition]] = {}
        for topic, partition in partitions:
            node = yield from self.leader(topic, partition)
            groups.setdefault(node, []).append((topic, partition))
        return groups

    def forget_topics(self, topics: Iterable[str]) -> None:
        """What is known of these may be old: ask again before the next use."""
        for topic in topics:
            self.cluster.topics.pop(topic, None)

    def broker(self, broker_id: int) -> Steps[Node]:
        """That broker. Disconnected while it is not there."""
        cluster = yield from self.refresh()
        if broker_id not in cluster.nodes:
            raise Disconnected(f"broker {broker_id} is not there")
        return cluster.nodes[broker_id]

    def controller(self) -> Steps[Node]:
        """The controller. Disconnected when there is none at the moment."""
        if self.cluster.controller_id < 0:
            yield from self.refresh()
        node = self.cluster.nodes.get(self.cluster.controller_id)
        if node is None:
            self.cluster.controller_id = -1
            raise Disconnected("the cluster has no controller at the moment")
        return node

    def coordinator(self, group_id: str) -> Steps[Node]:
        """The coordinator of a group. KafkaError when there is none at the moment."""
        known = self._coordinators.get(group_id)
        if known is not None:
            return known
        node = yield from self.any_node()
        response = yield from self.ask(node, find_coordinator, find_coordinator.Request(key=group_id))
        raise_error(response.error_code, response.error_message, f"group '{group_id}'")
        found = self._coordinators[group_id] = Node(response.node_id, response.host, response.port)
        return found

    def forget_coordinator(self, group_id: str) -> None:
        """It answered that it is not, or does not answer."""
        self._coordinators.pop(group_id, None)

    # Outages.

    def wait_out(self) -> Steps[None]:
        """Nobody was reachable: at the start that is an error soon (TimedOut), later it is waited out."""
        now = self.clock.monotonic_ms()
        if not self.cluster.nodes:
            if self._unreachable_since is None:
                self._unreachable_since = now
            if now - self._unreachable_since > self.bootstrap_timeout_ms:
                raise TimedOut("Timed out waiting for a node assignment. Call: metadata")
        self.forget_topics(list(self.cluster.topics))
        yield Sleep(self.retry_backoff_ms)

    def tell_topic_error(self, topic: str, error: Error) -> None:
        """A topic cannot be used for now: told once for each reason, as its name may be a typing error."""
        if error is Error.NONE:
            self._topic_errors.pop(topic, None)
        elif self._topic_errors.get(topic) is not error:
            self._topic_errors[topic] = error
            self.tell(f"WARN Error while fetching metadata : {{{topic}={error.name}}}")

    # Again.

    def retrying(
        self,
        what: str,
        attempt: Callable[[], Steps[T]],
        *,
        timeout_ms: float | None = None,
        group: str = "",
        final: Container[Error] = (Error.UNKNOWN_TOPIC_OR_PARTITION,),
    ) -> Steps[T]:
        """Runs `attempt` until it succeeds or fails for good: with an error that does not pass, or one of `final`.

        `what` is Kafka's name of the call, for the message. Without `timeout_ms` it is default_api_timeout_ms.
        """
        start = self.clock.monotonic_ms()
        deadline = start + (self.default_api_timeout_ms if timeout_ms is None else timeout_ms)
        pause = float(self.retry_backoff_ms)
        while True:
            limit = deadline
            try:
                return (yield from attempt())
            except Disconnected as problem:
                if not self.cluster.nodes:
                    limit = min(deadline, start + self.bootstrap_timeout_ms)
                reason: Exception = problem
                text = f"Timed out waiting for a node assignment. Call: {what} ({problem})"
            except KafkaError as problem:
                if not problem.error.retriable or problem.error in final:
                    raise
                reason = problem
                text = problem.message or problem.error.message
            if self.clock.monotonic_ms() + pause > limit:
                if isinstance(reason, KafkaError):
                    raise reason
                raise TimedOut(text) from reason
            if group:
                self.forget_coordinator(group)
            self.cluster.controller_id = -1
            yield Sleep(pause * self._rng.uniform(0.8, 1.2))
            pause = min(pause * 2, MAX_BACKOFF_MS)
            with contextlib.suppress(Disconnected, KafkaError):
                yield from self.refresh(list(self.cluster.topics))
