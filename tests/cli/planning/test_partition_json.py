"""The files in which commands are told partitions."""

import json

import pytest

from kafkalike.cli.planning import partition_json as lists


def listed(*entries: object, **more: object) -> str:
    return json.dumps({"version": 1, "partitions": list(entries)} | more)


def test_elections() -> None:
    text = listed({"topic": "b", "partition": 1}, {"topic": "a", "partition": 0})
    assert [("a", 0), ("b", 1)] == lists.elections(text)


def test_offsets() -> None:
    assert {("a", 0): 7} == lists.offsets(listed({"topic": "a", "partition": 0, "offset": 7}))


def test_topics() -> None:
    assert ["b", "a"] == lists.topics('{"topics": [{"topic": "b"}, {"topic": "a"}]}')


def test_a_reassignment_is_read_as_it_is_written() -> None:
    assignment = {("b", 0): [3], ("a", 10): [1, 2], ("a", 9): [2, 1]}
    text = lists.as_reassignment(assignment)
    assert text.startswith(
        '{"version":1,"partitions":[{"topic":"a","partition":9,"replicas":[2,1],"log_dirs":["any","any"]},'
    )
    targets, directories = lists.reassignment(text)
    assert (sorted(assignment.items()), {}) == (targets, directories)


def test_a_log_directory_may_be_named_for_a_replica() -> None:
    entry = {"topic": "a", "partition": 0, "replicas": [1, 2], "log_dirs": ["any", "/data"]}
    assert {("a", 0, 2): "/data"} == lists.reassignment(listed(entry))[1]


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (lists.elections, "bad", "Replica election data is empty"),
        (lists.elections, "{}", 'Replica election data is missing "partitions" field'),
        (
            lists.elections,
            listed({"topic": "a", "partition": 0}, {"topic": "a", "partition": 0}),
            "Replica election data contains duplicate partitions: [a-0]",
        ),
        (lists.elections, listed({"topic": "a"}), "No such field exists: `partition`"),
        (lists.elections, listed({"topic": 1, "partition": 0}), "Expected `String` value, received 1"),
        (lists.elections, listed({"topic": "a", "partition": True}), "Expected `Integer` value, received true"),
        (lists.elections, listed(1), "Expected JSON object, received 1"),
        (lists.elections, '{"partitions": 1}', "Expected JSON array, received 1"),
        (lists.offsets, "[]", "Expected JSON object, received []"),
        (lists.offsets, "bad", "The input string is not a valid JSON"),
        (lists.offsets, "{}", "Missing partitions field"),
        (lists.offsets, listed(version=2), "Not supported version field value 2"),
        (
            lists.offsets,
            listed(*2 * [{"topic": "a", "partition": 0, "offset": 7}]),
            "Offset json file contains duplicate topic partitions: a-0",
        ),
        (
            lists.topics,
            '{"topics": [{"topic": "b"}, {"topic": "b"}]}',
            "List of topics to reassign contains duplicate entries: [b]",
        ),
        (lists.reassignment, listed({"topic": "a", "partition": 0, "replicas": 1}), "Expected JSON array, received 1"),
        (
            lists.reassignment,
            listed({"topic": "a", "partition": 0, "replicas": [1], "log_dirs": []}),
            "Size of replicas list [1] is different from size of log dirs list [] for partition a-0",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_kafkas_words(read, text: str, said: str) -> None:
    with pytest.raises(ValueError) as problem:
        read(text)
    assert said == str(problem.value)
