"""Coroutines of a coordinator that nobody waits for: what ends one in a way not foreseen is at least in the log."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Background:
    """The coroutines of one coordinator. Once it is `stopped` it does not matter any more how they end."""

    def __init__(self, coordinator: str, log: logging.Logger) -> None:
        self._coordinator = coordinator
        self._log = log
        self.stopped = False

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins a coroutine."""
        Deferred.fromCoroutine(work).addErrback(self.failed)

    def failed(self, failure: Failure) -> None:
        """Logs what has ended one."""
        if not self.stopped:
            self._log.error("The %s failed in a way not foreseen: %s", self._coordinator, failure.getTraceback())
