"""What requests take and what they are answered, by API: Kafka's RequestMetrics.

Every request is counted and measured, and none pays a call of a function for it: a `Call` notes the time when its
frame was received, when it was started, when its handler had returned although others were still awaited, and when it
was answered. These are its `timing`. net/connection.py hands the timings of what has left to `sent`; of an API's
requests that leave together it is the newest that tells. Quantiles are made of the newest timings when somebody asks.

As in Kafka, Fetch is measured apart for consumers and followers, and each error of an answer counts, NONE too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any

from kafkalike.errors import Error
from kafkalike.metrics import WINDOW, Count, Meter, Timer, quantiles
from kafkalike.net.reactor import TIME

REQUESTS = Meter("kafka.network:type=RequestMetrics,name=RequestsPerSec", "request", "version")
ERRORS = Meter("kafka.network:type=RequestMetrics,name=ErrorsPerSec", "request", "error")
TOTAL = Timer("kafka.network:type=RequestMetrics,name=TotalTimeMs", "request")
REQUEST_QUEUE = Timer("kafka.network:type=RequestMetrics,name=RequestQueueTimeMs", "request")
LOCAL = Timer("kafka.network:type=RequestMetrics,name=LocalTimeMs", "request")
REMOTE = Timer("kafka.network:type=RequestMetrics,name=RemoteTimeMs", "request")
RESPONSE_QUEUE = Timer("kafka.network:type=RequestMetrics,name=ResponseQueueTimeMs", "request")
RESPONSE_SEND = Timer("kafka.network:type=RequestMetrics,name=ResponseSendTimeMs", "request")

# Where a timing has the moments; the last two are told by the server.
RECEIVED, STARTED, HANDLED, ANSWERED, SENDING, SENT = range(6)
PHASES = {
    TOTAL: (RECEIVED, SENT),
    REQUEST_QUEUE: (RECEIVED, STARTED),
    LOCAL: (STARTED, HANDLED),
    REMOTE: (HANDLED, ANSWERED),
    RESPONSE_QUEUE: (ANSWERED, SENDING),
    RESPONSE_SEND: (SENDING, SENT),
}

Timing = tuple["ApiMetrics", float, float, float, float]  # the first four moments


class ApiMetrics:
    """The numbers of one API. The process has one of each; `of` gives it."""

    __slots__ = ("name", "versions", "errors", "is_plain", "samples", "newest", "count_errors", "_response")

    def __init__(self, name: str, response: Any = None) -> None:
        self.name = name
        self.versions: dict[int, Count] = {}
        self.errors: dict[int, Count] = {}
        self.is_plain = response is not None and error_paths(response) == [()]  # its one error code is the whole's
        self._response = response
        # Counts each error code of an answer.
        self.count_errors: Callable[[Any], None] = self._count_first_errors
        self.samples = 0
        self.newest: list[tuple[Timing, float, float]] = []

    def requests(self, version: int) -> Count:
        """The count of the requests of a version."""
        if version in self.versions:
            return self.versions[version]
        if not self.versions:
            for timer, (since, until) in PHASES.items():
                timer.keep(_Phase(self, since, until), self.name)
        self.versions[version] = REQUESTS.of(self.name, str(version))
        return self.versions[version]

    def error(self, code: int) -> Count:
        """The count of an error code."""
        if code not in self.errors:
            self.errors[code] = ERRORS.of(self.name, Error(code).name)
        return self.errors[code]

    def _count_first_errors(self, response: Any) -> None:
        self.count_errors = _error_counter(self, error_paths(self._response))
        self.count_errors(response)


class _Phase:
    """How long one phase of an API's requests took, for a Timer."""

    def __init__(self, metrics: ApiMetrics, since: int, until: int) -> None:
        self._metrics = metrics
        self._since = since
        self._until = until

    @property
    def count(self) -> int:
        return sum(each.count for each in self._metrics.versions.values())

    sum_ms = None

    def quantiles(self) -> list[float]:
        moments = [(*timing[1:], sending, sent) for timing, sending, sent in self._metrics.newest]
        return quantiles([1000 * (each[self._until] - each[self._since]) for each in moments])


@cache
def of(name: str, response: Any = None) -> ApiMetrics:
    """The metrics of the API with this name, whose answers are of this class."""
    return ApiMetrics(name, response)


def error_paths(response: Any) -> list[tuple[str, ...]]:
    """For each error code in a response class, the names of the lists that lead to it."""
    paths: list[tuple[str, ...]] = []
    for field in response.fields:
        if field.name == "error_code" and not field.many:
            paths.append(())
        elif field.many and field.is_struct:
            paths += [(field.name, *path) for path in error_paths(field.of)]
    return paths


def _error_counter(metrics: ApiMetrics, paths: list[tuple[str, ...]]) -> Callable[[Any], None]:
    """A function that counts the error codes at these places of a response: a loop for each list, and no calls."""
    lines = ["def count(value0):", " errors = metrics.errors"]
    for path in paths:
        for depth, name in enumerate(path):
            lines.append(f"{' ' * (depth + 1)}for value{depth + 1} in value{depth}.{name} or ():")
        indent, value = " " * (len(path) + 1), f"value{len(path)}.error_code"
        lines.append(f"{indent}if {value} in errors: errors[{value}].count += 1")
        lines.append(f"{indent}else: metrics.error({value}).count += 1")
    made: dict[str, Any] = {"metrics": metrics}
    exec("\n".join(lines), made)
    counter: Callable[[Any], None] = made["count"]
    return counter


def sent(timings: Any, sending: float) -> None:
    """Answers are out; sending them began then."""
    now = TIME.now = monotonic()
    while timings is not None:
        timing, timings = timings
        metrics = timing[0]
        if metrics.samples < WINDOW:
            metrics.newest.append((timing, sending, now))
        else:
            metrics.newest[metrics.samples % WINDOW] = (timing, sending, now)
        metrics.samples += 1
