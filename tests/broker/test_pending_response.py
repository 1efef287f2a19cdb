"""A response that is given before or after somebody asks for it, once."""

from twisted.internet.defer import Deferred

from kafkalike.broker.pending_response import PendingResponse


def test_the_response_reaches_who_asks_before_it_and_who_asks_after_it():
    heard = []
    early, late = PendingResponse(), PendingResponse()
    early.then(heard.append)
    assert heard == []
    early.respond("early")
    late.respond("late")
    late.then(heard.append)
    assert heard == ["early", "late"]


def test_only_the_first_response_counts():
    heard = []
    pending = PendingResponse()
    pending.then(heard.append)
    pending.respond("first")
    pending.respond("second")
    assert heard == ["first"]


def test_it_can_be_awaited():
    async def wait(pending):
        return await pending

    heard = []
    pending = PendingResponse()
    Deferred.fromCoroutine(wait(pending)).addCallback(heard.append)
    assert heard == []
    pending.respond(7)
    assert heard == [7]
