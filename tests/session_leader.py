"""The first process of a terminal, as a login shell is: what it starts is the foreground of the terminal, and it stays
when that has ended, so that what that left running is not ended by the end of the terminal.

    python session_leader.py REPORT CONTROL COMMAND ...

writes the command's process id and then its exit code, a line each, to the file descriptor REPORT, and ends when
CONTROL is closed. terminal.py runs it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import termios


def main(report: int, control: int, command: list[str]) -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = subprocess.Popen(command, preexec_fn=_come_forward)
    os.write(report, b"%d\n" % process.pid)
    os.write(report, b"%d\n" % process.wait())
    os.read(control, 1)


def _come_forward() -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
