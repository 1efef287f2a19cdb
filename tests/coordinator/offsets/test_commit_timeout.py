"""How long somebody waits for a ZooKeeper that says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.task import Clock

from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout, Deadlines
from tests.coordinator.fakes import FakeZk


@dataclass
class Waiter:
    due: float
    name: str
    told: list[str] = field(default_factory=list)
    left: int = 1

    def expire(self) -> None:
        self.left = 0
        self.told.append(self.name)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.zk = FakeZk(self.clock)
        self.timeout = CommitTimeout(self.zk, 5000, self.clock)
        self.deadlines: Deadlines[Waiter] = Deadlines(self.timeout, self.clock)
        self.told: list[str] = []

    def wait(self, name: str, seconds: float = 5) -> Waiter:
        waiter = Waiter(self.timeout.due(seconds), name, self.told)
        self.deadlines.add(waiter, seconds)
        return waiter

    def advance(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)


def test_while_zookeeper_answers_each_waits_for_as_long_as_it_may() -> None:
    world = World()
    world.wait("first")
    world.advance(3)
    world.wait("second")
    answered = world.wait("answered")
    world.wait("short", 1)
    answered.left = 0
    world.advance(1.1)
    assert ["short"] == world.told
    world.advance(1)
    assert ["short", "first"] == world.told
    world.advance(3)
    assert ["short", "first", "second"] == world.told
    world.advance(0.1)
    assert [] == world.clock.getDelayedCalls()


def test_a_silence_begins_with_the_loss_of_the_connection_and_ends_with_the_next() -> None:
    world = World()
    world.zk.suspend()
    world.advance(4)
    assert 5 == world.timeout.due(5)
    world.advance(4)
    assert world.clock.seconds() == world.timeout.due(5)
    world.zk.connect()
    assert world.clock.seconds() + 5 == world.timeout.due(5)


def test_a_silence_on_a_living_connection_begins_with_the_first_who_waits_in_vain() -> None:
    world = World()
    world.zk.delay = 20
    world.advance(10)
    world.wait("in vain", 2)
    world.advance(2.1)
    assert ["in vain"] == world.told
    assert 15 == round(world.timeout.due(5))
    world.advance(21)
    assert world.timeout.silent_since is None


def test_nobody_expires_after_clear() -> None:
    world = World()
    first, second = world.wait("first"), world.wait("second", 1)
    first.left = 0
    assert [second] == world.deadlines.clear()
    assert [] == world.clock.getDelayedCalls()
