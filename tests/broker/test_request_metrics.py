"""Each request is counted and measured, phase by phase, and so are the errors of its answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kafkalike import metrics
from kafkalike.broker import request_metrics
from kafkalike.broker.dispatch import Dispatch
from kafkalike.broker.produce_fast_path import FastProduce
from kafkalike.broker.request_metrics import ERRORS, PHASES, REQUESTS, ApiMetrics, error_paths, sent
from kafkalike.errors import Error
from kafkalike.metrics import WINDOW, Timer
from kafkalike.net.reactor import TIME
from kafkalike.protocol.messages import fetch, heartbeat, metadata
from tests.broker import test_produce_fast_path as fast_path
from tests.broker.recording_connection import Connection


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing was counted before, and nothing stays."""
    for metric in (REQUESTS, ERRORS):
        monkeypatch.setattr(metric, "_counts", {})
    for timer in PHASES:
        monkeypatch.setattr(timer, "_kept", {})
    yield


def counts(meter: metrics.Meter) -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for sample in meter.read()}


def median(timer: Timer, name: str) -> float:
    return next(s.value for s in timer.read() if s.labels == (name, "0.5"))


def test_the_phases_of_a_request_add_up_to_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    api = ApiMetrics("Fetch", fetch.Response)
    monkeypatch.setattr(request_metrics, "monotonic", lambda: 10.063)
    # Received at 10 s, started 1 ms later, handled after 2 ms, answered after 4 more, sent from 8 ms after on, in 48.
    api.requests(12).count += 1
    sent(((api, 10.0, 10.001, 10.003, 10.007), None), 10.015)
    found = {timer.name.rpartition("=")[2]: round(median(timer, "Fetch")) for timer in PHASES}
    assert {
        "TotalTimeMs": 63,
        "RequestQueueTimeMs": 1,
        "LocalTimeMs": 2,
        "RemoteTimeMs": 4,
        "ResponseQueueTimeMs": 8,
        "ResponseSendTimeMs": 48,
    } == found
    assert {("Fetch", "12"): 1} == counts(REQUESTS)
    assert 10.063 == TIME.now


def test_the_newest_are_measured_and_all_are_counted() -> None:
    api = ApiMetrics("Produce")
    api.requests(9).count += 1000
    for _ in range(2 * WINDOW):
        sent(((api, 0.0, 0.0, 0.0, 0.0), ((ApiMetrics("Fetch"), 0.0, 0.0, 0.0, 0.0), None)), 0.0)
    assert (2 * WINDOW, WINDOW) == (api.samples, len(api.newest))
    assert 1000 == next(s.value for s in request_metrics.TOTAL.read() if s.suffix == "_count")


def test_each_error_of_an_answer_counts() -> None:
    api = ApiMetrics("Fetch", fetch.Response)
    good, bad = fetch.PartitionData(), fetch.PartitionData(error_code=Error.NOT_LEADER_OR_FOLLOWER)
    for _ in range(2):
        api.count_errors(
            fetch.Response(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[good, bad, good])])
        )
    assert {("Fetch", "NONE"): 6, ("Fetch", "NOT_LEADER_OR_FOLLOWER"): 2} == counts(ERRORS)


def test_error_codes_are_found_wherever_a_response_has_them() -> None:
    assert [()] == error_paths(heartbeat.Response)
    assert {("topics",), ("topics", "partitions")} <= set(error_paths(metadata.Response))
    assert ApiMetrics("Heartbeat", heartbeat.Response).is_plain
    assert not ApiMetrics("Metadata", metadata.Response).is_plain


@pytest.mark.parametrize("acks", [-1, 0, 1])
def test_requests_on_the_fast_path_are_measured_like_all_others(acks: int) -> None:
    dispatch, connection = Dispatch(fast_path.broker()), Connection()
    answered = [fast_path.call(dispatch, connection, fast_path.frame(9, n, acks=acks)) for n in range(2)]
    api = answered[0].metrics
    before, requests = api.error(Error.NONE).count, api.requests(9).count
    fast = fast_path.call(dispatch, connection, fast_path.frame(9, acks=acks))
    assert isinstance(fast, FastProduce) and api is fast.metrics
    for call in [*answered, fast]:
        assert call.timing is not None
        timed, received, started, handled, done = call.timing
        assert api is timed
        assert received <= started <= handled <= done
    assert (before + bool(acks), requests + 1) == (api.error(Error.NONE).count, api.requests(9).count)
