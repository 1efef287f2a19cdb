"""A broker on its machine: started, stopped, killed, paused, without power, with a new disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kafkalike.broker.kafka_server import KafkaServer, StartupError
from kafkalike.clock import Clock
from kafkalike.config import broker_config
from tests.simulation.disk import Disk
from tests.simulation.network import Network
from tests.simulation.world import Machine, Reactor, Violation, World

PORT = 9092
RETRY_S = 0.5  # what starts the broker's process again after it has exited


class MachineClock(Clock):
    """What the clocks of a simulated machine say, which go wrong in their own way."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def wall_ms(self) -> int:
        return int(self._machine.wall() * 1000)

    def monotonic_ms(self) -> int:
        return int(self._machine.monotonic() * 1000)


class Host(Machine):
    """The machine of one broker."""

    def __init__(self, world: World, network: Network, broker_id: int, settings: dict[str, str]) -> None:
        super().__init__(world, f"b{broker_id}")
        self.network = network
        self.broker_id = broker_id
        self.settings = settings
        self.disk = Disk(self)
        self.broker: Any = None
        self.wanted = True  # whether it is to run, when nothing happens to it
        self.stopping = False
        self.started = False
        self.starts = 0
        self.on_end: Callable[[Host], None] = lambda host: None
        network.add(self)

    def start(self) -> None:
        """Starts the process."""
        if self.running or not self.wanted:
            return
        self.world.current = self
        self.network.dark.discard(self)
        self.running, self.stopping, self.started = True, False, False
        self.starts += 1
        self.world.note("starts")
        config, unknown = broker_config(self.settings | {"broker.id": str(self.broker_id)})
        assert not unknown, unknown
        self.broker = KafkaServer(config, Reactor(self), clock=MachineClock(self), rng=self.world.product_random)
        life = self.life
        started: Deferred[None] = Deferred.fromCoroutine(self.broker.start())
        started.addCallbacks(self._started, self._failed, callbackArgs=(life,), errbackArgs=(life,))

    def _started(self, _: Any, life: int) -> None:
        if life == self.life:
            self.started = True
            self.world.note("is started")

    def _failed(self, failure: Any, life: int) -> None:
        if life != self.life or self.stopping:
            return
        if not failure.check(StartupError):
            self._broken(failure)
            return
        self.world.note("could not start: %s", failure.getErrorMessage())
        self.kill()
        self.world.at(RETRY_S, self.start)

    def stop(self, early: bool = False) -> None:
        """SIGTERM, to a broker that has started, or to one that is about to."""
        if not self.running or self.stopping or not (self.started or early):
            return
        self.world.current = self
        self.stopping = True
        self.world.note("is told to stop")
        life = self.life
        stopped: Deferred[None] = Deferred.fromCoroutine(self.broker.stop())
        stopped.addBoth(self._stopped, life)

    def _stopped(self, result: Any, life: int) -> None:
        if life != self.life:
            return
        if isinstance(result, Failure):
            self._broken(result)
            return
        self.world.note("has stopped, %s", "clean" if self.disk.clean else "not clean")
        self.kill()

    def _broken(self, failure: Failure) -> None:
        self.world.violation = self.world.violation or Violation("NoException", failure.getTraceback())

    def kill(self) -> None:
        """SIGKILL: the process is gone, what it wrote is there."""
        if not self.running:
            return
        self.world.note("%s: the process is gone", self.name)
        self._end()
        self.network.reset(self)

    def lose_power(self) -> dict[Any, int]:
        """The machine stops without a word, and its disk loses what was not flushed; gives how many records of which
        partitions."""
        self.world.note("%s: power is lost", self.name)
        self._end()
        self.network.go_dark(self)
        return self.disk.lose_power()

    def _end(self) -> None:
        self.end()
        for address in [a for a in self.network.listeners if a[0] == self.name]:
            del self.network.listeners[address]
        self.broker = None
        self.started = self.stopping = False
        self.on_end(self)
