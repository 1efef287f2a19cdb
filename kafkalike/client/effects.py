"""What the client's steps ask for, and what they get.

The steps (routing.py, admin/, producer.py, consumer.py) are generators, as the controller's are: each `yield` hands one
of these to the engine, and the yield's value is the outcome. So a step reads like the sequence it is, and yet it does
no I/O: engine.py runs any number of them side by side, and a face (blocking/, twisted/) gives the engine its sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected


@dataclass(frozen=True, slots=True)
class Connect:
    """Opens the connection to a broker, unless it is open. Outcome: the Connection, whose versions are agreed.
    Raises Unreachable."""

    node: Node
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Sends a request (or what a function makes for the version) to a broker, connecting first where that is needed.
    Outcome: the response, or None where `answered` says that there is none.

    Raises Disconnected when the connection ends before the answer, or Unreachable; both end the connection. Requests
    of one purpose share a connection, on which a broker answers in order: what may wait long has one of its own.
    """

    node: Node
    api: ModuleType
    request: Any | Callable[[int], Any]
    timeout_ms: float
    purpose: str = ""
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Closes a connection; whatever waits for an answer on it gets Disconnected. Outcome: None."""

    node: Node
    purpose: str


@dataclass(frozen=True, slots=True)
class ConnectedNodes:
    """Outcome: the ids of the nodes with an open connection of no special purpose."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Outcome: None, later."""

    ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Waits until one of the signals is given, or the time is over (None: for ever). Outcome: None. The waiting step
    looks for itself what has changed."""

    signals: tuple[Signal, ...]
    timeout_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """Begins other steps beside these. Outcome: their Task. `crashed` hears of what they raise, for steps whose result
    nobody waits for: nothing is to end without a word."""

    steps: Generator[Effect, Any, Any]
    crashed: Callable[[Exception], None] | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Looks up a host name. Outcome: None if it has an address, else why not, in a sentence."""

    host: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Says some bytes to a server and listens for a second. Outcome: the first bytes of what it says."""

    host: str
    port: int
    words: bytes
    size: int


Effect = Connect | Ask | Disconnect | ConnectedNodes | Sleep | Wait | Fork | Resolve | Probe

T = TypeVar("T")
Steps = Generator[Effect, Any, T]


class Signal:
    """Something that steps wait for. It carries nothing and is not remembered."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[Task[Any], int]] = []
        """The engine's: who waits, in which turn."""

    def give(self) -> None:
        """Everything that waits for it goes on."""
        waiting, self.waiting = self.waiting, []
        for task, turn in waiting:
            task.resume(task, turn)


class Task(Generic[T]):
    """Steps that were begun, and what came of them."""

    __slots__ = ("_failure", "crashed", "_result", "done", "finished", "resume", "steps", "turn", "when_done")

    def __init__(self, resume: Callable[[Task[Any], int], None], steps: Steps[T]) -> None:
        self.resume = resume
        self.steps = steps
        self.turn = 0
        """Counts how often the steps went on: what arrives for an earlier turn is void."""
        self.done = False
        self.finished = Signal()
        self.crashed: Callable[[Exception], None] | None = None
        self.when_done: list[Callable[[Task[T]], None]] = []
        self._result: Any = None
        self._failure: BaseException | None = None

    def result(self) -> T:
        """What the steps returned; raises what they raised."""
        assert self.done
        if self._failure is not None:
            raise self._failure
        result: T = self._result
        return result

    @property
    def failure(self) -> BaseException | None:
        """What the steps raised."""
        return self._failure

    def end(self, result: Any, failure: BaseException | None) -> None:
        """The steps have ended."""
        self.done = True
        self.turn += 1
        self._result, self._failure = result, failure
        self.finished.give()
        if isinstance(failure, Exception) and self.crashed is not None:
            self.crashed(failure)
        for tell in self.when_done:
            tell(self)

    def cancel(self) -> None:
        """The steps are not to go on."""
        if not self.done:
            self.steps.close()
            self.end(None, Disconnected("the client was closed"))


def gather(steps: list[Steps[T]]) -> Steps[list[T]]:
    """Runs several side by side; their results, or the failure of the first that failed once all have ended."""
    tasks: list[Task[T]] = []
    for one in steps:
        tasks.append((yield Fork(one)))
    for task in tasks:
        while not task.done:
            yield Wait((task.finished,))
    return [task.result() for task in tasks]
