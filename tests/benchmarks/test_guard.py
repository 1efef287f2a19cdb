"""A request may not come to cost more than a tenth above the committed baseline: guard.py says what is counted.

What is meant to cost more gets a new baseline, in the same commit:

    .venv/bin/python -m tests.benchmarks.guard --write
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.guard import Guard, baseline, grown, guarding, system_calls

BASELINE = baseline()


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    with guarding(tmp_path_factory.mktemp("guard")) as guard:
        yield guard


@pytest.mark.parametrize("load", BASELINE)
def test_a_request_costs_what_it_did(guard: Guard, load: str) -> None:
    base = BASELINE[load]
    found = guard.least(load, 3, enough=lambda counts: not grown(counts, base))
    more = "".join(f"\n    {key}: {text}" for key, text in grown(found, base).items())
    assert not more, f"{load} costs more than a tenth above the baseline:{more}\nof which\n{guard.account(load)}"


def test_every_load_has_a_baseline(guard: Guard) -> None:
    assert list(guard.loads) == list(BASELINE)


def test_a_tenth_more_is_too_much() -> None:
    base = {"python": 40.0, "system": 1.0, "copied": 0.0}
    assert {} == grown({"python": 43.9, "system": 1.2, "copied": 80.0}, base)
    assert ["python", "system", "copied"] == list(grown({"python": 44.1, "system": 2.0, "copied": 1024.0}, base))


def test_system_calls_are_read_from_a_trace() -> None:
    trace = """\
12 recvfrom(9, ""..., 65536, 0, NULL, NULL) = 96
12 pwritev2(5, [{iov_base=""..., iov_len=16}, {iov_base=""..., iov_len=84}], 2, 0, 0 <unfinished ...>
13 futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>
12 <... pwritev2 resumed>)               = 100
12 sendfile(9, 15, [0] => [500], 500)    = 500
12 sendto(9, ""..., 3, 0, NULL, 0)       = -1 EAGAIN (Resource temporarily unavailable)
12 epoll_wait(3, [...], 4, 807)          = 1
"""
    calls, crossed = system_calls(trace)
    assert {"recvfrom": 1, "pwritev2": 1, "sendfile": 1, "sendto": 1, "epoll_wait": 1} == calls
    assert 196 == crossed
