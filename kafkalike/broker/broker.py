"""What a broker is made of, for whoever answers requests: each handler in `broker/apis/` gets this, and takes from it
what it needs. It is built once, by kafka_server.py, when all its parts are there."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.broker.fetch_sessions import FetchSessions
from kafkalike.broker.produce_forwarding import ProduceForwarding
from kafkalike.clock import Clock
from kafkalike.cluster.membership import Membership
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.config import Config
from kafkalike.controller.controller import Controller
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.coordinator.producer_ids import ProducerIds
from kafkalike.protocol.messages.api_versions import ApiVersion
from kafkalike.replication.replication import Replication
from zk.client import ZkClient


@dataclass(eq=False)
class Broker:
    """The parts of one broker."""

    broker_id: int
    config: Config
    reactor: IReactorTime
    clock: Clock
    rng: random.Random
    zk: ZkClient
    metadata: MetadataCache
    membership: Membership
    replication: Replication
    controller: Controller
    group_coordinator: GroupCoordinator
    producer_ids: ProducerIds
    current_leader: CurrentLeader
    produce_forwarding: ProduceForwarding
    api_versions: list[ApiVersion]  # what is served, as ApiVersions tells it
    fetch_sessions: FetchSessions = field(init=False)
    fetch_max_bytes: int = field(init=False)
    follower_epochs: dict[int, int] = field(default_factory=dict)  # broker id: the newest that its fetches may have
    rack_aware: bool = field(init=False)

    def __post_init__(self) -> None:
        # What every Produce and Fetch uses is at hand.
        self.replicas, self.partitions = self.replication.replicas, self.replication.partitions
        self.purgatory = self.replication.purgatory
        config = self.config
        self.fetch_max_bytes = config["fetch.max.bytes"]
        self.rack_aware = config["replica.selector.class"] is not None
        slots = config["max.incremental.fetch.session.cache.slots"]
        self.fetch_sessions = FetchSessions(slots, self.rng.randrange(1, 2**31 - 1))
