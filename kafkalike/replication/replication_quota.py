"""How fast replicas are copied: `leader.replication.throttled.rate` and its like, for the replicas that topics name.

Pure. As Kafka's ReplicationQuotaManager: the bytes of a throttled partition count, whoever fetches them; too many of
them hold back only replicas that are not in sync, so that producers with acks=all never wait for a throttle. The rate
is that of the last `samples` windows; what was sent is never taken back, so the rate may be exceeded for a moment and
is kept on the average.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence


class Rate:
    """Bytes a second over a sliding time."""

    def __init__(self, window_ms: int, samples: int) -> None:
        self._window_ms = window_ms
        self._kept_ms = window_ms * samples
        self._samples: deque[list[int]] = deque()  # [its beginning, bytes]
        self._total = 0

    def record(self, size: int, now_ms: int) -> None:
        """Counts so many bytes at this time."""
        self._forget(now_ms)
        if not self._samples or now_ms - self._samples[-1][0] >= self._window_ms:
            self._samples.append([now_ms, 0])
        self._samples[-1][1] += size
        self._total += size

    def value(self, now_ms: int) -> float:
        """Bytes a second; the time that counts is never less than one window."""
        self._forget(now_ms)
        if not self._samples:
            return 0.0
        return self._total * 1000 / max(now_ms - self._samples[0][0], self._window_ms)

    def _forget(self, now_ms: int) -> None:
        while self._samples and now_ms - self._samples[0][0] >= self._kept_ms:
            self._total -= self._samples.popleft()[1]


class ReplicationQuota:
    """The quota of one direction: what this broker's leaders send, or what its followers fetch."""

    def __init__(self, limit: Callable[[], int], window_ms: int, samples: int) -> None:
        """`limit()` is the configured rate, which may change at any time."""
        self._limit = limit
        self._rate = Rate(window_ms, samples)

    def record(self, size: int, now_ms: int) -> None:
        """Bytes of a throttled partition were sent or fetched."""
        self._rate.record(size, now_ms)

    def exceeded(self, now_ms: int) -> bool:
        """Whether replicas that are not in sync have to wait."""
        return self._rate.value(now_ms) > self._limit()


def names(replicas: Sequence[str], partition: int, broker_id: int) -> bool:
    """Whether a topic's ...throttled.replicas name a partition's replica on a broker."""
    return "*" in replicas or f"{partition}:{broker_id}" in replicas
