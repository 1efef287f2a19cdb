"""The command behind bin/zookeeper-server-stop.sh: SIGTERM to the servers of this installation, and to no other.

Without arguments, to every one; with the properties file (and overrides) of one, to the server in that data directory.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Sequence

from zk.server.config import ConfigError
from zk.server.main import configure

MODULE = "zk.server.main"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when there was none to stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        found = [owner(configure(arguments).data_dir)] if arguments else running()
    except ConfigError as error:
        print(str(error).replace("-start.sh [-daemon]", "-stop.sh"), file=sys.stderr)
        return 1
    stopped = 0
    for pid in found:
        try:
            if pid:
                os.kill(pid, signal.SIGTERM)
                stopped += 1
        except ProcessLookupError:
            continue
        except PermissionError:
            print(f"Not permitted to stop the zookeeper server {pid}", file=sys.stderr)
    if not stopped:
        print("No zookeeper server to stop")
        return 1
    return 0


def owner(data_dir: str) -> int:
    """The process that holds a data directory, or 0."""
    try:
        with open(os.path.join(data_dir, "lock"), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(file.read() or b"0")
    except (FileNotFoundError, NotADirectoryError):
        pass
    return 0


def running() -> list[int]:
    """The processes that run this installation's server."""
    pids = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[:1] == [sys.executable] and words[1:3] == ["-m", MODULE] and "-daemon" not in words:
            pids.append(int(name))
    return pids


if __name__ == "__main__":
    sys.exit(main())
