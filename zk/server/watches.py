"""Who wants to hear of which path: one-shot, persistent and recursive watches on data and on children.

A watcher is a connection's number. There are two tables, as in ZooKeeper: `data` hears of creation, deletion and
change of a node, `child` of changes among its children and of its own deletion. A deletion that concerns a watcher by
both tables is told once. Watches end with their connection; the client sets them again on the next one.
"""

from enum import IntEnum, IntFlag

from zk.paths import ancestors, parent_of
from zk.server.tree import CHILDREN_CHANGED, DELETED


class Mode(IntFlag):
    """How long and how far a watch reaches; one watcher may have several on the same path."""

    ONE_SHOT = 1
    PERSISTENT = 2
    RECURSIVE = 4


class Kind(IntEnum):
    """Which watches a client removes or asks for."""

    CHILDREN = 1
    DATA = 2
    ANY = 3


class Table:
    """Watches of one kind: path -> watcher -> modes."""

    def __init__(self) -> None:
        self.by_path: dict[str, dict[int, int]] = {}
        self.by_watcher: dict[int, dict[str, None]] = {}
        self._recursive = 0

    def add(self, path: str, watcher: int, mode: int = Mode.ONE_SHOT) -> None:
        """`watcher` hears of `path`."""
        watchers = self.by_path.setdefault(path, {})
        modes = watchers.get(watcher, 0)
        if mode == Mode.RECURSIVE and not modes & Mode.RECURSIVE:
            self._recursive += 1
        watchers[watcher] = modes | mode
        self.by_watcher.setdefault(watcher, {})[path] = None

    def remove(self, path: str, watcher: int) -> bool:
        """It no longer does; False when it never did."""
        modes = self.by_path.get(path, {}).get(watcher)
        if modes is None:
            return False
        self._set(path, watcher, 0)
        return True

    def drop(self, watcher: int) -> None:
        """The connection is gone."""
        for path in list(self.by_watcher.get(watcher, ())):
            self._set(path, watcher, 0)

    def contains(self, path: str, watcher: int) -> bool:
        """Whether the watcher has a watch on this very path; Marshalling for what cannot be a path."""
        if watcher in self.by_path.get(path, ()):
            return True
        parent_of(path)  # ZooKeeper takes one step towards the root; a recursive watch from above does not count
        return False

    def fire(self, path: str, kind: int) -> dict[int, None]:
        """Those who hear of this event; their one-shot watches are used up."""
        heard: dict[int, None] = {}
        watchers = self.by_path.get(path)
        if watchers:
            for watcher, modes in list(watchers.items()):
                if modes & (Mode.ONE_SHOT | Mode.PERSISTENT) or kind != CHILDREN_CHANGED:
                    heard[watcher] = None
                if modes & Mode.ONE_SHOT:
                    self._set(path, watcher, modes & ~Mode.ONE_SHOT)
        if self._recursive and kind != CHILDREN_CHANGED:
            for above in ancestors(path):
                for watcher, modes in self.by_path.get(above, {}).items():
                    if modes & Mode.RECURSIVE:
                        heard[watcher] = None
        return heard

    def _set(self, path: str, watcher: int, modes: int) -> None:
        watchers = self.by_path[path]
        if watchers[watcher] & Mode.RECURSIVE and not modes & Mode.RECURSIVE:
            self._recursive -= 1
        if modes:
            watchers[watcher] = modes
            return
        del watchers[watcher]
        if not watchers:
            del self.by_path[path]
        paths = self.by_watcher[watcher]
        del paths[path]
        if not paths:
            del self.by_watcher[watcher]


class Watches:
    """Both tables."""

    def __init__(self) -> None:
        self.data = Table()
        self.child = Table()

    def add(self, path: str, watcher: int, mode: Mode) -> None:
        """A persistent or recursive watch, which is on both tables."""
        self.data.add(path, watcher, mode)
        self.child.add(path, watcher, mode)

    def remove(self, path: str, watcher: int, kind: Kind) -> bool:
        """Whether there was one to remove."""
        child = kind != Kind.DATA and self.child.remove(path, watcher)
        data = kind != Kind.CHILDREN and self.data.remove(path, watcher)
        return child or data

    def contains(self, path: str, watcher: int, kind: Kind) -> bool:
        """Whether the watcher has a watch of this kind."""
        return (kind != Kind.DATA and self.child.contains(path, watcher)) or (
            kind != Kind.CHILDREN and self.data.contains(path, watcher)
        )

    def drop(self, watcher: int) -> None:
        """The connection is gone."""
        self.data.drop(watcher)
        self.child.drop(watcher)

    def fire(self, path: str, kind: int) -> dict[int, None]:
        """Those who hear of an event, in the order in which they set their watches."""
        if kind == CHILDREN_CHANGED:
            return self.child.fire(path, kind)
        heard = self.data.fire(path, kind)
        if kind == DELETED:
            heard.update(self.child.fire(path, kind))
        return heard

    def count(self) -> int:
        """Watches in all."""
        return sum(len(paths) for table in (self.data, self.child) for paths in table.by_watcher.values())
