"""A server in the background: the command that starts it returns when it serves, or says why it does not.

The child is a session of its own, with its input empty and its output in a file. It has one end of a pipe: one byte
there says that it serves; what it writes instead is the reason, and the end of the pipe without either is its death.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

SERVES = b"\0"


class Foreground:
    """Nobody waits."""

    def serves(self) -> None:
        """The server serves."""

    def fails(self, reason: str) -> None:
        """It cannot, for a reason that is told in one line."""
        sys.stdout.flush()
        print(reason, file=sys.stderr, flush=True)


class Background(Foreground):
    """The command that started this process waits at the other end of the pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def serves(self) -> None:
        self._tell(SERVES)

    def fails(self, reason: str) -> None:
        super().fails(reason)
        self._tell(reason.encode())

    def _tell(self, what: bytes) -> None:
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            with contextlib.suppress(BrokenPipeError):  # whoever waited was interrupted
                os.write(pipe, what)
            os.close(pipe)


def detach(log: int, log_path: str) -> Background:
    """Forks. The child goes on from here with its output in the file `log`; the parent waits and ends the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    heard, told = os.pipe()
    child = os.fork()
    if child:
        os.close(told)
        os._exit(_wait(child, heard, log_path))
    os.close(heard)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
    os.close(null)
    os.close(log)
    return Background(told)


def _wait(child: int, pipe: int, log_path: str) -> int:
    """The status for the command: 0 when the child serves, else the child's own."""
    interrupted = False
    process = os.pidfd_open(child)  # once it has been waited for, its number may be another's

    def interrupt(number: int, _: object) -> None:
        nonlocal interrupted
        interrupted = True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)

    _on_signals(interrupt)
    told = b""
    while chunk := os.read(pipe, 65536):
        told += chunk
        if told == SERVES:
            return 0
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if told:
        reason = told.decode(errors="replace")
    elif interrupted or code == 0:
        reason = "stopped before it served"
    elif code < 0:
        reason = f"ended by {signal.Signals(-code).name} before it served: see {log_path}"
    else:
        reason = f"ended with status {code} before it served: see {log_path}"
    print(reason, file=sys.stderr, flush=True)
    return code if code > 0 else 1


def _on_signals(heard: Callable[[int, object], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heard)
