"""How a broker that stops has its leaderships moved, and when it waits no longer."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kafkalike.broker import controlled_shutdown
from kafkalike.cluster.metadata import Broker, Image
from kafkalike.config import broker_config
from kafkalike.errors import Error
from kafkalike.protocol.messages import controlled_shutdown as messages
from zk.client import CONNECTED

REMAINING = messages.RemainingPartition(topic_name="t", partition_index=3)


class Stopping:
    """Broker 1, which stops; `answers` are the controller's."""

    def __init__(self, *answers: Any, others: tuple[int, ...] = (2,), **settings: str) -> None:
        self.answers = list(answers)
        self.asked: list[messages.Request] = []
        self.waits: list[int] = []
        self.gone = False
        self.epoch = 70
        self.zk = SimpleNamespace(state=CONNECTED)
        self.clock = Clock()
        image = Image(brokers={n: Broker(n, None, {}) for n in (1, *others)})
        metadata = SimpleNamespace(image=image, wait=self._wait)
        peers = SimpleNamespace(refuses=lambda broker_id: succeed(self.gone))
        config, _ = broker_config({"zookeeper.connect": "z"} | settings)
        parts: Any = (config, self._ask, metadata, peers, self.zk, self.clock)
        self.done: list[Any] = []
        Deferred.fromCoroutine(controlled_shutdown.shut_down(1, lambda: self.epoch, *parts)).addBoth(self.done.append)

    def _ask(self, request: messages.Request) -> Deferred[Any]:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            return fail(answer)
        return answer if isinstance(answer, Deferred) else succeed(answer)

    def _wait(self, condition: Any, timeout_ms: int) -> Deferred[bool]:
        self.waits.append(timeout_ms)
        return succeed(False)


def test_clients_hear_of_the_new_leaders_before_their_connections_end() -> None:
    stopping = Stopping(messages.Response())
    assert [(1, 70)] == [(asked.broker_id, asked.broker_epoch) for asked in stopping.asked]
    assert [] == stopping.done
    stopping.clock.advance(controlled_shutdown.FAREWELL_SECONDS)
    assert [None] == stopping.done


def test_what_cannot_be_moved_is_asked_for_as_often_as_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    left = messages.Response(remaining_partitions=[REMAINING])
    problems = [left, messages.Response(error_code=Error.NOT_CONTROLLER), ConnectionError("nobody there")]
    stopping = Stopping(*problems)
    assert ([None], [5000] * 3) == (stopping.done, stopping.waits)
    lines = [line.partition(": ")[2] for line in caplog.messages[:-1]]
    assert ["nobody can take over t-3", "NOT_CONTROLLER", "nobody there"] == lines
    assert caplog.messages[-1].endswith("Proceeding to do an unclean shutdown of leaderships")


def test_a_broker_that_was_registered_anew_meanwhile_asks_with_its_new_epoch() -> None:
    pending: Deferred[Any] = Deferred()
    stopping = Stopping(pending, messages.Response())
    stopping.epoch = 80  # its session had expired
    pending.callback(messages.Response(error_code=Error.STALE_BROKER_EPOCH))
    assert [70, 80] == [asked.broker_epoch for asked in stopping.asked]


def test_a_controller_that_says_nothing_is_waited_for_only_so_long() -> None:
    stopping = Stopping(Deferred(), **{"controlled.shutdown.max.retries": "1"})
    assert [] == stopping.done
    stopping.clock.advance(controlled_shutdown.ANSWER_SECONDS)
    assert [None] == stopping.done


def test_nobody_is_asked_by_the_last_broker_or_when_it_is_disabled() -> None:
    for stopping in (Stopping(others=()), Stopping(**{"controlled.shutdown.enable": "false"})):
        assert ([None], []) == (stopping.done, stopping.asked)


def test_nobody_is_waited_for_when_the_others_are_gone() -> None:
    pending: Deferred[Any] = Deferred()
    stopping = Stopping(pending)
    stopping.gone = True
    pending.callback(messages.Response(remaining_partitions=[REMAINING]))
    assert ([None], []) == (stopping.done, stopping.waits)


def test_nobody_is_waited_for_without_zookeeper() -> None:
    pending: Deferred[Any] = Deferred()
    stopping = Stopping(pending)
    stopping.zk.state = "LOST"
    pending.errback(ConnectionError())
    assert ([None], []) == (stopping.done, stopping.waits)
