"""The rest of a broker and of its cluster, as a test wants it to be for the partitions of that broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from kafkalike.clock import Clock
from kafkalike.config import Config
from kafkalike.replication.cluster_view import ClusterView, Veto
from kafkalike.replication.partition import Partition
from kafkalike.replication.replication import Replication
from kafkalike.storage.log import Log


class ReactorTime(Clock):
    """The time of a test's reactor, task.Clock."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def wall_ms(self) -> int:
        return int(self._reactor.seconds() * 1000)

    monotonic_ms = wall_ms


def nobody(*_: Any) -> Deferred[Any]:
    """The way to other brokers of one that has none."""
    return defer.fail(ConnectionError("this broker is alone"))


class Surroundings:
    """What `view` shows: a test changes these attributes at any time."""

    def __init__(self, broker_id: int = 0, clock: Clock | None = None) -> None:
        self.broker_id = broker_id
        self.clock = clock or Clock()
        self.broker_epoch = -1
        self.has_partition: Callable[[str, int], bool] = lambda topic, index: False
        self.topic_id: Callable[[str], bytes | None] = lambda topic: None
        self.topic_overrides: Callable[[str], Deferred[dict[str, str]]] = lambda topic: defer.succeed({})
        self.is_reachable: Callable[[int], bool] = lambda broker_id: True
        self.ask: Callable[..., Deferred[Any]] = nobody
        self.ask_controller: Callable[[Any], Deferred[Any]] = nobody
        self.before_truncation: Callable[[Any], None] = lambda log: None
        self.directory_lost: Callable[[Any], None] = lambda directory: None
        self.replica_refused: Callable[[], None] = lambda: None
        self.isr_vetoes: list[Veto] = []

    @property
    def view(self) -> ClusterView:
        """It shows what the attributes are by then."""
        return ClusterView(
            broker_id=self.broker_id,
            clock=self.clock,
            broker_epoch=lambda: self.broker_epoch,
            has_partition=lambda *args: self.has_partition(*args),
            topic_id=lambda topic: self.topic_id(topic),
            topic_overrides=lambda topic: self.topic_overrides(topic),
            is_reachable=lambda broker_id: self.is_reachable(broker_id),
            ask=lambda *args: self.ask(*args),
            ask_controller=lambda request: self.ask_controller(request),
            before_truncation=lambda log: self.before_truncation(log),
            directory_lost=lambda directory: self.directory_lost(directory),
            replica_refused=lambda: self.replica_refused(),
            isr_vetoes=self.isr_vetoes,
        )


class Opened(Replication):
    """Replication in these surroundings."""

    def __init__(self, config: Config, reactor: Any, broker_id: int = 0) -> None:
        self.around = Surroundings(broker_id)
        self.config = config
        super().__init__(self.around.view, config, reactor)
        self.leader_and_isr = self.control_requests.leader_and_isr
        self.stop_replica = self.control_requests.stop_replica
        self.append_as_leader = self.replicas.append_as_leader

    def partition(self, topic: str, index: int) -> Partition:
        """The state of a partition that is here."""
        return self.partitions.find(topic, index).partition

    def log(self, topic: str, index: int) -> Log:
        """The log of a partition that is here."""
        return self.partitions.find(topic, index).log
