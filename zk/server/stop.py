"""The command behind bin/zookeeper-server-stop.sh: SIGTERM to this user's servers of this installation, to no others.

Without arguments, to every one; with the properties file (and overrides) of one, to the server in that data directory.
Each that is ended is named.
"""

import fcntl
import os
import sys
from collections.abc import Sequence

from zk import processes
from zk.command_name import typed
from zk.packaged_files import locate
from zk.server import main as server_start
from zk.server.config import ConfigError
from zk.server.main import configure

MODULE = "zk.server.main"
SCRIPT = "zookeeper-server-start"
USAGE = f"""\
USAGE: {typed("zookeeper-server-stop.sh")} [zookeeper.properties [--override property=value]*]
Stops every ZooKeeper server that you have started from this installation; with a properties file the one server that
runs in the data directory that it names. $SIGNAL is sent, TERM without it."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when there was none to stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--help"], ["-h"]):
        print(USAGE)
        return 0
    try:
        number = processes.signal_of(os.environ.get("SIGNAL"))
        only = owner(configure(arguments).data_dir) if arguments else None
    except ConfigError as error:
        print(USAGE if str(error).startswith("USAGE") else error, file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"SIGNAL: {error}", file=sys.stderr)
        return 1
    stopped = 0
    with processes.running(MODULE, SCRIPT) as found:
        for process in found:
            if process.pid != only if arguments else process.python != sys.executable:
                continue
            if process.send(number):
                stopped += 1
                print(f"Stopping the zookeeper server of {_shown(process)} (process {process.pid})")
    if not stopped:
        print("No zookeeper server to stop")
        return 1
    return 0


def _shown(process: processes.Process) -> str:
    """Its data directory, or what it was started with."""
    words = [word for word in process.arguments if word != "-daemon"]
    names = [word for at, word in enumerate(words) if not word.startswith("-") and words[at - 1 : at] != ["--override"]]
    try:
        return process.path(configure([_file(process, word) if word in names else word for word in words]).data_dir)
    except ConfigError:
        return " ".join(words)


def _file(process: processes.Process, name: str) -> str:
    return locate(name, server_start.__file__, process.path(""))


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


if __name__ == "__main__":
    sys.exit(main())
