"""The command behind bin/zookeeper-shell.sh: ZooKeeper's command line, with its commands, options and output.

    zookeeper-shell.sh host:port[,host:port][/chroot] [command [argument ...]]

With a command it runs that and exits with its code; without one it reads commands from standard input, with a prompt
on a terminal. A command is a line in COMMANDS and a function of the shell and its arguments.
"""

import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zk.blocking_client import SESSION_EXPIRED, Client, ClientError, Stat
from zk.command_name import typed
from zk.ensemble import EnsembleError, parse
from zk.paths import check_path
from zk.server.four_letter_words import VERSION
from zk.signals import interruptible
from zk.wire import OPEN_ACL, Acl, Code, ZkError

USAGE = f"USAGE: {typed('zookeeper-shell.sh')} zookeeper_host:port[/path] [args...]"
HELP = f"""\
{USAGE}
With a command (ls /, get /brokers/ids/0, help) it is run, and the exit code is its own; without one, commands are read
from standard input. Everything is below /path, if there is one.
-timeout milliseconds, after the server, is how long the session outlives a lost connection (30000)."""

EVENTS = {0: "None", 1: "NodeCreated", 2: "NodeDeleted", 3: "NodeDataChanged", 4: "NodeChildrenChanged"}
STATES = {0: "Disconnected", 3: "SyncConnected", SESSION_EXPIRED: "Expired", -1: "Closed"}

# What ZooKeeper's command line says for these; the path follows.
SENTENCES = {
    Code.NO_NODE: "Node does not exist: ",
    Code.NO_CHILDREN_FOR_EPHEMERALS: "Ephemerals cannot have children: ",
    Code.NODE_EXISTS: "Node already exists: ",
    Code.NOT_EMPTY: "Node not empty: ",
    Code.INVALID_ACL: "Acl is not valid : ",
    Code.NO_AUTH: "Insufficient permission : ",
    Code.BAD_ARGUMENTS: "Arguments are not valid : ",
    Code.BAD_VERSION: "version No is not valid : ",
}
PERMISSIONS = {"c": 4, "d": 8, "r": 1, "w": 2, "a": 16}


class Refused(Exception):
    """A command that cannot be run; its text is shown, its code is the shell's exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Arguments(NamedTuple):
    """A command's words and options."""

    words: list[str]
    options: dict[str, str]

    def number(self, option: str, default: int) -> int:
        """An option's value."""
        try:
            return int(self.options.get(option, default))
        except ValueError:
            raise Refused(f'For input string: "{self.options[option]}"') from None


class Shell:
    """One connection and what was typed so far."""

    def __init__(self, timeout_ms: int = 30000) -> None:
        self.client: Client | None = None
        self.exit_code = 0
        self.history: list[str] = []
        self.print_watches = True
        self._server = ""
        self._timeout_ms = timeout_ms

    def connect(self, server: str) -> None:
        """To a server, leaving the one before."""
        try:
            ensemble = parse(server)
        except EnsembleError as error:
            raise Refused(str(error)) from None
        if self.client is not None:
            self.client.close()
        self._server = server
        self.client = Client(ensemble, self._timeout_ms, self._event)

    def require(self) -> Client:
        """The client, connected (again) if possible."""
        client = self.client
        if client is None or client.state == "CLOSED":
            raise Refused("Not connected")
        if client.state == "CONNECTING":
            try:
                client.connect()
            except OSError as error:
                raise Refused(f"Cannot connect to {self._server}: {error}") from None
        return client

    def prompt(self) -> str:
        """As ZooKeeper's."""
        state = self.client.state if self.client is not None else "CLOSED"
        return f"[zk: {self._server}({state}) {len(self.history)}] "

    def run(self, words: Sequence[str]) -> None:
        """One command; its outcome is in exit_code."""
        try:
            self._run(list(words))
            self.exit_code = 0
        except Refused as refused:
            self.exit_code = refused.code
            _complain(str(refused))
        except ClientError as error:
            self.exit_code = 1
            missing = self.client.missing_chroot() if self.client is not None and error.code == Code.NO_NODE else ""
            _complain(_sentence(error) + (f" ({missing})" if missing else ""))

    def _run(self, words: list[str]) -> None:
        if not words:
            raise Refused("No command entered")
        name = words[0]
        command = COMMANDS.get(name)
        if command is None:
            _show_usage()
            raise Refused(f"Command not found: Command not found {name}", 127)
        arguments = _parse(command, words[1:])
        if len(arguments.words) < command.least:
            raise Refused(f"{name} {command.usage}")
        if command.at_path:
            _check(arguments.words[0])
        command.run(self, arguments)

    def execute(self, line: str) -> None:
        """A line as typed; it goes into the history."""
        words = _split(line)
        if words:
            self.history.append(line)
            self.run(words)

    def _event(self, kind: int, state: int, path: str) -> None:
        if self.print_watches:
            shown = path if kind else "null"
            text = f"WatchedEvent state:{STATES.get(state, state)} type:{EVENTS.get(kind, kind)} path:{shown}"
            print(f"\nWATCHER::\n\n{text}", flush=True)

    def quit(self) -> None:
        """Close the session, say so, and end."""
        if self.client is not None and self.client.state == "CONNECTED":
            self.client.close()
            self._event(0, -1, "")
        raise SystemExit(self.exit_code)


# The commands.


def _ls(shell: Shell, arguments: Arguments) -> None:
    client, path = shell.require(), arguments.words[0]
    watch = "w" in arguments.options
    if "R" in arguments.options:
        client.get(path, watch)
        print(path)
        _visit(client, path, watch, print)
        return
    names, stat = client.children(path, watch)
    print(f"[{', '.join(names)}]")
    if "s" in arguments.options:
        _print_stat(stat)


def _visit(client: Client, path: str, watch: bool, found: Callable[[str], object]) -> None:
    below = [_join(path, name) for name in client.children(path, watch)[0]]
    for child in below:
        found(child)
    for child in below:
        _visit(client, child, watch, found)


def _get(shell: Shell, arguments: Arguments) -> None:
    data, stat = shell.require().get(arguments.words[0], "w" in arguments.options)
    print("null" if data is None else data.decode("utf-8", "replace"))
    if "s" in arguments.options:
        _print_stat(stat)


def _stat(shell: Shell, arguments: Arguments) -> None:
    _print_stat(shell.require().exists(arguments.words[0], "w" in arguments.options))


def _create(shell: Shell, arguments: Arguments) -> None:
    path, *rest = arguments.words
    options = arguments.options
    container = "c" in options
    if container and ("e" in options or "s" in options):
        raise Refused("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
    data = rest[0].encode() if rest else None
    acl = _read_acl(rest[1]) if len(rest) > 1 else OPEN_ACL
    flags = ("e" in options) + 2 * ("s" in options)
    made = shell.require().create(path, data, acl, flags, container)
    # ZooKeeper says this on standard error.
    _complain(f"Created {made}")


def _set(shell: Shell, arguments: Arguments) -> None:
    path, data = arguments.words[:2]
    stat = shell.require().set(path, data.encode(), arguments.number("v", -1))
    if "s" in arguments.options:
        _print_stat(stat)


def _delete(shell: Shell, arguments: Arguments) -> None:
    shell.require().delete(arguments.words[0], arguments.number("v", -1))


def _delete_all(shell: Shell, arguments: Arguments) -> None:
    client, path = shell.require(), arguments.words[0]
    size = max(arguments.number("b", 1000), 1)
    client.exists(path)
    paths = [path]
    for parent in paths:
        paths += [_join(parent, name) for name in client.children(parent)[0]]
    paths.reverse()
    for start in range(0, len(paths), size):
        if not client.delete_together(paths[start : start + size]):
            _complain("Failed to delete some node(s) in the subtree!")
            return


def _get_acl(shell: Shell, arguments: Arguments) -> None:
    entries, stat = shell.require().acl(arguments.words[0])
    for entry in entries:
        letters = "".join(letter for letter, bit in PERMISSIONS.items() if entry.perms & bit)
        print(f"'{entry.scheme},'{entry.id}\n: {letters}")
    if "s" in arguments.options:
        _print_stat(stat)


def _set_acl(shell: Shell, arguments: Arguments) -> None:
    client, path = shell.require(), arguments.words[0]
    acl, version = _read_acl(arguments.words[1]), arguments.number("v", -1)
    stat = client.set_acl(path, acl, version)
    if "R" in arguments.options:
        _visit(client, path, False, lambda child: client.set_acl(child, acl, version))
    elif "s" in arguments.options:
        _print_stat(stat)


def _add_auth(shell: Shell, arguments: Arguments) -> None:
    scheme, *auth = arguments.words
    shell.require().add_auth(scheme, auth[0].encode() if auth else b"")


def _sync(shell: Shell, arguments: Arguments) -> None:
    shell.require().sync(arguments.words[0])
    print("Sync is OK")


def _ephemerals(shell: Shell, arguments: Arguments) -> None:
    print(f"[{', '.join(shell.require().ephemerals(arguments.words[0] if arguments.words else '/'))}]")


def _descendants(shell: Shell, arguments: Arguments) -> None:
    print(shell.require().descendants(arguments.words[0]))


def _who_am_i(shell: Shell, arguments: Arguments) -> None:
    print("Auth scheme: User")
    for scheme, user in shell.require().identities():
        print(f"{scheme}: {user}")


def _add_watch(shell: Shell, arguments: Arguments) -> None:
    mode = arguments.options.get("m", "PERSISTENT_RECURSIVE").upper()
    if mode not in ("PERSISTENT", "PERSISTENT_RECURSIVE"):
        raise Refused(f"addWatch {COMMANDS['addWatch'].usage}")
    shell.require().add_watch(arguments.words[0], mode == "PERSISTENT_RECURSIVE")


def _remove_watches(shell: Shell, arguments: Arguments) -> None:
    kind = 1 if "c" in arguments.options else 2 if "d" in arguments.options else 3
    shell.require().remove_watches(arguments.words[0], kind)


def _config(shell: Shell, arguments: Arguments) -> None:
    data, stat = shell.require().get("/zookeeper/config", "w" in arguments.options)
    print((data or b"").decode("utf-8", "replace"))
    if "s" in arguments.options:
        _print_stat(stat)


def _version(shell: Shell, arguments: Arguments) -> None:
    print(f"ZooKeeper CLI version: {VERSION}")


def _history(shell: Shell, arguments: Arguments) -> None:
    last = len(shell.history) - 1
    for number in range(max(last - 10, 0), last + 1):
        print(f"{number} - {shell.history[number]}")


def _redo(shell: Shell, arguments: Arguments) -> None:
    number = arguments.words[0]
    if not number.isdecimal() or int(number) >= len(shell.history) - 1:
        raise Refused("Command index out of range")
    line = shell.history[int(number)]
    if _split(line)[:1] == ["redo"]:
        raise Refused("No redoing redos")
    shell.history[-1] = line
    shell._run(_split(line))


def _print_watches(shell: Shell, arguments: Arguments) -> None:
    if arguments.words:
        shell.print_watches = arguments.words[0] == "on"
    else:
        print(f"printwatches is {'on' if shell.print_watches else 'off'}")


def _connect(shell: Shell, arguments: Arguments) -> None:
    shell.connect(arguments.words[0] if arguments.words else shell._server)
    shell.require()


def _close(shell: Shell, arguments: Arguments) -> None:
    shell.require().close()
    shell._event(0, -1, "")


def _quit(shell: Shell, arguments: Arguments) -> None:
    shell.quit()


def _help(shell: Shell, arguments: Arguments) -> None:
    _show_usage()


class Command(NamedTuple):
    """What may follow a command's name; options in `valued` take a value."""

    usage: str
    run: Callable[[Shell, Arguments], None]
    least: int = 1
    flags: str = ""
    valued: str = ""
    at_path: bool = True


COMMANDS = {
    "addWatch": Command(
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
        _add_watch, valued="m",
    ),
    "addauth": Command("scheme auth", _add_auth, at_path=False),
    "close": Command("", _close, 0, at_path=False),
    "config": Command("[-w] [-s]", _config, 0, "ws", at_path=False),
    "connect": Command("host:port", _connect, 0, at_path=False),
    "create": Command("[-s] [-e] [-c] path [data] [acl]", _create, flags="sec"),
    "delete": Command("[-v version] path", _delete, valued="v"),
    "deleteall": Command("path [-b batch size]", _delete_all, valued="b"),
    "get": Command("[-s] [-w] path", _get, flags="sw"),
    "getAcl": Command("[-s] path", _get_acl, flags="s"),
    "getAllChildrenNumber": Command("path", _descendants),
    "getEphemerals": Command("path", _ephemerals, 0, at_path=False),
    "help": Command("", _help, 0, at_path=False),
    "history": Command("", _history, 0, at_path=False),
    "ls": Command("[-s] [-w] [-R] path", _ls, flags="swR"),
    "printwatches": Command("on|off", _print_watches, 0, at_path=False),
    "quit": Command("", _quit, 0, at_path=False),
    "redo": Command("cmdno", _redo, at_path=False),
    "removewatches": Command("path [-c|-d|-a] [-l]", _remove_watches, flags="cdal"),
    "set": Command("[-s] [-v version] path data", _set, 2, "s", "v"),
    "setAcl": Command("[-s] [-v version] [-R] path acl", _set_acl, 2, "sR", "v"),
    "stat": Command("[-w] path", _stat, flags="w"),
    "sync": Command("path", _sync),
    "version": Command("", _version, 0, at_path=False),
    "whoami": Command("", _who_am_i, 0, at_path=False),
}  # fmt: skip


# Words in, words out.

_WORDS = re.compile(r"""\s*([^"']\S*|"[^"]*"|'[^']*')\s*""")


def _split(line: str) -> list[str]:
    words = [match[1] for match in _WORDS.finditer(line)]
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word for word in words]


def _parse(command: Command, words: Sequence[str]) -> Arguments:
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            plain += rest
        elif len(word) < 2 or word[0] != "-" or word[1:].replace(".", "", 1).isdigit():
            plain.append(word)
        elif word[1] in command.valued:
            value = word[2:] or next(rest, None)
            if value is None:
                raise Refused(f"Missing argument for option: {word[1]}")
            options[word[1]] = value
        elif set(word[1:]) <= set(command.flags):
            options |= dict.fromkeys(word[1:], "")
        else:
            raise Refused(f"Unrecognized option: {word}")
    return Arguments(plain, options)


def _check(path: str) -> None:
    if not path.startswith("/"):
        raise Refused("Path must start with / character")
    if path != "/" and path.endswith("/"):
        raise Refused("Path must not end with / character")
    try:
        check_path(path)
    except ZkError:
        raise Refused(f'Invalid path string "{path}"') from None


def _join(path: str, name: str) -> str:
    return path.rstrip("/") + "/" + name


def _read_acl(text: str) -> list[Acl]:
    entries = []
    for word in text.split(","):
        scheme, first, rest = word.partition(":")
        ident, last, letters = rest.rpartition(":")
        if not first or not last:
            _complain(f"{word} does not have the form scheme:id:perm")
            continue
        for letter in letters:
            if letter not in PERMISSIONS:
                _complain(f"Unknown perm type: {letter}")
        entries.append(Acl(sum(PERMISSIONS.get(letter, 0) for letter in set(letters)), scheme, ident))
    return entries


def _date(milliseconds: int) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y", time.localtime(milliseconds // 1000))


def _print_stat(stat: Stat) -> None:
    print(
        f"cZxid = 0x{stat.czxid:x}\nctime = {_date(stat.ctime)}\nmZxid = 0x{stat.mzxid:x}\n"
        f"mtime = {_date(stat.mtime)}\npZxid = 0x{stat.pzxid:x}\ncversion = {stat.cversion}\n"
        f"dataVersion = {stat.version}\naclVersion = {stat.aversion}\n"
        f"ephemeralOwner = 0x{stat.ephemeral_owner & 0xFFFFFFFFFFFFFFFF:x}\n"
        f"dataLength = {stat.data_length}\nnumChildren = {stat.num_children}"
    )


def _sentence(error: ClientError) -> str:
    sentence = SENTENCES.get(error.code)  # type: ignore[call-overload]
    return f"{sentence}{error.path}" if sentence else str(error)


def _show_usage() -> None:
    _complain("ZooKeeper -server host:port cmd args")
    for name, command in sorted(COMMANDS.items()):
        _complain(f"\t{name} {command.usage}")


def _complain(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the shell; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("--help", "-help", "-h"):
        print(HELP if words else USAGE)
        return 0 if words else 1
    if words[0].startswith("-"):
        _complain(f"{words[0]} is no server\n{USAGE}")
        return 1
    server, timeout_ms = words.pop(0), 30000
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-timeout" and words and words[0].isdecimal():
            timeout_ms = int(words.pop(0))
        elif option not in ("-r", "-waitforconnection"):
            _complain(f"Option {option} is not supported\n{USAGE}")
            return 1
    shell = Shell(timeout_ms)
    print(f"Connecting to {server}", flush=True)
    try:
        with interruptible(signal.SIGINT):
            return _run(shell, server, words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _run(shell: Shell, server: str, words: Sequence[str]) -> int:
    try:
        shell.connect(server)
        if words:
            shell.run(words)
        else:
            _read_commands(shell)
    except Refused as refused:
        _complain(str(refused))
        return refused.code
    if shell.client is not None:
        shell.print_watches = False
        shell.client.close()
    return shell.exit_code


def _read_commands(shell: Shell) -> None:
    print("Welcome to ZooKeeper!")
    if not sys.stdin.isatty():
        print("JLine support is disabled")
        for line in sys.stdin:
            shell.execute(line.rstrip("\n"))
        return
    import readline  # noqa: F401  (input() edits lines and remembers them with it)

    shell.run(["connect"])
    while True:
        try:
            shell.execute(input(shell.prompt()))
        except EOFError:
            print()
            return


if __name__ == "__main__":
    sys.exit(main())
