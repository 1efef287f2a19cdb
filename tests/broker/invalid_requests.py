"""Requests that make no sense, of every API: the table, and how an answer is written down.

A row is one API, one version, one field and a value that it should not have: a name that is there twice, empty,
illegal, null or not UTF-8, a number that means nothing, a list that is null or empty. The rows are made from the fields
of a sensible request, so that none is forgotten; `VALUES` has what is tried where a field has a meaning of its own.

What Apache Kafka 3.9.1 answers in ZooKeeper mode stands in invalid_requests/, a file for each API, which
`python -m tests.broker.invalid_requests [API ...]` records anew.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from kafkalike.errors import Error
from kafkalike.protocol import framing
from kafkalike.protocol.compiler import compile_writer
from kafkalike.protocol.fields import Field
from kafkalike.protocol.messages import (
    api_versions,
    create_topics,
    find_coordinator,
    init_producer_id,
    join_group,
    metadata,
    offset_commit,
    produce,
)
from kafkalike.protocol.schema import Struct
from tests.broker.raw_client import Connection
from tests.broker.valid_requests import BASES, GROUP, NOBODY, READ, RECORDS, WRITE, World, module
from tests.servers import ApacheBroker, Broker, EmbeddedZooKeeper, Kafka, wait_until

RECORDED = Path(__file__).with_suffix("")
# Besides the oldest, the first flexible and the newest version of each API, those where a field changes its meaning.
# Produce and Fetch begin where the message format that we have does.
MORE_VERSIONS = {
    "create_topics": (1, 4),
    "delete_topics": (3,),
    "fetch": (4, 7, 13),
    "find_coordinator": (1, 4),
    "join_group": (4, 5),
    "list_offsets": (1, 4),
    "metadata": (1, 4, 8),
    "offset_commit": (1, 2, 7),
    "offset_fetch": (1, 2, 7, 8),
    "produce": (3, 7),
    "sync_group": (3,),
}
SINCE = {
    "delete_topics by id": 6,
    "fetch": 4,
    "fetch in a session": 7,
    "metadata by id": 12,
    "offset_commit of a member": 1,
    "produce": 3,
}


def versions(api: str) -> list[int]:
    """The versions of an API that have rows."""
    messages = module(api)
    first, last = max(messages.VERSIONS[0], SINCE.get(api, 0)), messages.VERSIONS[1]
    chosen = {first, last, *MORE_VERSIONS.get(api, ())}
    return sorted(chosen | {messages.FLEXIBLE} if first <= messages.FLEXIBLE <= last else chosen)


# What is tried.


class Raw(str):
    """A string whose bytes are not UTF-8."""

    raw: bytes

    def encode(self, *_: Any) -> bytes:
        return self.raw


def not_utf8(raw: bytes) -> str:
    """The string that these bytes are."""
    text = Raw(raw.decode("latin-1"))
    text.raw = raw
    return text


LIMITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
# OWN stands for a name that no other row has.
TEXTS = ["", "OWN/a b", "OWN" + "x" * 250, not_utf8(b"OWN-caf\xe9")]
NAMES = [*TEXTS, ".", "nowhere", not_utf8(b"\xed\xa0\x80\xe2\x82x\xff\xfe")]  # of topics
RESOURCES = (-1, 0, 1, 3, 4, 5, 8, 16, 32, 99)
VALUES: dict[str, tuple[Any, ...]] = {
    "acks": (-2, 0, 1, 2, 32767),
    "config_operation": (-1, 1, 2, 3, 4, 99),
    "election_type": (-1, 1, 2, 99),
    "endpoint_type": (-1, 0, 2, 3, 99),
    "isolation_level": (-1, 1, 2, 99),
    "key_type": (-1, 1, 2, 3, 99),
    "leader_recovery_state": (-1, 1, 2),
    "operation": (-1, 0, 1, 2, 14, 15, 99),
    "pattern_type_filter": (-1, 0, 1, 2, 4, 5, 99),
    "permission_type": (-1, 0, 1, 2, 4, 99),
    "resource_type": RESOURCES,
    "resource_type_filter": (-1, 0, 1, 3, 4, 5, 6, 7, 99),
    "states_filter": (["Nonsense"], ["", "empty"]),
    "timestamp": (-1, -2, -3, -4, -5, -6, -7, -(2**63), 0, 2**63 - 1),
    "types_filter": (["nonsense"], ["", "Classic"]),
    "upgrade_type": (-1, 0, 2, 3, 4),
}
# Not tried: (API or "*", field): numbers of our fixture's own, of other tests (test_bad_control.py), or that would take
# Apache's broker along: an assignment of 2,147,483,647 partitions does not fit into its memory.
TOO_LARGE = {("create_topics", "num_partitions"), ("create_partitions", "count")}
# A controller's orders are only tried below the epoch of the last one.
ORDERS = ("leader_and_isr", "stop_replica", "update_metadata")
# Waits as long as it says.
PATIENT = {("fetch", "max_wait_ms"), ("fetch", "min_bytes")}


def tried(api: str, field: Field, version: int, value: Any) -> Iterator[tuple[str, Any]]:
    """(words, value) for each value of one field."""
    if field.many:
        if not field.nullable_in(version) or value is not None:
            yield "null", None
        if value:
            yield "empty", []
            yield "named twice", [value[0], value[0], *value[1:]]
        for other in VALUES.get(field.name, ()):
            yield json.dumps(other), other
        if not field.is_struct and field.of.form:
            for number in (-1, -2, NOBODY, 2**31 - 1):
                yield json.dumps([number]), [number]
    elif field.is_struct or field.of.name in ("boolean", "uuid", "records"):
        return
    elif field.of.name == "binary":
        yield "null", None
        yield "empty", b""
    elif field.of.name == "string":
        if value is not None:
            yield "null", None
        for text in NAMES if field.name in ("name", "topic", "topic_names", "resource_name") else TEXTS:
            if text == "nowhere" and (api.startswith("create_topics") or (api == "metadata" and version < 4)):
                continue  # Metadata would create the topic.
            yield f"{text.raw!r}" if isinstance(text, Raw) else json.dumps(text.replace("x" * 250, "x...x")), text
    else:
        bits = LIMITS[field.of.name]
        numbers = VALUES.get(field.name, (-(2**bits), -2, -1, 0, 2**bits - 1))
        for number in numbers:
            if (
                number == value
                or api in ORDERS
                or (number > 1 and (api.partition(" ")[0], field.name) in TOO_LARGE | PATIENT)
            ):
                continue
            if api == "controlled_shutdown" and number == 0:
                continue  # The broker would do it.
            yield str(number), number


class Row(NamedTuple):
    """One request: `api` is its use in valid_requests.py, `what` names the field and its value, `change` sets it."""

    api: str
    version: int
    what: str
    change: Callable[[Any, World], None]

    @property
    def key(self) -> tuple[str, int, str]:
        return self.api, self.version, self.what

    def request(self, world: World) -> Any:
        made = module(self.api).Request(**BASES[self.api](world))
        _prune(made, self.version)
        self.change(made, world)
        return made


def rows(api: str) -> list[Row]:
    """The rows of one API."""
    made = []
    for version in versions(api):
        request = module(api).Request(**BASES[api](World("x")))
        _prune(request, version)
        made.append(Row(api, version, "as it should be", lambda request, world: None))
        for path in _paths(request, version):
            holder = _holder(request, path)
            field = next(field for field in holder.fields if field.name == path[-1])
            for words, value in tried(api, field, version, getattr(holder, field.name)):
                what = f"{'.'.join(path)} {words}"
                made.append(Row(api, version, what, functools.partial(_set, path, value)))
    return made


def _set(path: tuple[str, ...], value: Any, request: Any, world: World) -> None:
    if isinstance(value, Raw):
        value = not_utf8(value.raw.replace(b"OWN", world.own.encode()))
    elif isinstance(value, str):
        value = value.replace("OWN", world.own)
    holder = _holder(request, path)
    now = getattr(holder, path[-1])
    if isinstance(value, list) and len(value) > 1 and isinstance(now, list) and now:
        value = [now[0], *now] if isinstance(now[0], Struct) or value[0] == value[1] else value
    setattr(holder, path[-1], value)


def _holder(request: Any, path: tuple[str, ...]) -> Any:
    for name in path[:-1]:
        request = getattr(request, name)
        request = request[0] if isinstance(request, list) else request
    return request


def _paths(holder: Any, version: int, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the fields are that this version has; of lists the first element's."""
    for field in holder.fields:
        if not field.exists_in(version):
            continue
        yield (*before, field.name)
        value = getattr(holder, field.name)
        if field.is_struct and value:
            yield from _paths(value[0] if field.many else value, version, (*before, field.name))


def _prune(holder: Any, version: int) -> None:
    """Defaults where the version has no field."""
    blank = type(holder)()
    for field in holder.fields:
        if not field.exists_in(version):
            setattr(holder, field.name, getattr(blank, field.name))
            continue
        value = getattr(holder, field.name)
        if field.is_struct and value:
            for each in value if field.many else [value]:
                _prune(each, version)


@functools.cache
def _writer(message: Any, version: int) -> Callable[[Any, list[int]], list[Any]]:
    """Writes null where none is allowed, too."""
    nullable = lambda field, _: field.many or not field.is_struct  # noqa: E731
    with mock.patch.object(Field, "nullable_in", nullable):
        return compile_writer(message, version)


def encoded(row: Row, request: Any) -> bytes:
    """The frame."""
    api = module(row.api)
    header = framing.request_header(api.API_KEY, row.version, 7, "senseless")
    return header + b"".join(_writer(type(request), row.version)(request, []))


# What is answered, as one line.

# These values depend on the machine or the moment, and are not compared.
VARYING = {
    *("api_keys", "brokers", "cluster_id", "host", "log_dir", "node_endpoints", "node_id", "port", "throttle_time_ms"),
    *("cluster_authorized_operations", "finalized_features_epoch", "log_append_time_ms", "aborted_transactions"),
    *("partition_size", "total_bytes", "usable_bytes"),
}
GIVEN = frozenset(("base_offset", "producer_id", "producer_id_start", "session_id"))  # any that is one
# The sentences that Kafka has for an error when it has nothing to say about the case; ours are in errors.py.
KAFKAS_DEFAULTS = (
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
    "incompatible broker. See the broker logs for more details.",
    "Leader election not needed for topic partition.",
    "No partition reassignment is in progress.",
)


def shown(row: Row, world: World, answer: Any) -> str:
    """An answer: the fields that differ from their defaults, lists in the order of their words."""
    return ", ".join(_fields(answer, row, world))


def _fields(value: Any, row: Row, world: World) -> list[str]:
    blank = type(value)()
    words = []
    for field in value.fields:
        it = getattr(value, field.name)
        if field.name in VARYING or it == getattr(blank, field.name) or not field.exists_in(row.version):
            continue
        if field.name in GIVEN and it >= 0:
            continue
        if field.name == "error_message" and (not it or it in (Error(value.error_code).message, *KAFKAS_DEFAULTS)):
            continue
        words.append(f"{field.name}={_value(field.name, it, row, world)}")
    return words


def _value(name: str, it: Any, row: Row, world: World) -> str:
    if isinstance(it, list):
        if row.api.startswith("create_topics") and name == "configs":
            return "[...]"
        ours = it
        if row.api == "list_groups" or row.what in ("topics null", "topics empty"):
            ours = [each for each in it if _everybodys(each)]
        texts = [_value(name, each, row, world) for each in ours]
        return f"[{', '.join(sorted(texts) if len(texts) < 9 else ['...'])}]"
    if isinstance(it, Struct):
        return f"({', '.join(_fields(it, row, world))})"
    if name.endswith("error_code"):
        return Error(it).name
    if name == "topic_id":
        return "any" if any(it) else "zero"
    if isinstance(it, (bytes, memoryview)):
        return "any" if name == "records" else repr(bytes(it))
    if isinstance(it, str):
        it = re.sub(r"(?:ArrayBuffer|Set)\((.*?)\)", lambda scala: scala[1].replace(", ", ","), it)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", it.replace(world.own, "OWN"))
        return json.dumps(text.replace("x" * 250, "x...x"))
    return str(it)


def _everybodys(each: Any) -> bool:
    """Whether a topic or group in a list of all is there for every row, and not made by another."""
    names = [getattr(each, name) for name in ("name", "topic", "group_id") if hasattr(each, name)]
    return not names or names[0] in (READ, WRITE, GROUP)


# Asking.


class Live(World):
    """What the requests name, there at a broker."""

    def __init__(self, kafka: Kafka, case: str) -> None:
        super().__init__(case)
        self.kafka = kafka
        self._made: Any = None
        self._joined: tuple[str, int] | None = None

    def topic(self, records: int = 0) -> str:
        if self._made is None:
            self._made = _create(self.kafka, self.own, 1)
            if records:
                _fill(self.kafka, self.own)
        return self.own

    def topic_id(self, name: str) -> bytes:
        return bytes(_described(self.kafka, name).topic_id)

    def member(self) -> tuple[str, int]:
        if self._joined is None:
            request = join_group.Request(**BASES["join_group"](self))
            request.session_timeout_ms = 30_000
            answer = _ask(self.kafka, join_group, request, 2)
            assert Error.NONE == answer.error_code, answer
            self._joined = answer.member_id, answer.generation_id
        return self._joined


def _ask(kafka: Kafka, api: Any, request: Any, version: int) -> Any:
    with Connection(kafka.broker.port) as connection:
        return connection.ask(api, request, version)


def _described(kafka: Kafka, name: str) -> Any:
    asked = metadata.Request(topics=[metadata.MetadataRequestTopic(name=name)], allow_auto_topic_creation=False)
    return _ask(kafka, metadata, asked, 12).topics[0]


def _create(kafka: Kafka, name: str, partitions: int) -> bool:
    # Records of 1970 stay, and retention is the same wherever it is asked for.
    configs = [create_topics.CreatableTopicConfig(name="retention.ms", value="-1")]
    topic = create_topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=configs)
    answer = _ask(kafka, create_topics, create_topics.Request(topics=[topic], timeout_ms=30_000), 4).topics[0]
    assert answer.error_code in (Error.NONE, Error.TOPIC_ALREADY_EXISTS), answer

    def led() -> bool:
        found = _described(kafka, name).partitions
        return len(found) == partitions and all(p.leader_id >= 0 and not p.error_code for p in found)

    wait_until(led, what=f"leaders for {name}")
    return answer.error_code == Error.NONE


def _fill(kafka: Kafka, name: str) -> None:
    data = [produce.PartitionProduceData(records=RECORDS)]
    topics = [produce.TopicProduceData(name=name, partition_data=data)]
    answer = _ask(kafka, produce, produce.Request(acks=-1, timeout_ms=5000, topic_data=topics), 7)
    assert Error.NONE == answer.responses[0].partition_responses[0].error_code, answer


def prepare(kafka: Kafka) -> None:
    """Makes what all rows name."""
    if _create(kafka, READ, 2):
        _fill(kafka, READ)
    _create(kafka, WRITE, 2)
    offsets = [offset_commit.OffsetCommitRequestPartition(committed_offset=2, committed_metadata="m")]
    topics = [offset_commit.OffsetCommitRequestTopic(name=READ, partitions=offsets)]

    def committed(group: str) -> bool:
        found = _ask(kafka, find_coordinator, find_coordinator.Request(key=group), 1)
        request = offset_commit.Request(group_id=group, topics=topics)
        answers = [_ask(kafka, offset_commit, request, version) for version in ((0, 7) if group else (7,))]
        return not found.error_code and all(not each.topics[0].partitions[0].error_code for each in answers)

    for group in (GROUP, ""):
        wait_until(functools.partial(committed, group), what="the coordinator")
    ids = init_producer_id.Request(transactional_id=None)
    wait_until(lambda: not _ask(kafka, init_producer_id, ids, 0).error_code, what="producer ids")


def outcome(kafka: Kafka, row: Row) -> str:
    """What the broker answers to a row."""
    world = Live(kafka, uuid.uuid4().hex)
    frame = encoded(row, row.request(world))
    api = module(row.api)
    with Connection(kafka.broker.port) as connection:
        connection.send_frame(frame)
        # A broker that does not answer at all is noticed when it answers the next request.
        connection.send_frame(framing.request_header(api_versions.API_KEY, 0, 8, None))
        try:
            answer = connection.receive_frame()
        except ConnectionError:
            return "closed"
        except TimeoutError:
            return "silence"
        correlation_id, pos = framing.read_response_header(answer, api.API_KEY, row.version)
        if correlation_id == 8:
            return "no answer"
        text = shown(row, world, api.Response.decode(row.version, answer, pos))
        try:
            connection.receive_frame()
        except ConnectionError:
            return f"{text}; closed"
        return text


# Where we differ on purpose: (API, rows as a regular expression, why). What we answer instead is recorded, too.
NO_TRANSACTIONS = "Transactions are not served yet."
PATHS = "Kafka stumbles over a path that ZooKeeper does not take; a topic that cannot be is one that is not there."
GROUP_PATHS = "Kafka stumbles over a path that ZooKeeper does not take; ours are escaped."
DIFFERENT = [
    ("alter_configs", "resources named twice", "Kafka never answers."),
    ("controlled_shutdown", ".*", "Kafka stumbles over a broker that it does not know: 8 in old versions, else -1."),
    ("create_partitions", "topics.count -2147483648", "Kafka's subtraction overflows."),
    ("create_partitions", "topics.name .*", PATHS),
    ("create_topics", "topics.assignments.partition_index -.*", "Kafka stumbles; 39 as for any other that is missing."),
    ("create_topics", "topics.assignments.broker_ids .*", "Kafka makes a partition that can never be led."),
    ("delete_topics", "topics.name null", "Kafka hides that there is no topic with an id of zeros."),
    ("fetch", "replica_state.replica_id .*", "The hint would name the broker that was asked."),
    ("fetch", "session_id .*", "No session is asked for; Kafka stumbles over an id that none of its caches has."),
    ("find_coordinator", "key_type 1", NO_TRANSACTIONS),
    ("incremental_alter_configs", "resources.resource_name .*", PATHS),
    ("init_producer_id", "transactional_id .*", NO_TRANSACTIONS),
    ("join_group", "protocols named twice", "Kafka never answers."),
    ("leader_and_isr", ".*", "What is refused as a whole is not refused for each partition again."),
    ("offset_commit", "group_id .*", GROUP_PATHS),
    ("offset_commit", ".* named twice", "Kafka answers twice in version 0, and once in the others."),
    ("offset_fetch", "group_id .*", GROUP_PATHS),
    ("offset_fetch", "groups empty", "Kafka never answers."),
    ("produce", "transactional_id .*", NO_TRANSACTIONS),
    ("produce", ".* named twice", "Kafka loses, without a word, the records that were named first; we append both."),
    ("produce", "topic_data.partition_data empty", "A topic without partitions is answered without."),
]  # fmt: skip


def why_different(row: Row) -> str | None:
    """Why we answer something else than Kafka, if we do."""
    return next(
        (why for api, rows, why in DIFFERENT if api == row.api.partition(" ")[0] and re.fullmatch(rows, row.what)), None
    )


# A file: {"apache" or "kafkalike": {use: {what: {outcome: versions}}}}; of ours only what differs.


def recorded(kind: str) -> dict[tuple[str, int, str], str]:
    """Outcome by use of an API, version and words."""
    return {
        (use, version, what): text
        for file in sorted(RECORDED.glob("*.json"))
        for use, by_what in json.loads(file.read_text()).get(kind, {}).items()
        for what, outcomes in by_what.items()
        for text, versions in outcomes.items()
        for version in versions
    }


def record(api: str, by_kind: dict[str, dict[tuple[str, int, str], str]]) -> None:
    """Writes the file of one API."""
    whole: dict[str, Any] = {}
    for kind, outcomes in by_kind.items():
        for (use, version, what), text in outcomes.items():
            if use.partition(" ")[0] == api:
                by_what = whole.setdefault(kind, {}).setdefault(use, {})
                by_what.setdefault(what, {}).setdefault(text, []).append(version)
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False)
    short = re.sub(r"\[([\d,\s]+)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    (RECORDED / f"{api}.json").write_text(short + "\n")


def main(*apis: str) -> None:
    """Records what both answer now, about these APIs or all."""
    uses = [use for use in BASES if not apis or use.partition(" ")[0] in apis]
    found: dict[str, dict[tuple[str, int, str], str]] = {}
    for kind, broker_of in (("apache", ApacheBroker), ("kafkalike", Broker)):
        with (
            tempfile.TemporaryDirectory() as home,
            EmbeddedZooKeeper(Path(home) / "zookeeper") as zookeeper,
            broker_of(Path(home) / "broker", zookeeper.connect) as broker,
        ):
            kafka = Kafka(broker, zookeeper)
            prepare(kafka)
            found[kind] = {row.key: outcome(kafka, row) for use in uses for row in rows(use)}
    theirs, ours = found["apache"], found["kafkalike"]
    different = {row.key for use in uses for row in rows(use) if why_different(row)}
    found["kafkalike"] = {key: text for key, text in ours.items() if key in different and text != theirs[key]}
    for api in {use.partition(" ")[0] for use in uses}:
        record(api, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
