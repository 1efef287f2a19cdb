"""Paths of znodes: what they may hold, whether a string is one, the way from one to the root.

A request may hold any string, or none, for a path, and the server answers each of them: a path that names no znode is
looked up and not found, one that a change names is checked here. `check_path`, `parent_of` and `ancestors` take
whatever came and raise nothing but ZkError, so that no request can end the server. tests/zk/test_odd_paths.py has the
real server's answers.
"""

import re
from collections.abc import Iterator

from zk.wire import Code, Marshalling, ZkError

# The characters that ZooKeeper's PathUtils refuses, as a set of a regular expression: control characters, surrogates
# and private use, specials. Java counts what lies beyond U+FFFF as pairs of surrogates.
REFUSED_CHARACTERS = "\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff"

_ILLEGAL = re.compile(f"//|/\\.{{1,2}}(?:/|\\Z)|[{REFUSED_CHARACTERS}]")


def is_path(path: str) -> bool:
    """Whether `path` can name a znode."""
    return path[:1] == "/" and (path[-1] != "/" or path == "/") and not _ILLEGAL.search(path)


def check_path(path: str) -> None:
    """BAD_ARGUMENTS unless `path` can name a znode."""
    if not is_path(path):
        raise ZkError(Code.BAD_ARGUMENTS)


def parents(path: str) -> list[str]:
    """Every ancestor of a path below the root, the topmost first, and the path itself last."""
    names = path.strip("/").split("/")
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))] if names != [""] else []


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
