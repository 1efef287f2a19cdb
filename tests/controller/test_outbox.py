"""Each broker's queue of control requests: one under way, in order, sent again until it is answered."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kafkalike.controller.outbox import Outbox


class Post:
    """Brokers that answer when they are told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.under_way: list[tuple[int, Any, Deferred[Any]]] = []
        self.answers: list[tuple[int, Any, Any]] = []
        self.outbox = Outbox(self.send, lambda *answer: self.answers.append(answer), self.clock)

    def send(self, broker_id: int, request: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.under_way.append((broker_id, request, answer))
        return answer


def test_one_request_at_a_time_to_each_broker_in_order() -> None:
    post = Post()
    for broker_id in (1, 2):
        post.outbox.connect(broker_id)
    for request in ("a", "b"):
        post.outbox.put(1, request)
        post.outbox.put(2, request)
    assert [(1, "a"), (2, "a")] == [sent[:2] for sent in post.under_way]
    post.under_way.pop(0)[2].callback("ok")
    assert [(2, "a"), (1, "b")] == [sent[:2] for sent in post.under_way]
    assert [(1, "a", "ok")] == post.answers


def test_a_request_without_an_answer_is_sent_again_until_the_broker_is_gone() -> None:
    post = Post()
    post.outbox.connect(1)
    post.outbox.put(1, "a")
    post.outbox.put(1, "b")
    for _ in range(3):
        post.under_way.pop()[2].errback(ConnectionError("refused"))
        assert [] == post.under_way
        post.clock.advance(0.1)
        assert [(1, "a")] == [sent[:2] for sent in post.under_way]
    post.under_way.pop()[2].callback("ok")
    assert [(1, "b")] == [sent[:2] for sent in post.under_way]
    post.outbox.disconnect(1)
    post.under_way.pop()[2].errback(ConnectionError("refused"))
    post.clock.advance(1)
    assert [] == post.under_way
    assert [(1, "a", "ok")] == post.answers


def test_what_is_not_connected_hears_nothing() -> None:
    post = Post()
    post.outbox.put(1, "lost")
    post.outbox.connect(1)
    post.outbox.put(1, "a")
    post.outbox.close()
    post.outbox.put(1, "lost")
    post.under_way.pop()[2].callback("too late")
    assert [] == post.answers == post.under_way


def test_a_broker_that_answers_at_once_costs_no_recursion() -> None:
    answers: list[Any] = []
    outbox = Outbox(lambda broker_id, request: request, lambda *answer: answers.append(answer), Clock())
    held: Deferred[Any] = Deferred()
    outbox.connect(1)
    outbox.put(1, held)
    for number in range(5000):
        outbox.put(1, number)
    assert [] == answers
    held.callback("first")
    assert 5001 == len(answers)


def test_an_exception_in_send_is_a_failure_like_any_other() -> None:
    clock = Clock()
    calls: list[Any] = []

    def send(broker_id: int, request: Any) -> Any:
        calls.append(request)
        if len(calls) == 1:
            raise RuntimeError("cannot")
        return "ok"

    answers: list[Any] = []
    outbox = Outbox(send, lambda *answer: answers.append(answer), clock)
    outbox.connect(1)
    outbox.put(1, "a")
    clock.advance(0.1)
    assert [(1, "a", "ok")] == answers
