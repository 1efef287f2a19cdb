"""The controller's events run one at a time, each key once, and a fault in one stops none of the others."""

from __future__ import annotations

import logging

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kafkalike.controller.effects import Superseded
from kafkalike.controller.event_queue import Event, EventQueue
from zk.client import ConnectionLoss


class Events:
    """Events that end when the test says so, and what ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.superseded: list[str] = []
        self.queue = EventQueue(Clock(), self.superseded.append)
        self.pause: Deferred[None] | None = None

    def named(self, name: str, problem: Exception | None = None) -> Event:
        async def event() -> None:
            self.ran.append(name)
            if self.pause is not None:
                await self.pause
            if problem is not None:
                raise problem

        return event


def test_an_event_waits_for_the_one_before_and_its_key_waits_once() -> None:
    events = Events()
    events.pause = Deferred()
    for key in ("a", "b", "a", "b"):
        events.queue.put(key, events.named(key))
    assert ["a"] == events.ran
    pause, events.pause = events.pause, None
    pause.callback(None)
    # The second "a" was queued while the first ran: it may tell of a change that came after what the first has read.
    assert ["a", "b", "a"] == events.ran


def test_an_event_that_fails_is_logged_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    with caplog.at_level(logging.INFO):
        events.queue.put("lost", events.named("lost", ConnectionLoss()))
        events.queue.put("fault", events.named("fault", ValueError("a fault")))
        events.queue.put("over", events.named("over", Superseded("another was elected")))
        events.queue.put("last", events.named("last"))
    assert ["lost", "fault", "over", "last"] == events.ran
    assert ["lost is interrupted: the connection to ZooKeeper is lost", "controller event fault"] == caplog.messages
    assert ["another was elected"] == events.superseded
