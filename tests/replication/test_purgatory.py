"""Waiting requests: woken by key, ended by deadline, never both."""

from types import SimpleNamespace
from typing import Any

from kafkalike.errors import Error
from kafkalike.replication.purgatory import MOST, TICK_MS, Purgatory
from kafkalike.replication.replicas import AwaitReplicas


class Waiter:
    def __init__(self, ready=False):
        self.ready = ready
        self.log = []

    def try_finish(self):
        self.log.append("asked")
        return self.ready

    def expire(self):
        self.log.append("expired")


def test_a_woken_waiter_that_finishes_is_gone():
    purgatory, waiter = Purgatory(), Waiter(ready=True)
    purgatory.watch(waiter, ["a", "b"], 1000)
    purgatory.wake("b")
    purgatory.wake("a")
    purgatory.expire(2000)
    assert waiter.log == ["asked"]
    assert len(purgatory) == 0
    assert purgatory.next_deadline_ms is None


def test_a_woken_waiter_that_cannot_finish_stays():
    purgatory, waiter = Purgatory(), Waiter()
    purgatory.watch(waiter, ["a"], 1000)
    purgatory.wake("a")
    purgatory.wake("other")
    purgatory.expire(1000 + TICK_MS)
    assert waiter.log == ["asked", "expired"]
    purgatory.wake("a")
    assert waiter.log == ["asked", "expired"]


def test_nobody_expires_before_the_deadline_and_nobody_later_than_a_tick():
    purgatory, early, late = Purgatory(), Waiter(), Waiter()
    purgatory.watch(late, ["a"], 203)
    purgatory.watch(early, ["a"], 101)
    assert 101 <= purgatory.next_deadline_ms <= 101 + TICK_MS
    purgatory.expire(100)
    assert (early.log, late.log) == ([], [])
    purgatory.expire(101 + TICK_MS)
    assert (early.log, late.log) == (["expired"], [])
    assert 203 <= purgatory.next_deadline_ms <= 203 + TICK_MS


def test_a_waiter_may_finish_another_while_it_is_woken():
    purgatory = Purgatory()
    second = Waiter(ready=True)

    class First(Waiter):
        def try_finish(self):
            purgatory.forget(second)
            return True

    purgatory.watch(First(), ["a"], 1000)
    purgatory.watch(second, ["a"], 1000)
    purgatory.wake("a")
    assert second.log == []
    assert len(purgatory) == 0


def test_waiters_of_a_key_are_asked_in_the_order_in_which_they_came():
    purgatory, order = Purgatory(), []

    class Ordered(Waiter):
        def __init__(self, name):
            super().__init__(ready=True)
            self.name = name

        def try_finish(self):
            order.append(self.name)
            return True

    for name in "abc":
        purgatory.watch(Ordered(name), ["k"], 1000)
    purgatory.wake("k")
    assert order == ["a", "b", "c"]


def test_a_subscriber_is_told_of_each_wake_until_it_ends_and_before_who_waits():
    purgatory, told = Purgatory(), []

    class Subscriber:
        def woken(self, key):
            told.append(key)

    subscription = purgatory.subscribe(("a", "b"), Subscriber())
    for key in ("a", "c", "b", "a"):
        purgatory.wake(key)
    assert told == ["a", "b", "a"]
    subscription.end()
    purgatory.wake("a")
    assert told == ["a", "b", "a"]


def test_an_append_is_told_once_though_who_is_told_appends_again() -> None:
    """Simulation, seed 1795413677664: a coordinator that moves its offsets into the log a batch at a time."""
    purgatory = Purgatory()
    replicas: Any = SimpleNamespace(replicated=lambda *_: Error.NONE)
    told = []

    def done(result: Any) -> None:
        told.append(result)
        purgatory.wake("key")

    purgatory.watch(AwaitReplicas(replicas, [("t", 0, 1)], done), ["key"], 1000)
    purgatory.wake("key")
    assert [[Error.NONE]] == told and 0 == len(purgatory)


def test_whoever_expires_may_wake_another_whose_time_is_over_too() -> None:
    purgatory, other = Purgatory(), Waiter(ready=True)

    class First(Waiter):
        def expire(self) -> None:
            purgatory.wake("key")

    purgatory.watch(First(), ["another key"], 1000)
    purgatory.watch(other, ["key"], 1000)
    purgatory.expire(2000)
    assert (["asked"], 0) == (other.log, len(purgatory))


def test_many_whose_time_is_over_at_once_expire_turn_by_turn() -> None:
    purgatory, waiters = Purgatory(), [Waiter() for _ in range(2 * MOST + 1)]
    for waiter in waiters:
        purgatory.watch(waiter, ["key"], 1000)
    turns = []
    while len(purgatory):
        assert purgatory.next_deadline_ms == 1000
        purgatory.expire(2000)
        turns.append(sum(waiter.log == ["expired"] for waiter in waiters))
    assert turns == [MOST, 2 * MOST, 2 * MOST + 1]
    assert purgatory.next_deadline_ms is None


def test_whoever_waits_anew_while_others_expire_has_a_turn_of_its_own() -> None:
    purgatory, late = Purgatory(), Waiter()

    class First(Waiter):
        def expire(self) -> None:
            super().expire()
            purgatory.watch(late, ["key"], 1000)
            assert purgatory.next_deadline_ms == 1000

    first = First()
    purgatory.watch(first, ["key"], 1000)
    purgatory.expire(2000)
    purgatory.expire(2000)
    assert (first.log, late.log, len(purgatory)) == (["expired"], ["expired"], 0)
