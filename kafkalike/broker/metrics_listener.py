"""`metrics.listeners`: an HTTP server for those who watch the broker. It is imported only when that key is set.

    /metrics         every metric of kafkalike/metrics.py and those of the process, in Prometheus' text format
    /health/live     200 as long as the process serves this
    /health/ready    200 while the broker serves clients, else 503
    anything else    404

An answer to /metrics is made in slices: between two of them the reactor serves everybody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client import REGISTRY as OF_THE_PROCESS
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.web import http, resource, server

from kafkalike.config import HttpEndpoint
from kafkalike.metrics import REGISTRY, lines

log = logging.getLogger("kafka.server.MetricsListener")

SLICE = 500  # lines that are made in one turn of the reactor


class MetricsListener:
    """The server, bound and serving from the moment it is made until `close`."""

    def __init__(
        self,
        reactor: Any,
        endpoints: list[HttpEndpoint],
        is_ready: Callable[[], bool],
        refresh: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        """`refresh` is called before the metrics are read. OSError with one clear line if an address cannot be had."""
        root: Any = _NotFound()
        root.putChild(b"metrics", _Metrics(reactor, refresh))
        health: Any = _NotFound()
        root.putChild(b"health", health)
        health.putChild(b"live", _Health(lambda: True))
        health.putChild(b"ready", _Health(is_ready))
        self._ports: list[Any] = []
        for endpoint in endpoints:
            try:
                port = reactor.listenTCP(endpoint.port, _Site(root, reactor=reactor), interface=endpoint.host)
            except error.CannotListenError as problem:
                self.close()
                why = getattr(problem.socketError, "strerror", None) or problem.socketError
                raise OSError(f"metrics.listeners: cannot listen on {endpoint.host}:{endpoint.port}: {why}.") from None
            self._ports.append(port)
            log.info("Metrics are served at http://%s:%d/metrics", endpoint.host, port.getHost().port)

    def close(self) -> None:
        """Accepts no more. An answer that is being made still leaves."""
        for port in self._ports:
            port.stopListening()
        self._ports.clear()


class _Site(server.Site):
    """A site without Twisted's log of accesses and that log's timer."""

    noisy = False

    def startFactory(self) -> None:
        """Opens nothing."""

    def stopFactory(self) -> None:
        """Closes nothing."""

    def log(self, request: Any) -> None:
        """Says nothing."""


class _Path(resource.Resource):
    """A path, with or without a slash at its end. Below it is only what was put there."""

    def getChild(self, name: bytes, request: Any) -> resource.Resource:
        return _NotFound() if name else self


class _NotFound(_Path):
    def render(self, request: Any) -> bytes:
        request.setResponseCode(http.NOT_FOUND)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Not found: here are /metrics, /health/live and /health/ready.\n"


class _Health(_Path):
    def __init__(self, is_well: Callable[[], bool]) -> None:
        super().__init__()
        self._is_well = is_well

    def render_GET(self, request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        if self._is_well():
            return b"ok\n"
        request.setResponseCode(http.SERVICE_UNAVAILABLE)
        return b"not ready\n"


class _Metrics(_Path):
    def __init__(self, reactor: Any, refresh: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self._reactor = reactor
        self._refresh = refresh

    def render_GET(self, request: Any) -> int:
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
        scrape = _Scrape(self._reactor, request)
        self._refresh().addCallback(lambda _: scrape.go_on())
        return server.NOT_DONE_YET


class _Scrape:
    """One response to /metrics that is being written."""

    def __init__(self, reactor: Any, request: Any) -> None:
        self._reactor = reactor
        self._request = request
        self._lines = _all_lines()
        self._gone = False
        request.notifyFinish().addErrback(self._left)

    def _left(self, _: Any) -> None:
        self._gone = True

    def go_on(self) -> None:
        """Makes a slice, and asks for the next turn if there is more."""
        if self._gone:
            return
        made = list(islice(self._lines, SLICE))
        if made:
            self._request.write("".join(made).encode())
            self._reactor.callLater(0, self.go_on)
        else:
            self._request.finish()


def _all_lines() -> Iterator[str]:
    for metric in list(REGISTRY.values()):
        try:
            yield from lines(metric)
        except Exception:
            # The others are worth having.
            log.exception("%s cannot be read", metric.name)
    yield generate_latest(OF_THE_PROCESS).decode()
