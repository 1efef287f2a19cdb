"""The command line: words in, text out, on both servers."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Callable

import pytest
from kazoo.client import KazooClient

from tests.servers import ROOT, ZooKeeper, free_port
from zk.shell import COMMANDS, Refused
from zk.shell import _parse as parse_options
from zk.shell import _split as split

SHELL = str(ROOT / "bin/zookeeper-shell.sh")
CONNECTED = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n"

Run = Callable[..., tuple[int, str, str]]


def shell(*arguments: str, lines: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [SHELL, *arguments], input=lines, capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(server: ZooKeeper, path: str) -> Run:
    """One command below this test's node."""

    def run(*words: str) -> tuple[int, str, str]:
        code, out, err = shell(server.connect + path, *words)
        greeting = f"Connecting to {server.connect}{path}\n"
        assert out.startswith(greeting)
        return code, out.removeprefix(greeting).removeprefix(CONNECTED), err

    return run


@pytest.fixture
def session(server: ZooKeeper, path: str) -> Callable[..., tuple[str, str]]:
    """Commands on standard input, in one session."""

    def session(*lines: str) -> tuple[str, str]:
        _, out, err = shell(server.connect + path, lines="\n".join(lines) + "\n")
        head = f"Connecting to {server.connect}{path}\nWelcome to ZooKeeper!\nJLine support is disabled\n{CONNECTED}"
        assert out.startswith(head), (out, err)
        return out.removeprefix(head), err

    return session


@pytest.mark.real_zookeeper
def test_ls(run: Run, zk: KazooClient, path: str) -> None:
    zk.create(path + "/b")
    zk.create(path + "/a")
    assert (0, "[a, b]\n", "") == run("ls", "/")
    code, out, _ = run("ls", "-s", "/a")
    names = ["cZxid", "ctime", "mZxid", "mtime", "pZxid", "cversion", "dataVersion", "aclVersion", "ephemeralOwner",
             "dataLength", "numChildren"]  # fmt: skip
    assert 0 == code and ["[]", *names] == [line.partition(" = ")[0] for line in out.splitlines()]


@pytest.mark.real_zookeeper
def test_a_session(session: Callable[..., tuple[str, str]]) -> None:
    out, err = session(
        "create /a one", "get /a", "set /a 'two words'", "get /a", "create -s /a/n-", "ls -R /", "getAcl /a",
        "setAcl /a world:anyone:cdr", "getAcl /a", "delete /a", "sync /", "deleteall /a", "ls /", "create /null",
        "get /null", "getAllChildrenNumber /", "printwatches",
    )  # fmt: skip
    assert (
        "one\ntwo words\n/\n/a\n/a/n-0000000000\n'world,'anyone\n: cdrwa\n'world,'anyone\n: cdr\nSync is OK\n[]\n"
        "null\n1\nprintwatches is on\n"
    ) == out
    assert "Created /a\nCreated /a/n-0000000000\nNode not empty: /a\nCreated /null\n" == err


@pytest.mark.real_zookeeper
def test_stat_lines(session: Callable[..., tuple[str, str]]) -> None:
    out, _ = session("create /a x", "set -s /a yz", "stat /a")
    first, second = out[: len(out) // 2], out[len(out) // 2 :]
    assert first == second
    date = r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}"
    pattern = (
        rf"cZxid = 0x[0-9a-f]+\nctime = {date}\nmZxid = 0x[0-9a-f]+\nmtime = {date}\npZxid = 0x[0-9a-f]+\n"
        r"cversion = 0\ndataVersion = 1\naclVersion = 0\nephemeralOwner = 0x0\ndataLength = 2\nnumChildren = 0\n"
    )
    assert re.fullmatch(pattern, first), first


@pytest.mark.real_zookeeper
def test_watches(session: Callable[..., tuple[str, str]]) -> None:
    out, _ = session("create /a x", "get -w /a", "set /a y", "set /a z", "ls -w /", "delete /a", "quit")
    event = "\nWATCHER::\n\nWatchedEvent state:{} type:{} path:{}\n".format
    changed = event("SyncConnected", "NodeDataChanged", "/a")
    children = event("SyncConnected", "NodeChildrenChanged", "/")
    assert f"x\n{changed}[a]\n{children}{event('Closed', 'None', 'null')}" == out


@pytest.mark.real_zookeeper
def test_a_persistent_watch(session: Callable[..., tuple[str, str]]) -> None:
    out, err = session("addWatch /", "create /a x", "removewatches /", "removewatches /", "delete /a")
    assert "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:NodeCreated path:/a\n" == out
    assert "Created /a\nKeeperErrorCode = NoWatcher for /\n" == err


@pytest.mark.real_zookeeper
def test_identities(session: Callable[..., tuple[str, str]]) -> None:
    out, err = session("addauth digest me:secret", "create /a x auth::cdrwa", "getAcl /a", "getEphemerals", "whoami")
    assert "'digest,'me:" in out and ": cdrwa\n[]\nAuth scheme: User\n" in out and "digest: me\n" in out
    assert "Created /a\n" == err


@pytest.mark.real_zookeeper
def test_permissions(session: Callable[..., tuple[str, str]]) -> None:
    _, err = session("create /a x digest:me:hash:cdrwa", "get /a", "create /a/b", "create /c x nobody:x:r")
    assert "Created /a\nInsufficient permission : /a\nInsufficient permission : /a/b\nAcl is not valid : /c\n" == err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["ls", "/no"], 1, "Node does not exist: /no"),
        (["stat", "/no"], 1, "Node does not exist: /no"),
        (["create", "/a/b"], 1, "Node does not exist: /a/b"),
        (["delete", "-v", "5", "/"], 1, "version No is not valid : /"),
        (["set", "-v", "5", "/", "x"], 1, "version No is not valid : /"),
        (["set", "-v", "five", "/", "x"], 1, 'For input string: "five"'),
        (["ls", "no-slash"], 1, "Path must start with / character"),
        (["ls", "/a/"], 1, "Path must not end with / character"),
        (["ls", "//"], 1, "Path must not end with / character"),
        (["get", "/a/../b"], 1, 'Invalid path string "/a/../b"'),
        (["ls", "-x", "/"], 1, "Unrecognized option: -x"),
        (["delete", "/", "-v"], 1, "Missing argument for option: v"),
        (["get"], 1, "get [-s] [-w] path"),
        (["set", "/a"], 1, "set [-s] [-v version] path data"),
        (["create", "-c", "-e", "/a"], 1, "-c cannot be combined with -s or -e."),
    ],
)
def test_mistakes(run: Run, words: list[str], code: int, text: str) -> None:
    got, out, err = run(*words)
    assert (code, "") == (got, out) and err.startswith(text), err


def test_an_unknown_command_shows_what_there_is(run: Run) -> None:
    code, _, err = run("bogus")
    assert 127 == code and err.endswith("Command not found: Command not found bogus\n")
    assert "\tls [-s] [-w] [-R] path\n" in err


def test_history(session: Callable[..., tuple[str, str]]) -> None:
    out, err = session("create /a 1", "redo 0", "history", "redo 99")
    assert "0 - create /a 1\n1 - create /a 1\n2 - history\n" == out
    assert "Created /a\nNode already exists: /a\nCommand index out of range\n" == err


def test_containers_and_batches(session: Callable[..., tuple[str, str]], zk: KazooClient, path: str) -> None:
    out, _ = session("create -c /c x", "create /c/a", "create /c/b", "create /c/b/d", "deleteall -b 2 /c", "ls /")
    assert "[]\n" == out


def test_an_ephemeral_node_ends_with_the_shell(run: Run, zk: KazooClient, path: str) -> None:
    assert 0 == run("create", "-e", "/e", "x")[0]
    assert [] == zk.get_children(path)


def test_nobody_listens() -> None:
    port = free_port()
    code, out, err = shell(f"127.0.0.1:{port}", "ls", "/")
    assert (1, f"Connecting to 127.0.0.1:{port}\n") == (code, out)
    assert f"Cannot connect to 127.0.0.1:{port}: nobody listens at 127.0.0.1:{port}\n" == err


def test_no_address() -> None:
    assert (1, "USAGE: zookeeper-shell.sh zookeeper_host:port[/path] [args...]\n", "") == shell()


def test_a_bad_address() -> None:
    code, _, err = shell("127.0.0.1:x", "ls", "/")
    assert 1 == code and "not a port: 'x'" in err


def test_it_is_quick(run: Run) -> None:
    """Seconds of processor: the clock also counts what else this machine does."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    run("ls", "/")
    assert spent() - before < 0.4


def test_words_and_options() -> None:
    assert ["a", "b c", "d e", "f"] == split("  a 'b c' \"d e\" f ")
    parsed = parse_options(COMMANDS["set"], ["-s", "/a", "-v", "3", "-5"])
    assert (["/a", "-5"], {"s": "", "v": "3"}) == (parsed.words, parsed.options)
    assert ["-s"] == parse_options(COMMANDS["set"], ["--", "-s"]).words
    with pytest.raises(Refused):
        parse_options(COMMANDS["get"], ["-z"])


def test_help_and_what_is_no_server() -> None:
    for word in ("--help", "-h"):
        code, out, err = shell(word)
        assert (0, "") == (code, err)
        assert out.startswith("USAGE: zookeeper-shell.sh zookeeper_host:port[/path] [args...]\nWith a command")
    assert (1, "", "-server is no server\nUSAGE: zookeeper-shell.sh zookeeper_host:port[/path] [args...]\n") == shell(
        "-server"
    )


@pytest.mark.real_zookeeper
def test_a_chroot_that_is_not_there_is_told(server: ZooKeeper, path: str) -> None:
    code, _, err = shell(f"{server.connect}{path}/nowhere", "ls", "/")
    told = f"(there is no {path}/nowhere in this ZooKeeper, below which everything is looked for)"
    assert (1, f"Node does not exist: / {told}\n") == (code, err)
    code, _, err = shell(f"{server.connect}{path}", "ls", "/nowhere")
    assert (1, "Node does not exist: /nowhere\n") == (code, err)
