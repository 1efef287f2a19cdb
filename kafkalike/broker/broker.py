"""The composition root: builds one broker from its parts, starts and stops it.

The order of a start is Kafka's (KafkaServer.startup), except that the log directories are locked before anything else:
ZooKeeper and the cluster's id, the logs, sockets bound, registration, controller, coordinators, and only then are
sockets served. Until the registration can be made connections are refused. A stop goes the other way round; it may come
at any moment of a start, which ends where it waits.
"""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import Deferred

from kafkalike.broker import request_metrics
from kafkalike.broker.dispatch import Dispatch
from kafkalike.broker.dynamic_config import UNCLEAN, DynamicConfig
from kafkalike.broker.fetch_sessions import FetchSessions
from kafkalike.broker.file_descriptors import share
from kafkalike.broker.log_dir_events import LogDirEvents
from kafkalike.broker.peer_connections import Peers
from kafkalike.broker.produce_forwarding import ProduceForwarding
from kafkalike.clock import Clock
from kafkalike.cluster import topic_names, zookeeper
from kafkalike.cluster.membership import Membership, MembershipError
from kafkalike.cluster.metadata import Image
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.config import Config, ConfigException, Endpoint, connections_by_host, http_endpoints, unbindable
from kafkalike.controller.controller import Controller
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.coordinator.producer_ids import ProducerIds
from kafkalike.errors import Error, KafkaError
from kafkalike.metrics import Gauge
from kafkalike.net.descriptors import Descriptors
from kafkalike.net.server import Limits, Listener, Server
from kafkalike.protocol.messages import api_versions, controlled_shutdown
from kafkalike.replication.replicas import Replicas
from kafkalike.storage.directory import DirectoryLost, LogDirectory, StorageError, read_broker_id
from zk.client import CONNECTED, ConnectionLoss, ConnectTimeout, SessionExpired, ZkClient, gather
from zk.descriptors import raise_limit

log = logging.getLogger("kafka.server.KafkaServer")

FAREWELL_SECONDS = 0.3
HAND_OVER_SECONDS = 10  # for one answer to ControlledShutdown
DOUBT_SECONDS = 3.0  # in which a dead leader should have been replaced
SESSION_FILE = ".zookeeper-session"  # beside the logs of the first directory

BROKER_STATE = Gauge("kafka.server:type=KafkaServer,name=BrokerState")
# Its values.
NOT_RUNNING, STARTING, RECOVERY, RUNNING, CONTROLLED_SHUTDOWN, SHUTTING_DOWN = 0, 1, 2, 3, 6, 7


class StartupError(Exception):
    """The broker cannot start. The text is one line for the operator."""


class Broker:
    """One broker. `start` and `stop` once each; attributes are set in the order of a start."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        halt: Callable[[], Any] = lambda: None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`halt` ends the process at once, with nothing written any more. Without `clock` and `rng` the time and the
        random numbers are the machine's."""
        self.clock = clock or Clock()
        self.rng = rng or random.SystemRandom()
        self.config = config
        self.reactor = reactor
        self._halt = halt
        self.broker_id: int = config["broker.id"]
        self.cluster_id = ""
        self.fetch_max_bytes: int = config["fetch.max.bytes"]
        self.rack_aware = config["replica.selector.class"] is not None
        self.fetch_sessions = FetchSessions(
            config["max.incremental.fetch.session.cache.slots"], self.rng.randrange(1, 2**31 - 1)
        )
        self.zk = ZkClient(config["zookeeper.connect"], config["zookeeper.session.timeout.ms"], reactor)
        self.metadata: MetadataCache = MetadataCache(reactor=reactor)
        self.membership: Any = None
        self.peers: Any = None
        self.replicas: Any = None
        self.controller: Any = None
        self.group_coordinator: Any = None
        self.producer_ids: Any = None
        self.dynamic: Any = None
        self.produce_forwarding = ProduceForwarding(self, reactor)
        self._log_dir_events: Any = None
        self.listeners: list[Listener] = []
        self.state = NOT_RUNNING
        BROKER_STATE.watch(self, lambda broker: broker.state)
        self._metrics_listener: Any = None
        self._keeping: Any = None
        self._dispatch = Dispatch(self)
        self._directories: list[LogDirectory] = []
        self._starting: Deferred[None] | None = None
        self._loading: Deferred[None] | None = None
        self._loaded = False

    # Starting

    async def start(self) -> None:
        """Starts everything; StartupError says in one line why it could not."""
        self._starting = Deferred.fromCoroutine(self._start())
        try:
            await self._starting
        except defer.CancelledError as problem:
            raise StartupError("The broker was told to stop during its start.") from problem
        except (ConnectTimeout, MembershipError, StorageError, ConfigException, OSError) as problem:
            raise StartupError(str(problem)) from problem
        except (SessionExpired, ConnectionLoss) as problem:
            raise StartupError("The ZooKeeper session was lost during the start.") from problem

    async def _start(self) -> None:
        config = self.config
        log.info("starting")
        self.state = STARTING
        self._directories = _locked(config.log_dirs)
        self._serve_metrics()
        log.info("Connecting to zookeeper on %s", config["zookeeper.connect"])
        await self.zk.start(config["zookeeper.connection.timeout.ms"])
        usable = [directory.path for directory in self._directories if directory.offline is None]
        session_file = os.path.join(usable[0], SESSION_FILE)
        announced = {BrokerNode.OFFSETS_STORAGE: config["offsets.storage"]}
        self.membership = Membership(self.zk, config, session_file=session_file, extra=announced, reactor=self.reactor)
        self.cluster_id = await self.membership.prepare()
        log.info("Cluster ID = %s", self.cluster_id)
        self.metadata = MetadataCache(self.cluster_id, self.reactor)
        await self._find_broker_id(usable)
        self.dynamic = DynamicConfig(self.zk, self.broker_id, config, self._topic_altered, self._broker_altered)
        await self.dynamic.load()
        self.peers = Peers(self.broker_id, config, self.metadata, self.reactor)
        self.replicas = Replicas(
            self.broker_id, config, self.reactor, self._newest_overrides, self.peers.fetch_channel, self.ask_controller
        )
        self.replicas.reachable = self.peers.knows
        self.replicas.before_cut = self._abort_readers
        self.replicas.directory_lost = self._directory_lost
        self._log_dir_events = LogDirEvents(self.zk, self.broker_id, self.reactor)
        self.replicas.replica_refused = self._log_dir_events.replica_refused
        self.replicas.known = lambda topic, index: self.metadata.image.partition(topic, index) is not None
        self.replicas.topic_id = lambda topic: getattr(self.metadata.image.topics.get(topic), "id", None)
        overrides = await self._all_overrides()
        self.state = RECOVERY
        self._loading = self.replicas.load(self.cluster_id, overrides, self._directories)
        await self._loading
        self.metadata.on_change(self._brokers_changed)
        self._loaded = True
        self._bind(share(self, raise_limit()))
        self.membership.endpoints = self._advertised()
        self.membership.about_to_register = self._listen
        # Each directory has a marker of a clean stop; one that is new has lost everything, for all that is known. What
        # lies in one that has failed is not served, and says nothing.
        if not all(directory.clean for directory in self.replicas.directories if directory.offline is None):
            self.membership.extra[BrokerNode.UNCLEAN] = True
        self.membership.on_registered(self._registered)
        self.controller = Controller(
            self.zk,
            self.broker_id,
            config,
            self.send,
            self.reactor,
            self.clock,
            self.rng,
            self.membership,
            self.peers,
        )
        self.peers.lost = self._connection_lost
        self._keeping = task.LoopingCall(self._keep_connections)
        self._keeping.clock = self.reactor
        self.producer_ids = ProducerIds(self.ask_controller, self.broker_id, lambda: self.membership.broker_epoch)
        self.group_coordinator = GroupCoordinator(
            self.broker_id,
            config,
            self.replicas,
            self.metadata,
            lambda: self.controller.active,
            self.zk,
            self.reactor,
            self.clock,
        )
        self.replicas.may_join = self.group_coordinator.may_join_isr
        await self.membership.register(self.broker_id)
        self.replicas.upkeep.start()
        self.replicas.mending.start()
        await self.controller.start()
        await self.dynamic.start()
        self._keeping.start(1.0)
        await defer.maybeDeferred(self.group_coordinator.start)
        for listener in self.listeners:
            listener.accept()
            log.info("Awaiting socket connections on %s:%d.", listener.host or "0.0.0.0", listener.port)
        self.state = RUNNING
        log.info("[KafkaServer id=%d] started", self.broker_id)

    def _serve_metrics(self) -> None:
        if endpoints := http_endpoints(self.config["metrics.listeners"]):
            from kafkalike.broker.metrics_listener import MetricsListener

            self._metrics_listener = MetricsListener(self.reactor, endpoints, lambda: self.state == RUNNING)

    async def _find_broker_id(self, log_dirs: list[str]) -> None:
        """The configured id, else the one in the log directories, else a new one from ZooKeeper."""
        stored = {found for path in log_dirs if (found := read_broker_id(path)) is not None}
        if self.broker_id < 0:
            self.broker_id = stored.pop() if len(stored) == 1 else await self.membership.generate_broker_id()
            log.info("broker.id is %d", self.broker_id)

    async def _all_overrides(self) -> dict[str, dict[str, str]]:
        names = await zookeeper.children(self.zk, EntityConfig, "topics")
        found = await gather(self.topic_overrides(name) for name in names)
        return dict(zip(names, found, strict=True))

    def topic_overrides(self, topic: str) -> Deferred[dict[str, str]]:
        """A topic's own configuration, from its znode; garbage there is logged and counts as none."""

        async def read() -> dict[str, str]:
            return await zookeeper.read(self.zk, EntityConfig, "topics", topic) or {}

        return Deferred.fromCoroutine(read())

    def _newest_overrides(self, topic: str) -> Deferred[dict[str, str]]:
        """Of a topic that this broker is to have from now on. A server that lags would say that there are none, and
        nobody would tell us later."""
        self.zk.sync(EntityConfig.path("topics", topic)).addErrback(lambda _: None)
        return self.topic_overrides(topic)

    def _topic_altered(self, topic: str, values: dict[str, str]) -> None:
        self.replicas.configure(topic, values)
        if UNCLEAN in values and self.replicas.topic_config(topic)[UNCLEAN]:
            self.controller.unclean_election_changed()

    def _broker_altered(self, names: set[str]) -> None:
        """Topics take their defaults from this configuration; the rest of it is read whenever it is needed."""
        if self.replicas is None:
            return
        for topic in {topic for topic, _ in self.replicas.hosted}:
            self.replicas.configure(topic, self.replicas.overrides.get(topic, {}))
        if UNCLEAN in names and self.controller is not None:
            self.controller.unclean_election_changed()
        for listener in self.listeners:
            listener.server.limit(*self._limits())

    def _limits(self) -> tuple[int, int, dict[str, int]]:
        config = self.config
        overrides = connections_by_host(config["max.connections.per.ip.overrides"])
        return config["max.connections"], config["max.connections.per.ip"], overrides

    def _bind(self, descriptors: Descriptors) -> None:
        config = self.config
        limits = Limits(*self._limits())
        buffers = (config["socket.send.buffer.bytes"], config["socket.receive.buffer.bytes"])
        broken = unbindable(config)
        if broken is not None:
            raise ConfigException(broken.text)
        for endpoint in config.listeners:
            server = Server(
                endpoint.listener,
                self._dispatch.begin,
                config["socket.request.max.bytes"],
                limits,
                buffers,
                descriptors,
                request_metrics.sent,
            )
            self.listeners.append(
                Listener(
                    self.reactor,
                    server,
                    endpoint.host,
                    endpoint.port,
                    config["socket.listen.backlog.size"],
                    config["connections.max.idle.ms"],
                )
            )

    def _listen(self) -> None:
        """Whoever sees the registration can connect."""
        for listener in self.listeners:
            listener.listen()

    def _advertised(self) -> list[Endpoint]:
        """The advertised endpoints, with the ports that were bound and this machine's name for wildcards."""
        bound = {listener.server.listener: listener.port for listener in self.listeners}
        return [
            endpoint._replace(host=endpoint.host or _own_name(), port=endpoint.port or bound[endpoint.listener])
            for endpoint in self.config.advertised_listeners
        ]

    def _registered(self, broker_epoch: int) -> None:
        self.replicas.broker_epoch = broker_epoch

    def _brokers_changed(self, old: Image, new: Image) -> None:
        gone = old.brokers.keys() - new.brokers.keys()
        if gone:
            self.replicas.brokers_gone(gone)
        self._keep_connections()

    def _keep_connections(self) -> None:
        """A connection to each broker tells at once when it dies."""
        for broker_id in self.metadata.image.brokers:
            if broker_id != self.broker_id:
                self.peers.keep(broker_id)

    def _connection_lost(self, broker_id: int, was_connected: bool) -> None:
        self.controller.connection_lost(broker_id, was_connected)
        if not was_connected:
            return

        def heard(refused: Any) -> None:
            if refused is not True:
                self.metadata.trust(broker_id)

        self.metadata.doubt(broker_id)
        self.peers.refuses(broker_id).addBoth(heard)
        self.reactor.callLater(DOUBT_SECONDS, self.metadata.trust, broker_id)

    # Log directories that fail

    def _directory_lost(self, directory: LogDirectory) -> None:
        """The controller is told, and asks which replicas are gone. Without any directory this broker is no use."""
        if all(each.offline is not None for each in self.replicas.directories):
            paths = ", ".join(each.path for each in self.replicas.directories)
            log.critical("Shutdown broker because all log dirs in %s have failed", paths)
            self._halt()
            return
        self._log_dir_events.tell()

    # Stopping

    async def stop(self) -> None:
        """Stops everything; what was acknowledged is on disk and the logs are marked as cleanly closed."""
        log.info("shutting down")
        await self._end_start()
        if self.membership is not None and self.membership.broker_epoch >= 0:
            self.state = CONTROLLED_SHUTDOWN
            self.replicas.leaving = True
            await self._hand_over()
            # Whoever is next need not wait for the end of our session.
            await self.controller.leave()
        self.state = SHUTTING_DOWN
        for listener in self.listeners:
            await defer.maybeDeferred(listener.close)
            listener.server.abort_all()
        if self.group_coordinator is not None:
            await defer.maybeDeferred(self.group_coordinator.stop)
        if self.replicas is not None:
            # What an earlier unclean stop may have cost is no controller's knowledge yet: the next start says it again.
            told = self._loaded and not self.membership.extra.get(BrokerNode.UNCLEAN)
            await self.replicas.stop(clean=told or None)
        for directory in self._directories:
            directory.abandon()
        if self._keeping is not None and self._keeping.running:
            self._keeping.stop()
        if self.peers is not None:
            self.peers.close()
        if self.dynamic is not None:
            self.dynamic.stop()
        if self.controller is not None:
            self.controller.stop()
        if self._log_dir_events is not None:
            self._log_dir_events.stop()
        if self.membership is not None:
            self.membership.stop()
        await self.zk.stop()
        if self._metrics_listener is not None:
            self._metrics_listener.close()
        self.state = NOT_RUNNING
        log.info("shut down completed")

    async def _end_start(self) -> None:
        """A start that is under way waits for something: it does not get it. Logs that are being opened are let go."""
        if self._loading is not None and not self._loading.called:
            self.replicas.interrupt_load()
            heard: Deferred[Any] = Deferred()
            self._loading.addBoth(heard.callback)
            await heard
        while self._starting is not None and not self._starting.called:
            self._starting.cancel()  # again where somebody took it for a failure of what was waited for

    async def _hand_over(self) -> None:
        """Has the controller move this broker's leaderships away, so that clients have somewhere to go."""
        config = self.config
        tries = config["controlled.shutdown.max.retries"] if config["controlled.shutdown.enable"] else 0
        for _ in range(tries):
            image = self.metadata.image
            if not image.brokers.keys() - {self.broker_id}:
                return
            request = controlled_shutdown.Request(broker_id=self.broker_id, broker_epoch=self.membership.broker_epoch)
            problem = ""
            try:
                response = await self.ask_controller(request).addTimeout(HAND_OVER_SECONDS, self.reactor)
                remaining = [f"{p.topic_name}-{p.partition_index}" for p in response.remaining_partitions]
                if response.error_code:
                    problem = Error(response.error_code).name
                elif not remaining:
                    log.info("[KafkaServer id=%d] Controlled shutdown succeeded", self.broker_id)
                    # Clients hear here who leads now, before their connections end.
                    await task.deferLater(self.reactor, FAREWELL_SECONDS)
                    return
                else:
                    problem = f"nobody can take over {', '.join(remaining[:10])}"
                    others = image.brokers.keys() - {self.broker_id}
                    if all(await gather(self.peers.refuses(broker_id) for broker_id in others)):
                        log.info("[KafkaServer id=%d] Controlled shutdown: the others are gone", self.broker_id)
                        return
            except defer.TimeoutError:
                problem = f"the controller gave no answer within {HAND_OVER_SECONDS} s"
            except (KafkaError, OSError) as error:
                problem = str(error) or type(error).__name__
            log.info("[KafkaServer id=%d] Controlled shutdown: %s", self.broker_id, problem)
            if self.zk.state != CONNECTED:
                log.info(
                    "[KafkaServer id=%d] Controlled shutdown: nobody is waited for without ZooKeeper", self.broker_id
                )
                return
            # A new controller makes itself known by its metadata. The last broker has nobody to wait for.
            await self.metadata.wait(
                lambda image, asked=image.controller_id: (  # type: ignore[misc]
                    image.controller_id != asked or not image.brokers.keys() - {self.broker_id}
                ),
                config["controlled.shutdown.retry.backoff.ms"],
            )
        if tries:
            log.warning("[KafkaServer id=%d] Proceeding to do an unclean shutdown of leaderships", self.broker_id)

    # What APIs ask for

    def send(self, broker_id: int, request: Any) -> Deferred[Any]:
        """Sends a control request to a broker: to this one by a call of what its API calls."""
        if broker_id == self.broker_id:
            return defer.maybeDeferred(self._dispatch.call_locally, request)
        endpoint = None
        if self.controller.context is not None and broker_id in self.controller.context.brokers:
            # The controller knows a new broker before anybody has told the metadata.
            listener = self.config.inter_broker_listener
            endpoints = self.controller.context.brokers[broker_id].node.endpoints
            endpoint = next((e for e in endpoints if e.listener == listener), None)
        return self.peers.control(broker_id, request, endpoint)

    def ask_controller(self, request: Any) -> Deferred[Any]:
        """Sends a request to the controller; ConnectionError when there is none."""
        controller = self.controller.controller_id
        if controller < 0:
            controller = self.metadata.image.controller_id
        if controller < 0:
            return defer.fail(ConnectionError("there is no controller at the moment"))
        return self.send(controller, request)

    def _abort_readers(self, cut: Any) -> None:
        """Ends the connections that have records of a log in their output: they are about to be cut off."""
        for listener in self.listeners:
            listener.server.abort_senders(lambda item: item.segment.path.startswith(cut.path + os.sep))

    def api_versions(self) -> Any:
        """What this broker serves, as the answer to ApiVersions."""
        served = [
            api_versions.ApiVersion(api_key=api.key, min_version=api.oldest, max_version=api.newest)
            for api in sorted(self._dispatch.apis.values())
        ]
        return api_versions.Response(api_keys=served)

    @staticmethod
    def check_topic_name(name: str) -> None:
        """INVALID_TOPIC_EXCEPTION for a name that no topic may have."""
        reason = topic_names.illegal(name)
        if reason:
            raise KafkaError(Error.INVALID_TOPIC_EXCEPTION, reason)


def _locked(log_dirs: list[str]) -> list[LogDirectory]:
    """The log directories, each locked, or offline as its disk fails; StorageError if somebody else has one of them, or
    no disk works."""
    directories = [LogDirectory(path) for path in log_dirs]
    lost: list[DirectoryLost] = []
    try:
        for directory in directories:
            try:
                directory.lock()
            except DirectoryLost as problem:
                lost.append(problem)
        if len(lost) == len(directories):
            raise lost[0]
    except StorageError:
        for directory in directories:
            directory.abandon()
        raise
    for each in lost:
        log.error("%s", each)
    return directories


def _own_name() -> str:
    """The name of this machine if clients here can resolve it, else the loopback address."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "127.0.0.1"
    return name
