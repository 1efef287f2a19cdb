from __future__ import annotations

import time

from kafkalike.clock import Clock


def test_wall_ms_counts_milliseconds_since_1970() -> None:
    before = time.time()
    now_ms = Clock().wall_ms()
    assert int(before * 1000) - 1 <= now_ms <= time.time() * 1000 + 1
    assert isinstance(now_ms, int)


def test_monotonic_ms_counts_milliseconds_of_the_monotonic_clock() -> None:
    before = time.monotonic()
    now_ms = Clock().monotonic_ms()
    assert int(before * 1000) - 1 <= now_ms <= time.monotonic() * 1000 + 1
    assert isinstance(now_ms, int)
