"""When the controller is told to ask for this broker's replicas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock

from kafkalike.broker.log_dir_events import LogDirEvents
from zk.client import SessionExpired


def events(outcome: Any = None) -> tuple[LogDirEvents, Clock, list[tuple[float, str, bytes]]]:
    """Events with a clock, and the times at which znodes were created."""
    clock, created = Clock(), []

    def create(path: str, data: bytes, sequence: bool) -> Any:
        assert sequence
        created.append((clock.seconds(), path, data))
        return fail(outcome) if outcome else succeed(path)

    return LogDirEvents(SimpleNamespace(create=create), 7, clock), clock, created


def test_a_lost_directory_is_told_at_once() -> None:
    told, _, created = events()
    told.tell()
    assert [(0, "/log_dir_event_notification/log_dir_event_", b'{"version":1,"broker":7,"event":1}')] == created


def test_refused_replicas_are_told_of_once_and_later_each_time_that_they_are_refused_again() -> None:
    told, clock, created = events()
    for _ in range(3):
        told.replica_refused()
    clock.pump([0.5] * 5)
    assert [2.0] == [when for when, _, _ in created]
    # The controller asks at once.
    for _ in range(4):
        told.replica_refused()
        clock.pump([1] * 70)
    pauses = [b[0] - a[0] for a, b in zip(created, created[1:], strict=False)]
    assert pauses == sorted(pauses) and 5 == len(created)


def test_a_refusal_much_later_is_told_of_as_soon_as_the_first() -> None:
    told, clock, created = events()
    told.replica_refused()
    clock.pump([1] * 500)
    told.replica_refused()
    clock.advance(2)
    assert 2 == len(created)


def test_nothing_is_told_after_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    told, clock, created = events()
    told.replica_refused()
    told.stop()
    clock.advance(100)
    assert [] == created == clock.getDelayedCalls()
    expired, _, tries = events(SessionExpired())
    expired.tell()
    assert 1 == len(tries) and [] == caplog.messages
