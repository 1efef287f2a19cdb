"""Work on files when the process may start no further thread."""

from __future__ import annotations

from typing import Any

from twisted.internet import task

from kafkalike.replication.file_threads import RETRY_SECONDS, in_thread


class Pool:
    """Does the work at once, unless the system refuses a thread."""

    def __init__(self) -> None:
        self.refused = 0

    def callInThreadWithCallback(self, heard: Any, work: Any, *args: Any) -> None:
        if self.refused:
            self.refused -= 1
            raise RuntimeError("can't start new thread")
        try:
            heard(True, work(*args))
        except Exception as problem:
            heard(False, problem)


class Reactor(task.Clock):
    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()

    def getThreadPool(self) -> Pool:
        return self.pool

    def callFromThread(self, function: Any, *args: Any) -> None:
        function(*args)


def test_the_outcome_of_the_work_is_heard() -> None:
    heard: list[int] = []
    in_thread(Reactor(), lambda: 7).addCallback(heard.append)
    assert [7] == heard


def test_work_waits_until_there_is_a_thread(caplog: Any) -> None:
    reactor, heard = Reactor(), []
    reactor.pool.refused = 2
    in_thread(reactor, lambda: 7).addCallback(heard.append)
    reactor.advance(RETRY_SECONDS)
    assert [] == heard
    assert ["Work on files waits for a thread: can't start new thread"] * 2 == caplog.messages
    reactor.advance(RETRY_SECONDS)
    assert [7] == heard
    assert [] == reactor.getDelayedCalls()


def test_an_error_of_the_work_is_heard_after_the_wait_too() -> None:
    reactor, heard = Reactor(), []
    reactor.pool.refused = 1

    def fail() -> None:
        raise ValueError("a mistake of ours")

    in_thread(reactor, fail).addErrback(lambda failure: heard.append(failure.value))
    reactor.advance(RETRY_SECONDS)
    assert [ValueError] == [type(each) for each in heard]
