"""Steps side by side: waiting, forking, failing, timeouts, connections that end."""

from typing import Any

import pytest

from kafkalike.client.cluster import Node
from kafkalike.client.effects import Ask, Connect, Disconnect, Fork, Signal, Sleep, Steps, Task, Wait, gather
from kafkalike.client.errors import Disconnected, Unreachable
from kafkalike.protocol.framing import frame, response_header
from kafkalike.protocol.messages import heartbeat
from tests.client.brokers import Brokers

NODE = Node(0, "b0", 1)
REQUEST = heartbeat.Request(group_id="g", generation_id=1, member_id="m")


def ask(node: Node = NODE, purpose: str = "", timeout_ms: float = 5000) -> Steps[Any]:
    return (yield Ask(node, heartbeat, REQUEST, timeout_ms, purpose))


def test_requests_are_pipelined_and_each_gets_its_answer() -> None:
    numbers = iter(range(10))
    brokers = Brokers(lambda *_: heartbeat.Response(throttle_time_ms=next(numbers)))
    answers = brokers.run(gather([ask() for _ in range(5)]))
    assert list(range(5)) == [answer.throttle_time_ms for answer in answers]
    assert [(0, "")] == brokers.opened


def test_each_purpose_has_its_connection() -> None:
    brokers = Brokers(lambda *_: heartbeat.Response())
    brokers.run(gather([ask(purpose="a"), ask(purpose="b"), ask(purpose="a")]))
    assert [(0, "a"), (0, "b")] == brokers.opened


def test_a_broker_that_knows_only_the_oldest_api_versions_is_asked_again() -> None:
    brokers = Brokers(lambda *_: heartbeat.Response(error_code=27))
    brokers.oldest_api_versions = True
    assert 27 == brokers.run(ask()).error_code


def test_a_request_without_answer_in_time_ends_the_connection_for_all_that_wait() -> None:
    brokers = Brokers()
    before = brokers.clock.now_ms

    def both() -> Steps[list[BaseException | None]]:
        tasks: list[Task[Any]] = []
        for timeout_ms in (2000, 9000):
            tasks.append((yield Fork(ask(timeout_ms=timeout_ms))))
        yield Wait(tuple(task.finished for task in tasks))
        yield Wait((), 0)
        return [task.failure for task in tasks]

    assert ["no answer in time"] * 2 == [str(failure) for failure in brokers.run(both())]
    assert 2000 == brokers.clock.now_ms - before


def test_a_connection_that_breaks_is_made_again_by_the_next_request() -> None:
    answers: list[Any] = [OSError("broken"), heartbeat.Response()]
    brokers = Brokers(lambda *_: answers.pop(0))
    with pytest.raises(Disconnected, match="broken"):
        brokers.run(ask())
    brokers.run(ask())
    assert 2 == len(brokers.opened)


def test_an_answer_counts_though_what_comes_with_it_is_none() -> None:
    """Both arrive together: the first request has its answer, the second has failed, and none waits for ever."""
    brokers = Brokers()
    sent: list[int] = []

    def first_and_nonsense() -> None:
        connection = brokers.engine._connections[0, ""]
        numbers = [connection._requests.oldest.correlation_id, 999]  # type: ignore[union-attr]
        body = heartbeat.Response().encode(4)
        answers = [frame((response_header(heartbeat.API_KEY, 4, number), body)) for number in numbers]
        brokers.engine.received(connection, b"".join(answers))

    def answer(*_: Any) -> None:
        sent.append(1)
        if len(sent) == 2:
            brokers._events.append(first_and_nonsense)

    brokers.answer = answer

    def steps() -> Steps[list[BaseException | None]]:
        tasks: list[Task[Any]] = []
        for _ in range(2):
            tasks.append((yield Fork(ask())))
        yield Sleep(100)
        return [task.failure for task in tasks if task.done]

    answered, failed = brokers.run(steps())
    assert answered is None
    assert "correlation id 999" in str(failed)


def test_who_cannot_be_reached_is_unreachable_for_all_that_asked() -> None:
    brokers = Brokers()
    brokers.away = {0}
    for steps in (ask(), gather([ask(), ask()])):
        with pytest.raises(Unreachable, match="refused"):
            brokers.run(steps)
    brokers.silent, brokers.away = {0}, set()
    with pytest.raises(Unreachable, match="no answer in time"):
        brokers.run(ask())


def test_a_node_with_a_new_address_gets_a_new_connection() -> None:
    brokers = Brokers(lambda *_: heartbeat.Response())
    brokers.run(ask())
    brokers.run(ask(Node(0, "elsewhere", 1)))
    assert 2 == len(brokers.opened)


def test_a_node_whose_rack_is_told_by_one_answer_and_not_by_another_keeps_its_connection() -> None:
    """Metadata has racks, FindCoordinator has not. A new connection would lose what is in flight on the old one."""
    brokers = Brokers(lambda *_: heartbeat.Response())
    brokers.run(gather([ask(Node(0, "b0", 1, "rack")), ask()]))
    assert 1 == len(brokers.opened)


def test_closing_a_connection_fails_what_waits_on_it() -> None:
    brokers = Brokers()

    def steps() -> Steps[BaseException | None]:
        task = yield Fork(ask(purpose="fetch"))
        yield Connect(NODE, "fetch")
        yield Disconnect(NODE, "fetch")
        yield Wait((task.finished,))
        return task.failure

    assert "the connection was closed" == str(brokers.run(steps()))


def test_a_signal_ends_a_wait_and_a_timeout_too() -> None:
    brokers, signal = Brokers(), Signal()

    def wait(timeout_ms: float) -> Steps[float]:
        yield Wait((signal,), timeout_ms)
        return brokers.clock.now_ms

    def give() -> Steps[None]:
        yield Sleep(50)
        signal.give()

    before = brokers.clock.now_ms
    times = brokers.run(gather([wait(20), wait(100), give()]))  # type: ignore[list-item]
    assert [20, 50] == [at - before for at in times[:2] if at is not None]


def test_what_a_fork_raises_is_its_own() -> None:
    brokers = Brokers()

    def fails() -> Steps[None]:
        yield Sleep(1)
        raise ValueError("wrong")

    def steps() -> Steps[str]:
        task = yield Fork(fails())
        yield Wait((task.finished,))
        return str(task.failure)

    assert "wrong" == brokers.run(steps())


def test_nothing_ends_without_a_word() -> None:
    brokers, heard = Brokers(), []

    def fails() -> Steps[None]:
        yield Sleep(1)
        raise ValueError("wrong")

    def steps() -> Steps[None]:
        yield Fork(fails(), heard.append)
        yield Sleep(5)

    brokers.run(steps())
    assert ["wrong"] == [str(problem) for problem in heard]


def test_a_signal_that_is_never_given_keeps_nobody() -> None:
    brokers, signal = Brokers(), Signal()

    def steps() -> Steps[None]:
        for _ in range(50):
            yield Wait((signal,), 1)

    brokers.run(steps())
    assert len(signal.waiting) <= 1


def test_cancelled_steps_do_not_go_on_and_their_answer_is_nobodys() -> None:
    numbers = iter(range(10))
    brokers = Brokers(lambda *_: heartbeat.Response(throttle_time_ms=next(numbers)))
    task = brokers.engine.start(ask())
    brokers.engine.turn()
    task.cancel()
    assert 1 == brokers.run(ask()).throttle_time_ms
    with pytest.raises(Disconnected):
        task.result()


def test_a_version_that_the_broker_lacks_fails_the_one_that_asked() -> None:
    brokers = Brokers(lambda *_: heartbeat.Response())

    def wrong(version: int) -> Any:
        raise ValueError("cannot be said")

    def steps() -> Steps[Any]:
        return (yield Ask(NODE, heartbeat, wrong, 1000))

    with pytest.raises(ValueError, match="cannot be said"):
        brokers.run(steps())
    brokers.run(ask())


def test_a_request_that_has_no_answer_is_done_when_it_is_sent() -> None:
    brokers = Brokers()

    def steps() -> Steps[Any]:
        return (yield Ask(NODE, heartbeat, REQUEST, 1000, answered=False))

    assert brokers.run(steps()) is None
    assert [(0, "Heartbeat")] == brokers.asked


def test_closing_the_engine_fails_everything() -> None:
    brokers = Brokers()
    task = brokers.engine.start(ask())
    brokers.engine.turn()
    brokers.engine.close()
    brokers.engine.turn()
    assert isinstance(task.failure, Disconnected)
