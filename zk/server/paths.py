"""Paths as requests give them: which can name a znode, and the way from one to the root.

A request may hold any string, or none, for a path, and the server answers each of them: a path that names no znode is
looked up and not found, one that a change names is checked here. These functions take whatever came and raise nothing
but ZkError, so that no request can end the server. tests/zk/test_odd_paths.py has the real server's answers.
"""

import re
from collections.abc import Iterator

from zk.server.wire import Code, Marshalling, ZkError

# What a path may not hold, as Java counts characters: those beyond U+FFFF are pairs of surrogates there.
_ILLEGAL = re.compile("//|/\\.{1,2}(?:/|\\Z)|[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]")


def check_path(path: str) -> None:
    """BAD_ARGUMENTS unless `path` can name a znode."""
    if path[:1] != "/" or (path[-1] == "/" and path != "/") or _ILLEGAL.search(path):
        raise ZkError(Code.BAD_ARGUMENTS)


def parent_of(path: str) -> str:
    """The parent's path, where the root's name is the empty path; the root and the empty path have themselves.

    Marshalling for a path without a slash: ZooKeeper's answer to what it cannot take apart.
    """
    slash = path.rfind("/")
    if slash < 0 and path:
        raise Marshalling
    return path[: max(slash, 0)]


def ancestors(path: str) -> Iterator[str]:
    """Every path above this one, the root last."""
    while path not in ("", "/"):
        path = parent_of(path) or "/"
        yield path
