"""Brokers of one process with real sessions and controllers, and with replicas that only say yes."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed

from kafkalike.clock import Clock
from kafkalike.cluster.membership import Membership
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.config import Config, Endpoint, broker_config
from kafkalike.controller.controller import Controller
from kafkalike.coordinator.producer_ids import ProducerIds
from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from tests.broker.apis.calls import ask
from tests.reactor import until
from tests.zookeeper import Clients
from zk.client import Stat, ZkClient


class Replication:
    """Carries out nothing, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.broken = False
        self.controller_epoch = 0

    @property
    def control_requests(self) -> Replication:
        return self

    def check_controller(self, request: Any) -> Error:
        if request.controller_epoch < self.controller_epoch:
            return Error.STALE_CONTROLLER_EPOCH
        self.controller_epoch = request.controller_epoch
        return Error.NONE

    def leader_and_isr(self, request: Any, version: int = 7) -> Any:
        self.told.append(request)
        return succeed(leader_and_isr.Response(error_code=self.check_controller(request)))

    def stop_replica(self, request: Any) -> Any:
        self.told.append(request)
        code = Error.KAFKA_STORAGE_ERROR if self.broken else Error.NONE
        errors = [
            stop_replica.StopReplicaPartitionError(
                topic_name=topic.topic_name, partition_index=state.partition_index, error_code=code
            )
            for topic in request.topic_states
            for state in topic.partition_states
        ]
        return stop_replica.Response(error_code=self.check_controller(request), partition_errors=errors)


class Member:
    """One broker, as far as handlers look at it."""

    def __init__(self, cluster: Cluster, broker_id: int, config: Config, zk: ZkClient, reactor: Any) -> None:
        self.cluster = cluster
        self.broker_id = broker_id
        self.config = config
        self.reactor = reactor
        self.zk = zk
        self.rng = random.Random(broker_id)
        endpoint = Endpoint("PLAINTEXT", "PLAINTEXT", f"b{broker_id}", 9092)
        self.membership = Membership(zk, config, Clock(), self.rng, [endpoint])
        self.replication = Replication()
        self.follower_epochs: dict[int, int] = {}
        self.metadata = MetadataCache("", reactor)
        self.controller = Controller(
            zk, broker_id, config, cluster.send, reactor, Clock(), self.rng, self.membership, cluster
        )
        self.producer_ids = ProducerIds(self.ask_controller, broker_id, lambda: self.membership.broker_epoch)

    def ask_controller(self, request: Any) -> Deferred[Any]:
        boss = self.cluster.controller
        if boss is None:
            return fail(ConnectionError("there is no controller"))
        return ensureDeferred(ask(boss, type(request).__module__.rpartition(".")[2], request))

    async def start(self) -> None:
        self.metadata = MetadataCache(await self.membership.prepare())
        self.cluster.members[self.broker_id] = self
        await self.membership.register(self.broker_id)
        await self.controller.start()

    async def stop(self) -> None:
        """Ends the member like a broker that is stopped or killed, which is the same to the others."""
        self.cluster.members.pop(self.broker_id, None)
        self.controller.stop()
        self.membership.stop()
        await self.zk.stop()


class Cluster:
    """All members, and the connections between them."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.members: dict[int, Member] = {}
        # Registered, and nobody listens there.
        self.refusing: set[int] = set()

    async def add(self, broker_id: int, **keys: Any) -> Member:
        """Starts a broker and waits until it knows that it is one."""
        from twisted.internet import reactor

        properties = {key.replace("_", "."): str(value) for key, value in keys.items()}
        config, _ = broker_config({"zookeeper.connect": "-", "zookeeper.session.timeout.ms": "10000"} | properties)
        member = Member(self, broker_id, config, await self.clients.open(), reactor)
        await member.start()
        await until(lambda: broker_id in member.metadata.image.brokers)
        return member

    def refuses(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Answers as if the address had been tried."""
        return succeed(broker_id in self.refusing)

    def answers(self, broker_id: int, endpoint: Any = None) -> Deferred[bool]:
        """Answers as if ApiVersions had been sent."""
        return succeed(broker_id not in self.refusing)

    def send(self, broker_id: int, request: Any) -> Deferred[Any] | Any:
        member = self.members.get(broker_id)
        if member is None:
            return fail(ConnectionError(f"broker {broker_id} is gone"))
        if isinstance(request, update_metadata.Request):
            error = member.replication.check_controller(request)
            if not error:
                member.metadata.apply(request)
            return update_metadata.Response(error_code=error)
        if isinstance(request, leader_and_isr.Request):
            return member.replication.leader_and_isr(request)
        return member.replication.stop_replica(request)

    @property
    def controller(self) -> Member | None:
        """The member that is the controller."""
        return next((member for member in self.members.values() if member.controller.active), None)


async def whole_tree(zk: ZkClient, path: str = "/") -> dict[str, tuple[bytes | None, Stat]]:
    """Every node with its data and Stat."""
    found = {path: await zk.get(path)}
    for name in await zk.children(path):
        found |= await whole_tree(zk, f"{path.rstrip('/')}/{name}")
    return found
