"""Numbers that an operator looks at, under the names of Kafka's MBeans.

A metric takes two lines: its declaration at the top of the file that owns the number, and a call where it changes.

    ISR_SHRINKS = Meter("kafka.server:type=ReplicaManager,name=IsrShrinksPerSec")
    LEADERS = Gauge("kafka.server:type=ReplicaManager,name=LeaderCount")

    ISR_SHRINKS.mark()
    LEADERS.watch(self, lambda replicas: replicas.leader_count)

A declaration enters the metric into REGISTRY, which every exporter walks: `exported_name` gives the name that the JMX
exporter's rules for Kafka (its example kafka-2_0_0.yml) make of the MBean's. A metric that is no MBean of Kafka is
declared under the exporters' name. Rates and quantiles are derived when somebody asks; until then a meter costs an
addition, a timer a few, and a gauge nothing.

The registry is the process's. It holds whom a gauge asks weakly, so that a broker that has stopped can go.
"""

from __future__ import annotations

import re
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

WINDOW = 256  # durations that a timer's quantiles are taken from: the newest
QUANTILES = (0.5, 0.75, 0.95, 0.98, 0.99, 0.999)
Labels = tuple[str, ...]


class Sample(NamedTuple):
    """One number of a metric: the suffix of the metric's name, the labels and the number."""

    suffix: str
    names: Labels
    labels: Labels
    value: float


class Metric:
    """What all metrics are: a name, and the names of the labels that tell its numbers apart."""

    kind = "gauge"  # what Prometheus calls it

    def __init__(self, name: str, *labels: str) -> None:
        assert name not in REGISTRY, f"{name} is declared twice"
        self.name = name
        self.labels = labels
        self.exported = exported_name(name, self.kind)
        REGISTRY[name] = self

    def read(self) -> Iterator[Sample]:
        """Its numbers now. Others run between two of them, so nothing is iterated over that may change meanwhile."""
        raise NotImplementedError


REGISTRY: dict[str, Metric] = {}


class Count:
    """One number of a meter. Who counts often keeps this and adds to `count`."""

    __slots__ = ("count", "__weakref__")

    def __init__(self) -> None:
        self.count = 0


class Meter(Metric):
    """Counts what happens; whoever reads the counts derives rates from them."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name, *labels)
        self._counts: dict[Labels, Count] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> Count:
        """The count with these labels. They must be few: it stays for good."""
        found = self._counts.get(values)
        if found is None:
            assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}"
            found = self._counts[values] = Count()
        return found

    def mark(self, times: int = 1, *values: str) -> None:
        """Counts so many more events."""
        self.of(*values).count += times

    def read(self) -> Iterator[Sample]:
        for values, count in list(self._counts.items()):
            yield Sample("", self.labels, values, count.count)


class _OfTopic(Count):
    """The count of a topic: when nobody counts there any more, what was counted stays in the meter's total."""

    __slots__ = ("_meter",)

    def __init__(self, meter: TopicMeter) -> None:
        super().__init__()
        self._meter = meter

    def __del__(self) -> None:
        self._meter.gone += self.count


class TopicMeter(Metric):
    """Counts by topic, as BrokerTopicMetrics does: one number for each topic, and one without a topic for all of them.

    The counts of a topic last as long as somebody keeps them, who is whoever hosts one of its partitions.
    """

    kind = "counter"

    def __init__(self, name: str) -> None:
        super().__init__(name, "topic")
        self.gone = 0  # counted for no topic, or for topics that are here no more
        self._counts: weakref.WeakValueDictionary[str, _OfTopic] = weakref.WeakValueDictionary()

    def of(self, topic: str) -> Count:
        """The count of a topic."""
        found = self._counts.get(topic)
        if found is None:
            found = self._counts[topic] = _OfTopic(self)
        return found

    def mark(self, times: int = 1) -> None:
        """Counts so many more events of a topic that this broker does not have."""
        self.gone += times

    def read(self) -> Iterator[Sample]:
        counts = [(topic, each.count) for topic, each in list(self._counts.items())]
        yield Sample("", (), (), self.gone + sum(count for _, count in counts))
        for topic, count in counts:
            yield Sample("", self.labels, (topic,), count)


Found = Any  # a number, or pairs of labels and numbers


class Gauge(Metric):
    """A number that is looked up when it is read."""

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name, *labels)
        self._watched: weakref.WeakKeyDictionary[Any, Callable[[Any], Found]] = weakref.WeakKeyDictionary()

    def watch(self, owner: Any, look: Callable[[Any], Found]) -> None:
        """`look(owner)` is the number, as long as the owner exists, or its part of it when others are watched as well;
        with labels, it gives pairs: the labels' values and the number."""
        self._watched[owner] = look

    def read(self) -> Iterator[Sample]:
        total = None
        for owner, look in list(self._watched.items()):
            found = look(owner)
            if self.labels:
                for values, number in found:
                    yield Sample("", self.labels, values, number)
            elif found is not None:
                total = found if total is None else total + found
        if total is not None:
            yield Sample("", (), (), total)


class Durations:
    """How long something took, in milliseconds: how often, altogether, and the newest."""

    __slots__ = ("count", "sum_ms", "newest")

    def __init__(self) -> None:
        self.count = 0
        self.sum_ms = 0.0
        self.newest = array("d", bytes(8 * WINDOW))

    def update(self, ms: float) -> None:
        """Counts an event that took so long. (Hot paths do the same in line.)"""
        self.newest[self.count % WINDOW] = ms
        self.count += 1
        self.sum_ms += ms

    def quantiles(self) -> list[float]:
        """One number for each of QUANTILES."""
        return quantiles(self.newest[: min(self.count, WINDOW)])


def quantiles(durations: Iterable[float]) -> list[float]:
    """One number for each of QUANTILES."""
    known = sorted(durations)
    return [known[min(int(len(known) * q), len(known) - 1)] if known else 0.0 for q in QUANTILES]


class Kept(Protocol):
    """Durations as whoever measures them keeps them; `sum_ms` may not be known."""

    @property
    def count(self) -> int: ...

    @property
    def sum_ms(self) -> float | None: ...

    def quantiles(self) -> list[float]: ...


class Timer(Metric):
    """Counts what happens and how long it takes: Kafka's histograms, exported as Prometheus' summaries."""

    kind = "summary"

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name, *labels)
        self._durations: dict[Labels, Durations] = {}
        self._kept: dict[Labels, Kept] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> Durations:
        """The durations with these labels. They must be few: it stays for good."""
        found = self._durations.get(values)
        if found is None:
            assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}"
            found = self._durations[values] = Durations()
        return found

    def keep(self, kept: Kept, *values: str) -> None:
        """The durations with these labels are kept elsewhere, from now on there."""
        self._kept[values] = kept

    def update(self, ms: float, *values: str) -> None:
        """Counts an event that took so many milliseconds."""
        self.of(*values).update(ms)

    def read(self) -> Iterator[Sample]:
        names = (*self.labels, "quantile")
        for values, durations in [*self._durations.items(), *self._kept.items()]:
            for quantile, ms in zip(QUANTILES, durations.quantiles(), strict=True):
                yield Sample("", names, (*values, str(quantile)), ms)
            if durations.sum_ms is not None:
                yield Sample("_sum", self.labels, values, durations.sum_ms)
            yield Sample("_count", self.labels, values, durations.count)


_MBEAN = re.compile(r"kafka\.([\w.]+):type=([^,]+),name=([^,]+)")


def exported_name(name: str, kind: str) -> str:
    """What the JMX exporter's rules make of an MBean's name; any other name is what exporters show already."""
    parts = _MBEAN.fullmatch(name)
    if parts is None:
        return name
    domain, type_, last = parts.groups()
    if kind == "counter":
        last = re.sub(r"PerSec\w*$", "", last) + "_total"
    return f"kafka_{domain}_{type_}_{last}".replace(".", "_").replace("-", "_").lower()


def lines(metric: Metric) -> Iterator[str]:
    """A metric in Prometheus' text format: what it is, then a line for each of its numbers."""
    name = metric.exported
    yield f"# HELP {name} {metric.name}\n# TYPE {name} {metric.kind}\n"
    for suffix, names, values, number in metric.read():
        if names:
            pairs = ",".join([f'{n}="{_escaped(v)}"' for n, v in zip(names, values, strict=True)])
            yield f"{name}{suffix}{{{pairs}}} {number}\n"
        else:
            yield f"{name}{suffix} {number}\n"


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value
