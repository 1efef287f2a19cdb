"""Who hears of what."""

from __future__ import annotations

from zk.server.tree import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED
from zk.server.watches import Kind, Mode, Watches


def heard(watches: Watches, path: str, kind: int) -> list[int]:
    return list(watches.fire(path, kind))


def test_a_watch_is_used_up() -> None:
    w = Watches()
    w.data.add("/a", 1)
    assert [1] == heard(w, "/a", DATA_CHANGED)
    assert [] == heard(w, "/a", DATA_CHANGED)
    assert 0 == w.count()


def test_data_and_children_are_different_watches() -> None:
    w = Watches()
    w.data.add("/a", 1)
    w.child.add("/a", 2)
    assert [2] == heard(w, "/a", CHILDREN_CHANGED)
    assert [1] == heard(w, "/a", DATA_CHANGED)


def test_a_deletion_is_told_once() -> None:
    w = Watches()
    w.data.add("/a", 1)
    w.child.add("/a", 1)
    w.child.add("/a", 2)
    assert [1, 2] == heard(w, "/a", DELETED)
    assert 0 == w.count()


def test_a_persistent_watch_stays() -> None:
    w = Watches()
    w.add("/a", 1, Mode.PERSISTENT)
    for kind in (CREATED, DATA_CHANGED, CHILDREN_CHANGED, DELETED, CREATED):
        assert [1] == heard(w, "/a", kind)
    assert [] == heard(w, "/a/b", CREATED)


def test_a_recursive_watch_hears_of_everything_below_but_not_of_children() -> None:
    w = Watches()
    w.add("/a", 1, Mode.RECURSIVE)
    assert [1] == heard(w, "/a/b/c", CREATED)
    assert [1] == heard(w, "/a", DATA_CHANGED)
    assert [] == heard(w, "/a", CHILDREN_CHANGED)
    assert [] == heard(w, "/ab", CREATED)
    w.add("/", 2, Mode.RECURSIVE)
    assert [1, 2] == sorted(heard(w, "/a/b", DELETED))


def test_a_one_shot_watch_does_not_end_a_persistent_one() -> None:
    w = Watches()
    w.add("/a", 1, Mode.PERSISTENT)
    w.data.add("/a", 1)
    assert [1] == heard(w, "/a", DATA_CHANGED)
    assert [1] == heard(w, "/a", DATA_CHANGED)


def test_removal() -> None:
    w = Watches()
    w.data.add("/a", 1)
    w.child.add("/a", 1)
    assert w.contains("/a", 1, Kind.ANY) and not w.contains("/a", 2, Kind.ANY)
    assert w.remove("/a", 1, Kind.DATA)
    assert not w.remove("/a", 1, Kind.DATA)
    assert w.contains("/a", 1, Kind.CHILDREN) and not w.contains("/a", 1, Kind.DATA)
    assert w.remove("/a", 1, Kind.ANY)
    assert [] == heard(w, "/a", DELETED)


def test_a_recursive_watch_is_on_its_own_path_only() -> None:
    w = Watches()
    w.add("/a", 1, Mode.RECURSIVE)
    assert w.contains("/a", 1, Kind.DATA) and not w.contains("/a/b", 1, Kind.DATA)
    assert w.remove("/a", 1, Kind.ANY)
    assert [] == heard(w, "/a/b", CREATED)


def test_a_connection_takes_its_watches_along() -> None:
    w = Watches()
    for path in ("/a", "/b", "/c"):
        w.data.add(path, 1)
        w.add(path, 2, Mode.RECURSIVE)
    w.drop(1)
    assert [2] == heard(w, "/a", DATA_CHANGED)
    w.drop(2)
    w.drop(3)
    assert 0 == w.count() and {} == w.data.by_path and {} == w.child.by_path
