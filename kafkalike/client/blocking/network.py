"""Connections to the brokers of a cluster, and who leads and coordinates what. Used by the three clients beside it.

Nothing here retries by itself except `retrying`, which runs a function again while it fails in a way that passes:
a broker that is away, a leader or coordinator that moved.
"""

from __future__ import annotations

import contextlib
import queue
import random
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from types import ModuleType
from typing import Any, TypeVar

from kafkalike.client.cluster import Cluster, Node, TopicInfo, parse_servers
from kafkalike.client.errors import Disconnected, NotKafka, TimedOut, error_about, raise_error
from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol import framing
from kafkalike.protocol.messages import api_versions, find_coordinator, metadata
from zk import address_check

T = TypeVar("T")

MAX_RESPONSE_BYTES = 1 << 30
PATIENCE_SECONDS = 1.0  # with one silent broker, before another is asked too

# The newest version that this client fills in by itself: later ones name topics by id, or carry several groups.
_NEWEST = {"Fetch": 12, "Produce": 10, "OffsetFetch": 7, "FindCoordinator": 3, "DeleteTopics": 5, "OffsetCommit": 8}


class Connection:
    """One socket to one broker, with versions negotiated. One request after the other, answers in order."""

    def __init__(self, node: Node, client_id: str, connect_timeout_ms: int = 10_000) -> None:
        self.node = node
        self.client_id = client_id
        self.lock = threading.Lock()
        self.versions: dict[int, tuple[int, int]] = {}
        self._correlation = 0
        self._waiting: list[tuple[int, ModuleType, int]] = []
        self._buffer = b""
        try:
            self._socket = socket.create_connection((node.host, node.port), connect_timeout_ms / 1000)
        except (OSError, UnicodeError) as problem:
            raise Disconnected(f"{node.host}:{node.port}: {problem}") from problem
        if self._socket.getsockname() == self._socket.getpeername():
            # A port in the range for outgoing connections whose server is down can be connected to itself, and
            # would then keep the server from coming back.
            self.close()
            raise Disconnected(f"{node.host}:{node.port}: nobody listens")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._negotiate(connect_timeout_ms)
        except BaseException:
            self.close()
            raise

    def _negotiate(self, timeout_ms: int) -> None:
        version = api_versions.VERSIONS[1]
        while True:
            request = api_versions.Request()
            if version >= 3:
                request.client_software_name = "kafkalike"
                request.client_software_version = "0"
            self.send(api_versions, request, version)
            frame, correlation = self._frame(timeout_ms), self._waiting.pop(0)[0]
            if int.from_bytes(frame[4:6], "big", signed=True) == Error.UNSUPPORTED_VERSION and version > 0:
                version = 0
                continue
            try:
                got, position = framing.read_response_header(frame, api_versions.API_KEY, version)
                if got != correlation:
                    raise Disconnected("answer to another request")
                response = api_versions.Response.decode(version, frame, position)
            except ProtocolError as problem:
                raise Disconnected(f"this is no Kafka broker: {problem}") from problem
            raise_error(response.error_code)
            self.versions = {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}
            return

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def version(self, api: ModuleType) -> int:
        """The newest version of this API that both sides speak."""
        low, high = self.versions.get(api.API_KEY, (0, -1))
        newest = min(high, _NEWEST.get(api.NAME, high), api.VERSIONS[1])
        if newest < max(low, api.VERSIONS[0]):
            raise KafkaError(Error.UNSUPPORTED_VERSION, f"The node does not support {api.NAME}")
        return newest

    def send(self, api: ModuleType, request: Any, version: int | None = None) -> None:
        """Sends a request (or what a function makes for the version). `receive` gives its answer."""
        if version is None:
            version = self.version(api)
        if callable(request):
            request = request(version)
        self._correlation += 1
        header = framing.request_header(api.API_KEY, version, self._correlation, self.client_id)
        body = request.encode(version)
        try:
            self._socket.settimeout(30)
            self._socket.sendall(b"".join(((len(header) + len(body)).to_bytes(4, "big"), header, body)))
        except OSError as problem:
            raise Disconnected(str(problem)) from problem
        self._waiting.append((self._correlation, api, version))

    @property
    def idle(self) -> bool:
        """No answer is outstanding."""
        return not self._waiting

    def skip_answer(self) -> None:
        """The last request has none (Produce with acks 0)."""
        self._waiting.pop()

    def receive(self, timeout_ms: float) -> Any:
        """The answer to the oldest request that has none yet."""
        frame = self._frame(timeout_ms)
        correlation, api, version = self._waiting.pop(0)
        try:
            got, position = framing.read_response_header(frame, api.API_KEY, version)
            if got != correlation:
                raise Disconnected(f"answer to request {got} where {correlation} was expected")
            return api.Response.decode(version, frame, position)
        except ProtocolError as problem:
            raise Disconnected(f"{api.NAME}: {problem}") from problem

    def _frame(self, timeout_ms: float) -> bytes:
        deadline = time.monotonic() + timeout_ms / 1000
        size = int.from_bytes(self._exactly(4, deadline), "big", signed=True)
        if not 4 <= size <= MAX_RESPONSE_BYTES:
            raise Disconnected(f"an answer of {size} bytes: this is no Kafka broker")
        return self._exactly(size, deadline)

    def _exactly(self, size: int, deadline: float) -> bytes:
        parts = []
        while size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Disconnected("no answer in time")
            self._socket.settimeout(left)
            try:
                part = self._socket.recv(min(size, 1 << 18))
            except TimeoutError as problem:
                raise Disconnected("no answer in time") from problem
            except OSError as problem:
                raise Disconnected(str(problem)) from problem
            if not part:
                raise Disconnected("the broker closed the connection")
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Closes the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


class Network:
    """A cluster seen from outside. Threads may share it: a connection per (node, purpose), each used by one of them."""

    def __init__(
        self,
        bootstrap_servers: str,
        client_id: str,
        *,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        bootstrap_timeout_ms: int = 10_000,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.tell = tell or (lambda text: print(text, file=sys.stderr))
        self.bootstrap = self._resolvable(parse_servers(bootstrap_servers))
        self.client_id = client_id
        self.request_timeout_ms = request_timeout_ms
        self.retry_backoff_ms = retry_backoff_ms
        self.bootstrap_timeout_ms = bootstrap_timeout_ms
        self.cluster = Cluster()
        self._connections: dict[tuple[int, str], Connection] = {}
        self._coordinators: dict[str, Node] = {}
        self._lock = threading.RLock()
        self._told: set[Node] = set()

    def _resolvable(self, nodes: list[Node]) -> list[Node]:
        """Those whose host names have addresses, as Kafka's clients choose them when they are made; ValueError when
        there is none."""
        reasons = {host: address_check.unresolved(host) for host in {node.host for node in nodes}}
        found = [node for node in nodes if reasons[node.host] is None]
        if not found:
            why = ", ".join(sorted(reason for reason in reasons.values() if reason))
            raise ValueError(f"No resolvable bootstrap urls given in bootstrap.servers: {why}")
        for node in nodes:
            if node not in found:
                self.tell(
                    f"WARN Couldn't resolve server {node.host}:{node.port} from bootstrap.servers: {reasons[node.host]}"
                )
        return found

    # Connections.

    def connection(self, node: Node, purpose: str = "") -> Connection:
        """The connection to a node for one purpose; made when needed. Disconnected when that fails."""
        key = (node.id, purpose)
        with self._lock:
            found = self._connections.get(key)
        if found is not None and found.node == node:
            return found
        try:
            made = Connection(node, self.client_id, min(10_000, self.request_timeout_ms))
        except Disconnected as problem:
            if node.id < 0 and address_check.is_zookeeper(node.host, node.port):
                raise NotKafka(
                    f"Something answers at {node.host}:{node.port}, and it is ZooKeeper, not Kafka: "
                    "--bootstrap-server wants the address of a broker"
                ) from problem
            if node not in self._told:
                self._told.add(node)
                reason = address_check.unresolved(node.host)
                why = f": {reason}, and the broker says that it is there (advertised.listeners)" if reason else ""
                self.tell(
                    f"WARN Connection to node {node.id} ({node.host}:{node.port}) could not be established. "
                    f"Node may not be available{why}."
                )
            raise
        self._told.discard(node)
        with self._lock:
            self._connections[key] = made
        return made

    def drop(self, connection: Connection) -> None:
        """Forgets a broken connection."""
        connection.close()
        with self._lock:
            for key, found in list(self._connections.items()):
                if found is connection:
                    del self._connections[key]

    def call(
        self, node: Node, api: ModuleType, request: Any, *, timeout_ms: float | None = None, purpose: str = ""
    ) -> Any:
        """One request, one answer. Disconnected when there is none; the connection is gone then."""
        connection = self.connection(node, purpose)
        try:
            with connection.lock:
                connection.send(api, request)
                return connection.receive(timeout_ms or self.request_timeout_ms)
        except Disconnected:
            self.drop(connection)
            raise

    def close(self) -> None:
        """Closes every connection."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    # Who is there.

    def any_node(self) -> Node:
        """A broker that answers; the known ones first, then the bootstrap servers. Who accepts a connection and is
        silent then costs PATIENCE_SECONDS: the next is asked beside it, and the first that answers is the one."""
        known = list(self.cluster.nodes.values())
        random.shuffle(known)
        nodes = [*known, *self.bootstrap]
        with self._lock:
            for node in nodes:
                found = self._connections.get((node.id, ""))
                if found is not None and found.node == node:
                    return node
        outcomes: queue.SimpleQueue[tuple[Node, BaseException | None]] = queue.SimpleQueue()

        def attempt(node: Node) -> None:
            try:
                self.connection(node)
            except BaseException as problem:
                outcomes.put((node, problem))
            else:
                outcomes.put((node, None))

        failure: BaseException = Disconnected("no broker is known")
        stranger: NotKafka | None = None
        under_way = 0
        while nodes or under_way:
            if nodes:
                threading.Thread(target=attempt, args=(nodes.pop(0),), daemon=True).start()
                under_way += 1
            try:
                node, problem = outcomes.get(timeout=PATIENCE_SECONDS if nodes else None)
            except queue.Empty:
                continue
            under_way -= 1
            if problem is None:
                return node
            if isinstance(problem, NotKafka):
                stranger = problem
                continue
            if not isinstance(problem, Disconnected):
                raise problem
            failure = problem
        # A broker that is away comes back; the wrong address is no better later.
        raise failure if stranger is None or known else stranger

    def refresh(self, topics: Sequence[str] | None = (), *, create: bool = False) -> Cluster:
        """Asks for brokers and topics: the named ones, or all with None."""

        def request(version: int) -> Any:
            wanted = [metadata.MetadataRequestTopic(name=name) for name in topics] if topics is not None else None
            if version == 0:
                wanted = wanted or []
            made = metadata.Request(topics=wanted)
            if version >= 4:
                made.allow_auto_topic_creation = create
            return made

        response = self.call(self.any_node(), metadata, request)
        with self._lock:
            self.cluster.update(response, topics is None)
        return self.cluster

    def topic(self, name: str, *, create: bool = False) -> TopicInfo:
        """A topic with all its partitions led. KafkaError (some retriable) when it is not so."""
        known = self.cluster.topics.get(name)
        if known is None or known.error is not Error.NONE or not known.partitions:
            known = self.refresh([name], create=create).topics[name]
        raise_error(known.error, about=f"topic {name}")
        return known

    def leader(self, topic: str, partition: int) -> Node:
        """The broker that leads a partition. KafkaError when there is none, or no such partition."""
        info = self.topic(topic)
        for part in info.partitions:
            if part.partition == partition:
                node = self.cluster.nodes.get(part.leader)
                if node is None:
                    self.forget_topics([topic])
                    raise error_about(f"{topic}-{partition}", Error.LEADER_NOT_AVAILABLE)
                return node
        raise error_about(f"{topic}-{partition}", Error.UNKNOWN_TOPIC_OR_PARTITION)

    def by_leader(self, partitions: Iterable[tuple[str, int]]) -> dict[Node, list[tuple[str, int]]]:
        """Partitions under the brokers that lead them."""
        groups: dict[Node, list[tuple[str, int]]] = {}
        for topic, partition in partitions:
            groups.setdefault(self.leader(topic, partition), []).append((topic, partition))
        return groups

    def forget_topics(self, topics: Iterable[str]) -> None:
        """What is known of these may be old: ask again before the next use."""
        with self._lock:
            for topic in topics:
                self.cluster.topics.pop(topic, None)

    def controller(self) -> Node:
        """The controller. Disconnected when there is none at the moment."""
        if self.cluster.controller_id < 0:
            self.refresh()
        node = self.cluster.nodes.get(self.cluster.controller_id)
        if node is None:
            self.cluster.controller_id = -1
            raise Disconnected("the cluster has no controller at the moment")
        return node

    def coordinator(self, group_id: str) -> Node:
        """The coordinator of a group. KafkaError when there is none at the moment."""
        with self._lock:
            known = self._coordinators.get(group_id)
        if known is not None:
            return known
        request = find_coordinator.Request(key=group_id)
        response = self.call(self.any_node(), find_coordinator, request)
        raise_error(response.error_code, response.error_message, f"group '{group_id}'")
        node = Node(response.node_id, response.host, response.port)
        with self._lock:
            self._coordinators[group_id] = node
        return node

    def forget_coordinator(self, group_id: str) -> None:
        """It answered that it is not, or does not answer."""
        with self._lock:
            self._coordinators.pop(group_id, None)

    # Retries.

    def retrying(
        self,
        what: str,
        attempt: Callable[[], T],
        *,
        timeout_ms: float = 60_000,
        group: str = "",
        final: Container[Error] = (Error.UNKNOWN_TOPIC_OR_PARTITION,),
    ) -> T:
        """Runs `attempt` until it succeeds or fails for good: with an error that does not pass, or one of `final`.

        `what` is Kafka's name of the call, for the message.
        """
        start = time.monotonic()
        deadline = start + timeout_ms / 1000
        pause = self.retry_backoff_ms / 1000
        while True:
            limit = deadline
            try:
                return attempt()
            except Disconnected as problem:
                if not self.cluster.nodes:
                    limit = min(deadline, start + self.bootstrap_timeout_ms / 1000)
                reason: Exception = problem
                text = f"Timed out waiting for a node assignment. Call: {what} ({problem})"
            except KafkaError as problem:
                if not problem.error.retriable or problem.error in final:
                    raise
                reason = problem
                text = problem.message or problem.error.message
            if time.monotonic() + pause > limit:
                if isinstance(reason, KafkaError):
                    raise reason
                raise TimedOut(text) from reason
            if group:
                self.forget_coordinator(group)
            self.cluster.controller_id = -1
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, 1.0)
            with contextlib.suppress(Disconnected, KafkaError):
                self.refresh(list(self.cluster.topics))


def wait_readable(connections: Iterable[Connection], timeout_ms: float) -> list[Connection]:
    """Those of the connections that have something to read, after at most that time."""
    waiting = list(connections)
    if not waiting:
        return []
    ready, _, _ = select.select(waiting, [], [], max(timeout_ms, 0) / 1000)
    return ready
