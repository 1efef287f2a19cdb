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
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from kafkalike.broker import controlled_shutdown
from kafkalike.broker.broker import Broker
from kafkalike.broker.control_channel import ControlChannel
from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.broker.dispatch import Dispatch, versions
from kafkalike.broker.dynamic_config import UNCLEAN, DynamicConfig, topic_overrides
from kafkalike.broker.file_descriptors import share
from kafkalike.broker.group_lag import GroupLag
from kafkalike.broker.listeners import Listeners
from kafkalike.broker.log_dir_events import LogDirEvents
from kafkalike.broker.peer_connections import Peers
from kafkalike.broker.peer_liveness import PeerLiveness
from kafkalike.broker.produce_forwarding import ProduceForwarding
from kafkalike.clock import Clock
from kafkalike.cluster import zookeeper, zookeeper_metrics
from kafkalike.cluster.membership import Membership, MembershipError
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.config import Config, ConfigException, http_endpoints
from kafkalike.controller.controller import Controller
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.coordinator.producer_ids import ProducerIds
from kafkalike.metrics import Gauge
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.replication.replication import Replication
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.files import DirectoryLost, StorageError
from kafkalike.storage.meta_properties import read_broker_id
from zk.client import ConnectionLoss, ConnectTimeout, SessionExpired, ZkClient, gather
from zk.descriptors import raise_limit

if TYPE_CHECKING:
    from kafkalike.broker.metrics_listener import MetricsListener

log = logging.getLogger("kafka.server.KafkaServer")

SESSION_FILE = ".zookeeper-session"  # beside the logs of the first directory

BROKER_STATE = Gauge("kafka.server:type=KafkaServer,name=BrokerState")
# Its values.
NOT_RUNNING, STARTING, RECOVERY, RUNNING, CONTROLLED_SHUTDOWN, SHUTTING_DOWN = 0, 1, 2, 3, 6, 7


class StartupError(Exception):
    """The broker cannot start. The text is one line for the operator."""


class KafkaServer:
    """One broker; `start` and `stop` are called once each. Attributes are None until the start has come so far."""

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
        self.state = NOT_RUNNING
        BROKER_STATE.watch(self, lambda server: server.state)
        self.zk = ZkClient(config["zookeeper.connect"], config["zookeeper.session.timeout.ms"], reactor)
        zookeeper_metrics.watch(self.zk)
        self.metadata = MetadataCache(reactor=reactor)
        self.membership: Membership | None = None
        self.peers: Peers | None = None
        self.replication: Replication | None = None
        self.controller: Controller | None = None
        self.group_coordinator: GroupCoordinator | None = None
        self._directories: list[LogDirectory] = []
        self._metrics_listener: MetricsListener | None = None
        self._group_lag: GroupLag | None = None
        self._dynamic: DynamicConfig | None = None
        self._log_dir_events: LogDirEvents | None = None
        self._channel: ControlChannel | None = None
        self._liveness: PeerLiveness | None = None
        self._listeners: Listeners | None = None
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
        membership = self.membership = Membership(
            self.zk,
            config,
            self.clock,
            self.rng,
            session_file=session_file,
            extra=announced,
            reactor=self.reactor,
        )
        cluster_id = await membership.prepare()
        log.info("Cluster ID = %s", cluster_id)
        metadata = self.metadata = MetadataCache(cluster_id, self.reactor)
        await self._find_broker_id(membership, usable)
        broker_id = self.broker_id
        dynamic = self._dynamic = DynamicConfig(
            self.zk, broker_id, config, self._topic_altered, self._broker_altered, self.clock
        )
        await dynamic.load()
        peers = self.peers = Peers(broker_id, config, metadata, self.reactor)
        channel = self._channel = ControlChannel(broker_id, config, metadata, peers)
        events = self._log_dir_events = LogDirEvents(self.zk, broker_id, self.reactor)
        cluster = ClusterView(
            broker_id=broker_id,
            clock=self.clock,
            broker_epoch=lambda: membership.broker_epoch,
            has_partition=lambda topic, index: metadata.image.partition(topic, index) is not None,
            topic_id=lambda topic: getattr(metadata.image.topics.get(topic), "id", None),
            topic_overrides=self._newest_overrides,
            is_reachable=peers.knows,
            ask=peers.fetch_channel,
            ask_controller=channel.ask_controller,
            before_truncation=lambda cut: self._listeners.abort_readers(cut) if self._listeners else None,
            directory_lost=lambda _: self._directory_lost(partitions, events),
            replica_refused=events.replica_refused,
        )
        replication = self.replication = Replication(cluster, config, self.reactor)
        partitions = replication.partitions
        overrides = await self._all_overrides()
        self.state = RECOVERY
        self._loading = replication.load(cluster_id, overrides, self._directories)
        await self._loading
        self._loaded = True
        # Each directory has a marker of a clean stop; one that is new has lost everything, for all that is known. What
        # lies in one that has failed is not served, and says nothing.
        if not all(directory.clean for directory in partitions.directories if directory.offline is None):
            membership.extra[BrokerNode.UNCLEAN] = True
        broker = self._build(membership, metadata, peers, channel, cluster, replication)
        controller, coordinator = broker.controller, broker.group_coordinator
        liveness = self._liveness = PeerLiveness(broker_id, metadata, peers, replication.isr, controller, self.reactor)
        if self._metrics_listener is not None:
            self._group_lag = GroupLag(broker_id, coordinator, metadata, partitions, peers.forward, self.reactor)
        dispatch = Dispatch(broker)
        channel.controller, channel.call_locally = controller, dispatch.call_locally
        descriptors = share(partitions, replication.log_maintenance, self.reactor, raise_limit())
        listeners = self._listeners = Listeners(config, dispatch, descriptors, self.reactor)
        membership.endpoints = listeners.advertised()
        membership.about_to_register = listeners.listen
        await membership.register(broker_id)
        replication.start()
        await controller.start()
        await dynamic.start()
        liveness.start()
        await defer.maybeDeferred(coordinator.start)
        listeners.accept()
        self.state = RUNNING
        log.info("[KafkaServer id=%d] started", broker_id)

    def _build(
        self,
        membership: Membership,
        metadata: MetadataCache,
        peers: Peers,
        channel: ControlChannel,
        cluster: ClusterView,
        replication: Replication,
    ) -> Broker:
        """The parts that answer requests, of those that are there when the logs are loaded."""
        broker_id, config = self.broker_id, self.config
        controller = self.controller = Controller(
            self.zk, broker_id, config, channel.send, self.reactor, self.clock, self.rng, membership, peers
        )
        coordinator = self.group_coordinator = GroupCoordinator(
            broker_id, config, replication, metadata, lambda: controller.active, self.zk, self.reactor, self.clock
        )
        cluster.isr_vetoes.append(coordinator.may_not_join_isr)
        current_leader = CurrentLeader(broker_id, metadata, replication.partitions)
        return Broker(
            broker_id=broker_id,
            config=config,
            reactor=self.reactor,
            clock=self.clock,
            rng=self.rng,
            zk=self.zk,
            metadata=metadata,
            membership=membership,
            replication=replication,
            controller=controller,
            group_coordinator=coordinator,
            producer_ids=ProducerIds(channel.ask_controller, broker_id, lambda: membership.broker_epoch),
            current_leader=current_leader,
            produce_forwarding=ProduceForwarding(
                replication.partitions, replication.purgatory, peers, current_leader, self.reactor, self.clock
            ),
            api_versions=versions(),
        )

    def _serve_metrics(self) -> None:
        if endpoints := http_endpoints(self.config["metrics.listeners"]):
            from kafkalike.broker.metrics_listener import MetricsListener

            self._metrics_listener = MetricsListener(
                self.reactor,
                endpoints,
                lambda: self.state == RUNNING,
                lambda: defer.succeed(None) if self._group_lag is None else self._group_lag.refresh(),
            )

    async def _find_broker_id(self, membership: Membership, log_dirs: list[str]) -> None:
        """The configured id, else the one in the log directories, else a new one from ZooKeeper."""
        stored = {found for path in log_dirs if (found := read_broker_id(path)) is not None}
        if self.broker_id < 0:
            self.broker_id = stored.pop() if len(stored) == 1 else await membership.generate_broker_id()
            log.info("broker.id is %d", self.broker_id)

    async def _all_overrides(self) -> dict[str, dict[str, str]]:
        names = await zookeeper.children(self.zk, EntityConfig, "topics")
        found = await gather(topic_overrides(self.zk, name) for name in names)
        return dict(zip(names, found, strict=True))

    def _newest_overrides(self, topic: str) -> Deferred[dict[str, str]]:
        """Of a topic that this broker is to have from now on. A server that lags would say that there are none, and
        nobody would tell us later."""
        self.zk.sync(EntityConfig.path("topics", topic)).addErrback(lambda _: None)
        return Deferred.fromCoroutine(topic_overrides(self.zk, topic))

    # While it runs

    def _topic_altered(self, topic: str, values: dict[str, str]) -> None:
        """A topic's configuration is another."""
        assert self.replication is not None and self.controller is not None
        self.replication.configure(topic, values)
        if UNCLEAN in values and self.replication.partitions.topic_configs.of(topic)[UNCLEAN]:
            self.controller.unclean_election_changed()

    def _broker_altered(self, names: set[str]) -> None:
        """Topics take their defaults from this configuration; the rest of it is read whenever it is needed."""
        if self.replication is None:
            return
        partitions = self.replication.partitions
        for topic in {topic for topic, _ in partitions.hosted}:
            self.replication.configure(topic, partitions.topic_configs.overrides.get(topic, {}))
        if UNCLEAN in names and self.controller is not None:
            self.controller.unclean_election_changed()
        if self._listeners is not None:
            self._listeners.configure()

    def _directory_lost(self, partitions: HostedPartitions, events: LogDirEvents) -> None:
        """The controller is told, and asks which replicas are gone. Without any directory this broker is no use."""
        if all(each.offline is not None for each in partitions.directories):
            paths = ", ".join(each.path for each in partitions.directories)
            log.critical("Shutdown broker because all log dirs in %s have failed", paths)
            self._halt()
            return
        events.tell()

    # Stopping

    async def stop(self) -> None:
        """Stops everything; what was acknowledged is on disk and the logs are marked as cleanly closed."""
        log.info("shutting down")
        await self._end_start()
        if self.membership is not None and self.membership.broker_epoch >= 0:
            await self._leave_cluster(self.membership)
        self.state = SHUTTING_DOWN
        if self._listeners is not None:
            await self._listeners.close()
        if self.group_coordinator is not None:
            await defer.maybeDeferred(self.group_coordinator.stop)
        if self.replication is not None and self.membership is not None:
            # What an earlier unclean stop may have cost is no controller's knowledge yet: the next start says it again.
            told = self._loaded and not self.membership.extra.get(BrokerNode.UNCLEAN)
            await self.replication.stop(clean=told or None)
        for directory in self._directories:
            directory.abandon()
        if self._liveness is not None:
            self._liveness.stop()
        if self.peers is not None:
            self.peers.close()
        if self._dynamic is not None:
            self._dynamic.stop()
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

    async def _leave_cluster(self, membership: Membership) -> None:
        """Leaves the cluster in order: other brokers take over what this one leads, and the controller's part."""
        assert self.replication and self.controller and self._channel and self.peers  # they are before a registration
        self.state = CONTROLLED_SHUTDOWN
        self.replication.leadership.leaving = True
        ask = self._channel.ask_controller
        await controlled_shutdown.shut_down(
            self.broker_id,
            lambda: membership.broker_epoch,
            self.config,
            ask,
            self.metadata,
            self.peers,
            self.zk,
            self.reactor,
        )
        # The session is closed, so that the next broker with this id need not wait for its end.
        await self.controller.leave()

    async def _end_start(self) -> None:
        """A start that is under way waits for something: it does not get it. Logs that are being opened are let go."""
        if self.replication is not None and self._loading is not None and not self._loading.called:
            self.replication.interrupt_load()
            heard: Deferred[Any] = Deferred()
            self._loading.addBoth(heard.callback)
            await heard
        while self._starting is not None and not self._starting.called:
            self._starting.cancel()  # again where somebody took it for a failure of what was waited for


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
