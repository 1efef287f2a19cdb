"""Requests whose time is over: one timer for all, set to the earliest."""

from twisted.internet import task

from kafkalike.replication.timed_purgatory import TimedPurgatory
from tests.replication.test_purgatory import Waiter
from tests.replication.views import ReactorTime


def test_each_expires_when_its_own_time_is_over() -> None:
    clock = task.Clock()
    purgatory = TimedPurgatory(clock, ReactorTime(clock))
    late, soon = Waiter(), Waiter()
    purgatory.wait(late, [("t", 0)], 1000)
    purgatory.wait(soon, [("t", 0)], 100)
    assert 1 == len(clock.getDelayedCalls())
    clock.advance(0.2)
    assert ([], ["expired"]) == (late.log, soon.log)
    clock.advance(1)
    assert ["expired"] == late.log
    assert [] == clock.getDelayedCalls()


def test_after_the_stop_nobody_expires() -> None:
    clock = task.Clock()
    purgatory = TimedPurgatory(clock, ReactorTime(clock))
    waiter = Waiter()
    purgatory.wait(waiter, (), 100)
    purgatory.stop()
    clock.advance(1)
    assert [] == waiter.log
