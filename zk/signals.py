"""SIGTERM and SIGINT, from a command's first moment to its last: an orderly end, at once or in time, and no traceback.

Python makes an exception of SIGINT wherever it is: in an import, in what is done to close, while the interpreter ends.
A command takes the default (the process ends without a word) until it has something to end, and again afterwards.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

BOTH = (signal.SIGTERM, signal.SIGINT)
OURS = ("kafka-", "kafkalike-", "zookeeper-")  # how the names of our commands begin


def quiet_imports() -> None:
    """Called when a package of commands is imported: if that is for a command, SIGINT ends it silently from now on.

    An earlier SIGINT ends it now: bin/kafka-run-class.sh has the signal held back while the interpreter starts.
    """
    started_as = os.path.basename(sys.argv[0]) if sys.argv else ""
    # "-m" is what Python has there until it has found the module that it is to run.
    if started_as == "-m" or started_as.startswith(OURS):
        _default(signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _default(number: int) -> None:
    # Who was started with the signal ignored (in the background of a shell without job control) goes on ignoring it.
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def interruptible(*numbers: int) -> Iterator[None]:
    """Within, the first of these signals is a KeyboardInterrupt, for what has something to close; the second ends the
    process without a word. Afterwards they are what they were before."""

    def heard(*_: object) -> None:
        for number in numbers:
            _default(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, heard)
        yield
    finally:
        for number, handler in before.items():
            # A server has put its own in the place of ours.
            if handler is not None and signal.getsignal(number) in (heard, signal.SIG_DFL):
                signal.signal(number, handler)


class ServerSignals:
    """Of a server: before there is anything to stop, both signals end the process with status 0; then the first is an
    orderly stop, and those that follow change nothing about it."""

    def __init__(self) -> None:
        self._stop: Callable[[str], Any] | None = None
        for number in BOTH:
            signal.signal(number, self._heard)

    def stop_by(self, call_from_thread: Callable[..., Any], stop: Callable[[str], Any]) -> None:
        """`stop(name of the signal)` is called by the reactor, for each signal."""
        self._stop = lambda name: call_from_thread(stop, name)

    def ended(self) -> None:
        """The server has stopped: what comes now is too late."""
        for number in BOTH:
            signal.signal(number, signal.SIG_IGN)

    def _heard(self, number: int, _: object) -> None:
        # Nothing is written here: the signal may have come in the middle of a write to the same stream.
        if self._stop is None:
            os._exit(0)
        self._stop(signal.Signals(number).name)
