"""The JSON files in which Kafka's commands are told partitions: what is in them, or why it cannot be used.

    {"version": 1, "partitions": [{"topic": "a", "partition": 0, "replicas": [1, 2], "log_dirs": ["any", "any"]}]}
    {"version": 1, "topics": [{"topic": "a"}, {"topic": "b"}]}

Elections need topic and partition, deletions of records an offset with them, reassignments the replicas. A missing
version is 1. Every complaint is a ValueError in Kafka's words.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kafkalike.client.cluster import Partition

Item = TypeVar("Item", bound=Hashable)

ANY = "any"  # the log directory that a broker chooses itself


def elections(text: str) -> list[Partition]:
    """Partitions to elect leaders for."""
    document = _parse(text, "Replica election data is empty")
    entries = _list(document, "partitions", 'Replica election data is missing "partitions" field')
    partitions = [_partition(entry) for entry in entries]
    twice = duplicates(partitions)
    if twice:
        raise ValueError(f"Replica election data contains duplicate partitions: [{', '.join(map(name, twice))}]")
    return sorted(partitions)


def offsets(text: str) -> dict[Partition, int]:
    """Partitions and the offsets before which their records are to go."""
    document = _parse(text, "The input string is not a valid JSON")
    _demand_version(document)
    entries = _list(document, "partitions", "Missing partitions field")
    found = [(_partition(entry), _integer(entry, "offset")) for entry in entries]
    twice = duplicates([partition for partition, _ in found])
    if twice:
        raise ValueError(f"Offset json file contains duplicate topic partitions: {','.join(map(name, twice))}")
    return dict(found)


def topics(text: str) -> list[str]:
    """Topics to move."""
    document = _parse(text, "The input string is not a valid JSON")
    _demand_version(document)
    found = [_text(entry, "topic") for entry in _list(document, "topics")]
    twice = duplicates(found)
    if twice:
        raise ValueError(f"List of topics to reassign contains duplicate entries: [{', '.join(twice)}]")
    return found


def reassignment(text: str) -> tuple[list[tuple[Partition, list[int]]], dict[tuple[str, int, int], str]]:
    """Partitions with their new replicas, in order; and directories that are named for (topic, partition, broker)."""
    document = _parse(text, None)
    _demand_version(document)
    targets: list[tuple[Partition, list[int]]] = []
    directories: dict[tuple[str, int, int], str] = {}
    for entry in _list(document, "partitions"):
        partition = _partition(entry)
        replicas = _values(entry, "replicas", int)
        named = _values(entry, "log_dirs", str) if "log_dirs" in entry else [ANY] * len(replicas)
        if len(named) != len(replicas):
            raise ValueError(
                f"Size of replicas list [{', '.join(map(str, replicas))}] is different from size of log dirs list "
                f"[{', '.join(named)}] for partition {name(partition)}"
            )
        targets.append((partition, replicas))
        directories.update(
            ((*partition, broker), path) for broker, path in zip(replicas, named, strict=True) if path != ANY
        )
    return targets, directories


def as_reassignment(assignment: Mapping[Partition, Sequence[int]]) -> str:
    """An assignment as such a file."""
    partitions = [
        {"topic": topic, "partition": index, "replicas": list(replicas), "log_dirs": [ANY] * len(replicas)}
        for (topic, index), replicas in sorted(assignment.items())
    ]
    return json.dumps({"version": 1, "partitions": partitions}, separators=(",", ":"), ensure_ascii=False)


def name(partition: Partition) -> str:
    """topic-0."""
    return f"{partition[0]}-{partition[1]}"


def duplicates(items: Iterable[Item]) -> list[Item]:
    """The items that occur more than once."""
    seen: set[Item] = set()
    twice: dict[Item, None] = {}
    for item in items:
        if item in seen:
            twice[item] = None
        seen.add(item)
    return list(twice)


def _parse(text: str, complaint: str | None) -> dict[str, Any]:
    """The object that `text` is. Without a complaint of its own the parser's is told."""
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise ValueError(complaint or str(problem)) from problem
    if not isinstance(document, dict):
        raise ValueError(f"Expected JSON object, received {json.dumps(document)}")
    return document


def _demand_version(document: Mapping[str, Any]) -> None:
    version = _integer(document, "version") if "version" in document else 1
    if version != 1:
        raise ValueError(f"Not supported version field value {version}")


def _list(document: Mapping[str, Any], field: str, missing: str | None = None) -> list[dict[str, Any]]:
    if field not in document:
        if missing:
            raise ValueError(missing)
        return []
    entries = document[field]
    if not isinstance(entries, list):
        raise ValueError(f"Expected JSON array, received {json.dumps(entries)}")
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError(f"Expected JSON object, received {json.dumps(entry)}")
    return entries


def _partition(entry: Mapping[str, Any]) -> Partition:
    return _text(entry, "topic"), _integer(entry, "partition")


def _text(entry: Mapping[str, Any], field: str) -> str:
    value = _field(entry, field)
    if not isinstance(value, str):
        raise ValueError(f"Expected `String` value, received {json.dumps(value)}")
    return value


def _integer(entry: Mapping[str, Any], field: str) -> int:
    value = _field(entry, field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"Expected `Integer` value, received {json.dumps(value)}")
    return value


def _values(entry: Mapping[str, Any], field: str, kind: type) -> list[Any]:
    values = _field(entry, field)
    if not isinstance(values, list):
        raise ValueError(f"Expected JSON array, received {json.dumps(values)}")
    read = _integer if kind is int else _text
    return [read({field: value}, field) for value in values]


def _field(entry: Mapping[str, Any], field: str) -> Any:
    if field not in entry:
        raise ValueError(f"No such field exists: `{field}`")
    return entry[field]
