"""What signals do to a command, as processes; what they do to servers is in tests/broker/test_start.py and
tests/zk/server/test_main.py."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.servers import ROOT
from zk.signals import interruptible, quiet_imports


def python(code: str, *signals: signal.Signals) -> tuple[int, str, str]:
    """Runs code that prints a line whenever the next signal may come."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys, time\n{code}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for number in signals:
        assert process.stdout.readline()
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


WAIT = "print('now', flush=True); time.sleep(60)"


def test_an_import_for_a_command_takes_sigint_over() -> None:
    code = f"sys.argv[0] = '/usr/bin/kafka-topics'\nimport zk\n{WAIT}"
    assert (-signal.SIGINT, "", "") == python(code, signal.SIGINT)


def test_an_import_for_something_else_does_not() -> None:
    handler = signal.getsignal(signal.SIGINT)
    quiet_imports()
    assert handler is signal.getsignal(signal.SIGINT)


def test_the_first_is_an_exception_and_the_second_the_end() -> None:
    code = f"""
from zk.signals import interruptible
import signal
with interruptible(signal.SIGINT, signal.SIGTERM):
    try:
        {WAIT}
    finally:
        {WAIT}
"""
    assert (-signal.SIGINT, "", "") == python(code, signal.SIGTERM, signal.SIGINT)


def test_afterwards_signals_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible(signal.SIGINT):
        assert before is not signal.getsignal(signal.SIGINT)
    assert before is signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible(signal.SIGINT):
        signal.raise_signal(signal.SIGINT)
    assert before is signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_has_nothing_to_stop_yet_ends_at_once(number: signal.Signals) -> None:
    assert (0, "", "") == python(f"from zk.signals import ServerSignals\nServerSignals()\n{WAIT}", number)


def test_a_server_is_asked_to_stop_and_what_comes_too_late_is_nothing() -> None:
    code = """
from zk.signals import ServerSignals
signals = ServerSignals()
told = []
signals.stop_by(lambda stop, name: stop(name), told.append)
print('now', flush=True)
while not told:
    time.sleep(0.01)
signals.ended()
print('now', flush=True)
sys.stdin.read()
print(told)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys, time\n{code}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        assert "now\n" == process.stdout.readline()
        process.send_signal(number)
    assert "['SIGTERM']\n" == process.communicate("", timeout=30)[0]
    assert 0 == process.returncode
