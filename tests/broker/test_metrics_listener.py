"""`metrics.listeners`: what is served there, and when nothing is."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from kafkalike.broker import kafka_server, metrics_listener
from kafkalike.config import ConfigException, HttpEndpoint, broker_config, http_endpoints
from kafkalike.metrics import REGISTRY, Meter
from tests.reactor import on_reactor
from tests.servers import ROOT, Broker, EmbeddedZooKeeper, Kafka, Server, free_port, wait_until

Start = Callable[[Server], Any]


def scraped(port: int, path: str = "metrics") -> str:
    """What a GET answers."""
    with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
        return answer.read().decode()


def numbers(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """The metrics by name, and by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(scraped(port)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.slow
def test_a_broker_serves_its_metrics_and_its_health(started: Start, tmp_path: Path) -> None:
    zookeeper = started(EmbeddedZooKeeper(tmp_path / "zookeeper"))
    port = free_port()
    broker = started(Broker(tmp_path / "broker", zookeeper.connect, metrics_listeners=f"http://127.0.0.1:{port}"))
    Kafka(broker, zookeeper).create_topic("counted", 3)
    found = numbers(port)
    assert {(): 3.0} == found["kafka_server_kafkaserver_brokerstate"]
    assert {(): 3.0} == found["kafka_server_replicamanager_partitioncount"]
    assert {(): 3.0} == found["kafka_server_replicamanager_leadercount"]
    assert {(): 0.0} == found["kafka_server_replicamanager_underreplicatedpartitions"]
    assert {("counted", "0"): 0, ("counted", "1"): 0, ("counted", "2"): 0} == found["kafka_log_log_logendoffset"]
    assert found["process_resident_memory_bytes"][()] > 1e6
    assert ["ok\n", "ok\n"] == [scraped(port, "health/live"), scraped(port, "health/ready")]
    with pytest.raises(HTTPError, match="404"):
        scraped(port, "anything")


@on_reactor
@pytest.mark.parametrize("path", ["", "health", "health/", "health/other", "anything", "metrics/other", "any/thing"])
async def test_an_unknown_path_is_not_found_in_one_line_of_text(path: str) -> None:
    listener = metrics_listener.MetricsListener(reactor, [HttpEndpoint("127.0.0.1", port := free_port())], lambda: True)
    try:
        with pytest.raises(HTTPError, match="404") as caught:
            await deferToThread(scraped, port, path)
        with caught.value as answer:
            assert "text/plain; charset=utf-8" == answer.headers["content-type"]
            assert b"Not found: here are /metrics, /health/live and /health/ready.\n" == answer.read()
        assert "ok\n" == await deferToThread(scraped, port, "health/live")
    finally:
        listener.close()


@pytest.mark.slow
def test_a_broker_that_waits_for_zookeeper_lives_and_is_not_ready(tmp_path: Path) -> None:
    port = free_port()
    broker = Broker(tmp_path / "broker", f"127.0.0.1:{free_port()}", metrics_listeners=f"http://127.0.0.1:{port}")
    broker.launch()
    try:
        wait_until(lambda: "Metrics are served at" in broker.output())
        assert "ok\n" == scraped(port, "health/live")
        with pytest.raises(HTTPError, match="503"):
            scraped(port, "health/ready")
        assert {(): 1.0} == numbers(port)["kafka_server_kafkaserver_brokerstate"]
    finally:
        assert 0 == broker.stop()


@pytest.mark.slow
def test_a_start_with_an_address_that_is_taken_fails_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = Broker(tmp_path / "broker", "127.0.0.1:1", metrics_listeners=f"http://127.0.0.1:{port}")
        broker.launch()
        assert 1 == broker.wait()
    assert f"Error: metrics.listeners: cannot listen on 127.0.0.1:{port}: Address already in use." in broker.output()
    assert "Traceback" not in broker.output()


@pytest.mark.parametrize("text", ["9404", "127.0.0.1:9404", "https://127.0.0.1:9404", "http://x", "http://x:99999"])
def test_another_value_than_addresses_is_refused_with_one_line(text: str) -> None:
    with pytest.raises(ConfigException, match=rf"Invalid value {text} for configuration metrics.listeners: '{text}'"):
        broker_config({"zookeeper.connect": "localhost", "metrics.listeners": text})


def test_addresses_may_be_ipv6_or_all_or_several() -> None:
    assert [] == http_endpoints("")
    assert [HttpEndpoint("::1", 9404), HttpEndpoint("", 80)] == http_endpoints("http://[::1]:9404, http://:80")


class Request:
    """Takes down what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.finished = False

    def notifyFinish(self):
        from twisted.internet.defer import Deferred

        self.gone: Deferred[None] = Deferred()
        return self.gone

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """A metric with ten slices of numbers."""
    monkeypatch.setattr("kafkalike.metrics.REGISTRY", registry := dict[str, Meter]())
    monkeypatch.setattr(metrics_listener, "REGISTRY", registry)
    meter = Meter("many_total", "partition")
    for index in range(10 * metrics_listener.SLICE):
        meter.of(str(index))
    return meter


class Turns:
    """A reactor of which only the turns matter."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def callLater(self, seconds: float, call: Callable[[], None]) -> None:
        assert 0 == seconds
        self.waiting.append(call)


def test_a_scrape_makes_a_slice_in_each_turn_of_the_reactor(many: Meter) -> None:
    reactor, request = Turns(), Request()
    metrics_listener._Scrape(reactor, request).go_on()
    turns = 1
    while reactor.waiting:
        reactor.waiting.pop()()
        turns += 1
    assert request.finished
    assert all(written.count(b"many_total{") <= metrics_listener.SLICE for written in request.written)
    assert 10 * metrics_listener.SLICE == b"".join(request.written).count(b"many_total{")
    assert turns == 12, "ten, what is about the process, and the end"


def test_a_scrape_ends_when_nobody_reads_it_any_more(many: Meter) -> None:
    reactor, request = Turns(), Request()
    metrics_listener._Scrape(reactor, request).go_on()
    request.gone.errback(ConnectionError())
    reactor.waiting.pop()()
    assert [] == reactor.waiting
    assert 1 == len(request.written)


def test_a_metric_that_cannot_be_read_does_not_hide_the_others(
    many: Meter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(many, "read", lambda: 1 / 0)
    Meter("other_total").mark()
    assert "other_total 1\n" in "".join(metrics_listener._all_lines())
    assert "many_total cannot be read" in caplog.text
    assert REGISTRY is not metrics_listener.REGISTRY


def test_a_broker_without_the_key_loads_neither_web_server_nor_client_library() -> None:
    names = "{'twisted.web', 'twisted.web.server', 'prometheus_client'}"
    code = f"import sys, kafkalike.cli.server_start, kafkalike.broker.kafka_server; print({names} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ("set()\n", "") == (found.stdout, found.stderr)


def test_the_documentation_has_the_beginning_of_each_name_and_no_two_metrics_share_one() -> None:
    assert kafka_server.BROKER_STATE in REGISTRY.values(), "all that a broker declares is known here"
    documented = re.findall(r"`((?:kafka|kafkalike|process|python)_\w+)`", (ROOT / "docs/operating.md").read_text())
    names = [metric.exported for metric in REGISTRY.values()]
    assert [] == [name for name in names if not name.startswith(tuple(documented))]
    assert [] == [
        prefix for prefix in documented if not any(name.startswith(prefix) for name in [*names, "process_", "python_"])
    ]
    assert sorted(set(names)) == sorted(names)
