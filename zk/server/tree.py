"""The znodes: create, delete, set, check, their ACLs and stats, and taking a group of changes back.

Each change is checked in the order the real server checks, raises ZkError and then changes nothing; done, it appends
the watch events it causes to `events`, which the caller drains. Between begin() and commit() every change can be taken
back by rollback(): a multi. `ids` are the caller's identities, (scheme, id) pairs; None means a change that was
permitted when it was first made, and is now read from the journal.

A snapshot is exact although it is written in steps between other work: a node that changes before its turn is encoded
as it was when the snapshot began.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from zk.paths import check_path, parent_of
from zk.wire import (
    ADMIN,
    CREATE,
    DELETE,
    OPEN_ACL,
    READ,
    STAT,
    WRITE,
    Acl,
    Code,
    Marshalling,
    ZkError,
    buffer,
    read_acls,
    read_buffer,
    read_string,
    string,
)
from zk.wire import acls as acls_record

Ids = Sequence[tuple[str, str]]

CREATED, DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4

CONTAINER_OWNER = -(2**63)

# Paths that cannot be deleted.
SPECIAL = frozenset(["", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])


class Node:
    """One znode. `cversion` counts created children only; `kept` is the last snapshot that has this node's bytes."""

    __slots__ = (
        "acl", "aversion", "children", "ctime", "cversion", "czxid", "data", "kept", "mtime", "mzxid", "owner",
        "pzxid", "version",
    )  # fmt: skip

    def __init__(self, data: bytes | None, acl: tuple[Acl, ...], owner: int, zxid: int, now_ms: int) -> None:
        self.data = data
        self.acl = acl
        self.czxid = self.mzxid = self.pzxid = zxid
        self.ctime = self.mtime = now_ms
        self.version = self.cversion = self.aversion = 0
        self.owner = owner
        self.children: dict[str, None] | None = None
        self.kept = 0

    def stat(self) -> bytes:
        """The Stat record. Its cversion counts deletions too, so it is derived from creations and children left."""
        count = len(self.children) if self.children else 0
        data = self.data
        return STAT.pack(
            self.czxid, self.mzxid, self.ctime, self.mtime, self.version, self.cversion * 2 - count, self.aversion,
            0 if self.owner == CONTAINER_OWNER else self.owner, len(data) if data else 0, count, self.pzxid,
        )  # fmt: skip


def permit(node: Node, perms: int, ids: Ids | None) -> None:
    """NO_AUTH unless one of `ids` has one of `perms` on the node."""
    acl = node.acl
    if acl is OPEN_ACL or ids is None or permitted(acl, perms, ids):
        return
    raise ZkError(Code.NO_AUTH)


def permitted(acl: Sequence[Acl], perms: int, ids: Ids) -> bool:
    """Whether one of `ids` has one of `perms` by this list; an empty list permits all."""
    if not acl:
        return True
    for scheme, _ in ids:
        if scheme == "super":
            return True
    for entry in acl:
        if not entry.perms & perms:
            continue
        if entry.scheme == "world" and entry.id == "anyone":
            return True
        for scheme, ident in ids:
            if scheme == entry.scheme and (
                (scheme == "digest" and ident == entry.id) or (scheme == "ip" and _within(ident, entry.id))
            ):
                return True
    return False


def resolve_acl(entries: Sequence[Acl], ids: Ids) -> tuple[Acl, ...]:
    """The list as it is stored: no duplicates, "auth" replaced by the caller's identities; INVALID_ACL if unfit."""
    resolved: list[Acl] = []
    for entry in dict.fromkeys(entries):
        if entry.scheme == "auth":
            own = [Acl(entry.perms, scheme, ident) for scheme, ident in ids if scheme == "digest"]
            if not own:
                raise ZkError(Code.INVALID_ACL)
            resolved += own
        elif _is_identity(entry.scheme, entry.id):
            resolved.append(entry)
        else:
            raise ZkError(Code.INVALID_ACL)
    if not resolved:
        raise ZkError(Code.INVALID_ACL)
    return tuple(resolved)


def _is_identity(scheme: str, ident: str) -> bool:
    if scheme == "world":
        return ident == "anyone"
    if scheme == "digest":
        return ident.count(":") == 1 and not ident.endswith(":")
    return scheme == "ip" and _network(ident) is not None


def _within(address: str, network: str) -> bool:
    wanted, given = _network(network), _network(address)
    if wanted is None or given is None or wanted[1] != given[1]:
        return False
    shift = wanted[1] - wanted[2]
    return wanted[0] >> shift == given[0] >> shift


def _network(text: str) -> tuple[int, int, int] | None:
    """(address, its width in bits, bits that count) of address[/bits]."""
    import ipaddress  # late: it is rarely wanted

    address, slash, bits = text.partition("/")
    try:
        parsed = ipaddress.ip_address(address)
        count = int(bits) if slash else parsed.max_prefixlen
    except ValueError:
        return None
    return (int(parsed), parsed.max_prefixlen, count) if 0 <= count <= parsed.max_prefixlen else None


class Tree:
    """All znodes by path."""

    def __init__(self) -> None:
        root = Node(b"", OPEN_ACL, 0, 0, 0)
        self.nodes: dict[str, Node] = {"": root, "/": root}
        self.ephemerals: dict[int, dict[str, None]] = {}
        self.containers: dict[str, None] = {}
        self.events: list[tuple[int, str, tuple[Acl, ...]]] = []
        self.data_size = 0
        self._acls: dict[tuple[Acl, ...], tuple[Acl, ...]] = {OPEN_ACL: OPEN_ACL}
        self._undo: list[tuple[Any, ...]] | None = None
        self._snapshot = 0
        self._writing = False
        self._old: dict[str, bytes] = {}
        root.children = {"zookeeper": None}
        for path in ("/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
            self.nodes[path] = node = Node(b"", OPEN_ACL, 0, 0, 0)
        self.nodes["/zookeeper"].children = {"config": None, "quota": None}
        node.acl = (Acl(READ, "world", "anyone"),)
        node.aversion = -1

    def get(self, path: str) -> Node:
        """The node, or NO_NODE."""
        node = self.nodes.get(path)
        if node is None:
            raise ZkError(Code.NO_NODE)
        return node

    def read(self, path: str, ids: Ids | None, perms: int = READ) -> Node:
        """The node for one who may read it."""
        node = self.nodes.get(path)
        if node is None:
            raise ZkError(Code.NO_NODE)
        if node.acl is not OPEN_ACL:
            permit(node, perms, ids)
        return node

    def create(
        self,
        path: str,
        data: bytes | None,
        acl: Sequence[Acl],
        owner: int,
        sequential: bool,
        ids: Ids | None,
        zxid: int,
        now_ms: int,
    ) -> tuple[str, Node]:
        """A new node and its final path; `owner` is a session, 0, or CONTAINER_OWNER."""
        if "/" not in path or "\0" in path:
            raise ZkError(Code.BAD_ARGUMENTS)
        stored = resolve_acl(acl, ids) if ids is not None else tuple(acl)
        parent_path = parent_of(path)
        parent = self.get(parent_path)
        permit(parent, CREATE, ids)
        if sequential:
            path += f"{parent.cversion:010d}"
        check_path(path)
        if path in self.nodes:
            raise ZkError(Code.NODE_EXISTS)
        if parent.owner not in (0, CONTAINER_OWNER):
            raise ZkError(Code.NO_CHILDREN_FOR_EPHEMERALS)

        if self._undo is not None:
            self._undo.append((self._uncreate, path, parent.cversion, parent.pzxid))
        if self._writing:
            self._keep(parent_path, parent)
        parent.cversion += 1
        parent.pzxid = zxid
        node = Node(data, self._acls.setdefault(stored, stored), owner, zxid, now_ms)
        node.kept = self._snapshot
        self._link(path, node, parent)
        self.events.append((CREATED, path, node.acl))
        self.events.append((CHILDREN_CHANGED, parent_path or "/", parent.acl))
        return path, node

    def delete(self, path: str, version: int, ids: Ids | None, zxid: int) -> None:
        """Remove a node that has no children."""
        if "/" not in path or "\0" in path or path in SPECIAL:
            raise ZkError(Code.BAD_ARGUMENTS)
        parent_path = parent_of(path)
        parent = self.get(parent_path)
        permit(parent, DELETE, ids)
        node = self.get(path)
        if version not in (-1, node.version):
            raise ZkError(Code.BAD_VERSION)
        if node.children:
            raise ZkError(Code.NOT_EMPTY)

        if self._undo is not None:
            self._undo.append((self._undelete, path, node, parent.pzxid))
        if self._writing:
            self._keep(parent_path, parent)
            self._keep(path, node)
        parent.pzxid = zxid
        self._unlink(path, node, parent)
        self.events.append((DELETED, path, node.acl))
        self.events.append((CHILDREN_CHANGED, parent_path or "/", parent.acl))

    def set_data(self, path: str, data: bytes | None, version: int, ids: Ids | None, zxid: int, now_ms: int) -> Node:
        """Replace a node's data."""
        node = self.nodes.get(path)
        if node is None or not path:
            check_path(path)
            raise ZkError(Code.NO_NODE)
        if node.acl is not OPEN_ACL:
            permit(node, WRITE, ids)
        if version not in (-1, node.version):
            raise ZkError(Code.BAD_VERSION)

        old = node.data
        if self._undo is not None:
            self._undo.append((self._unset, node, old, node.version, node.mzxid, node.mtime))
        if self._writing:
            self._keep(path, node)
        self.data_size += (len(data) if data else 0) - (len(old) if old else 0)
        node.data = data
        node.version += 1
        node.mzxid = zxid
        node.mtime = now_ms
        self.events.append((DATA_CHANGED, path, node.acl))
        return node

    def set_acl(self, path: str, acl: Sequence[Acl], version: int, ids: Ids | None) -> Node:
        """Replace a node's ACL."""
        check_path(path)
        stored = resolve_acl(acl, ids) if ids is not None else tuple(acl)
        node = self.get(path)
        permit(node, ADMIN, ids)
        if version not in (-1, node.aversion):
            raise ZkError(Code.BAD_VERSION)
        if self._writing:
            self._keep(path, node)
        node.acl = self._acls.setdefault(stored, stored)
        node.aversion += 1
        return node

    def check(self, path: str, version: int, ids: Ids | None) -> None:
        """BAD_VERSION unless the node is at this version."""
        check_path(path)
        node = self.get(path)
        permit(node, READ, ids)
        if version not in (-1, node.version):
            raise ZkError(Code.BAD_VERSION)

    def idle_containers(self) -> list[str]:
        """Containers that had children and have none left."""
        nodes = self.nodes
        return [path for path in self.containers if nodes[path].cversion > 0 and not nodes[path].children]

    def descendants(self, path: str) -> int:
        """How many nodes are below this one."""
        if path == "/":
            return len(self.nodes) - 2
        below = path + "/"
        return sum(1 for other in self.nodes if other.startswith(below))

    # A multi.

    def begin(self) -> None:
        """Changes from here on can be taken back."""
        assert self._undo is None and not self.events, "a multi begins when everything before it is finished"
        self._undo = []

    def commit(self) -> None:
        """They stand."""
        assert self._undo is not None
        self._undo = None

    def rollback(self) -> None:
        """They never happened."""
        assert self._undo is not None
        undo, self._undo = self._undo, None
        for step in reversed(undo):
            step[0](*step[1:])
        self.events.clear()

    def _uncreate(self, path: str, cversion: int, pzxid: int) -> None:
        parent = self.nodes[parent_of(path)]
        self._unlink(path, self.nodes[path], parent)
        parent.cversion, parent.pzxid = cversion, pzxid

    def _undelete(self, path: str, node: Node, pzxid: int) -> None:
        parent = self.nodes[parent_of(path)]
        self._link(path, node, parent)
        parent.pzxid = pzxid

    def _unset(self, node: Node, data: bytes | None, version: int, mzxid: int, mtime: int) -> None:
        self.data_size += (len(data) if data else 0) - (len(node.data) if node.data else 0)
        node.data, node.version, node.mzxid, node.mtime = data, version, mzxid, mtime

    def _link(self, path: str, node: Node, parent: Node) -> None:
        name = path[path.rindex("/") + 1 :]
        if parent.children is None:
            parent.children = {name: None}
        else:
            parent.children[name] = None
        self.nodes[path] = node
        self.data_size += len(path) + (len(node.data) if node.data else 0)
        if node.owner == CONTAINER_OWNER:
            self.containers[path] = None
        elif node.owner:
            self.ephemerals.setdefault(node.owner, {})[path] = None

    def _unlink(self, path: str, node: Node, parent: Node) -> None:
        children = parent.children
        assert children is not None and not node.children, "a node is unlinked after its children, before its parent"
        del children[path[path.rindex("/") + 1 :]]
        if not children:
            parent.children = None
        del self.nodes[path]
        self.data_size -= len(path) + (len(node.data) if node.data else 0)
        if node.owner == CONTAINER_OWNER:
            del self.containers[path]
        elif node.owner:
            owned = self.ephemerals[node.owner]
            del owned[path]
            if not owned:
                del self.ephemerals[node.owner]

    # Snapshots.

    def snapshot(self) -> Iterator[bytes]:
        """The records of all nodes as they are at the first next(); the caller may change the tree between records."""
        assert not self._writing, "one snapshot at a time"
        self._snapshot += 1
        self._writing = True
        try:
            for path in list(self.nodes):
                if not path:
                    continue
                old = self._old.pop(path, None)
                if old is None:
                    node = self.nodes[path]
                    node.kept = self._snapshot
                    old = _encode(path, node)
                yield old
        finally:
            self._writing = False
            self._old.clear()

    def _keep(self, path: str, node: Node) -> None:
        if node.kept != self._snapshot:
            node.kept = self._snapshot
            self._old[path or "/"] = _encode(path or "/", node)

    def load(self, record: bytes) -> None:
        """One record of a snapshot; parents come before their children."""
        path, pos = read_string(record, 0)
        data, pos = read_buffer(record, pos)
        acl, pos = read_acls(record, pos)
        if len(record) - pos != STAT.size:
            raise Marshalling
        czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, _, _, pzxid = STAT.unpack_from(record, pos)
        known = self.nodes.get(path)
        stored = tuple(acl)
        node = known or Node(data, (), owner, czxid, ctime)
        node.data, node.acl = data, self._acls.setdefault(stored, stored)
        node.czxid, node.mzxid, node.ctime, node.mtime = czxid, mzxid, ctime, mtime
        node.version, node.cversion, node.aversion, node.pzxid = version, cversion, aversion, pzxid
        if known is None:
            self._link(path, node, self.get(parent_of(path)))


def _encode(path: str, node: Node) -> bytes:
    """A snapshot's record: path, data, ACL, and a Stat whose cversion counts created children only."""
    stat = STAT.pack(
        node.czxid, node.mzxid, node.ctime, node.mtime, node.version, node.cversion, node.aversion, node.owner, 0, 0,
        node.pzxid,
    )  # fmt: skip
    return string(path) + buffer(node.data) + acls_record(node.acl) + stat
