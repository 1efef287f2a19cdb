"""The world that performs effects in the other tests does as ZooKeeper does."""

from kafkalike.controller.effects import (
    BAD_VERSION,
    NO_NODE,
    NODE_EXISTS,
    NOT_EMPTY,
    Children,
    CreateNode,
    DeleteNode,
    Read,
    SetNode,
    Steps,
    Write,
)
from tests.controller.world import World


def test_operations_of_one_write_are_independent() -> None:
    def steps() -> Steps[list[str | None]]:
        results = yield Write(
            [
                CreateNode("/a"),
                CreateNode("/a"),
                CreateNode("/b/c"),
                SetNode("/a", b"x", 0),
                SetNode("/a", b"y", 0),
                SetNode("/none", b"y"),
                CreateNode("/a/b"),
                DeleteNode("/a"),
                DeleteNode("/a/b"),
                DeleteNode("/a"),
                DeleteNode("/a"),
            ]
        )
        nodes = yield Read(["/a", "/config"])
        names = yield Children(["/none", "/admin"])
        assert nodes[0] is None and nodes[1].data is None
        assert [[], ["delete_topics"]] == names
        return [written.error for written in results]

    expected = [None, NODE_EXISTS, NO_NODE, None, BAD_VERSION, NO_NODE, None, NOT_EMPTY, None, None, NO_NODE]
    assert expected == World().perform(steps())
