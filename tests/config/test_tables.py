"""Each key has Apache Kafka's validator, or stands in a table here with the reason why not; and each has a reader, or
says in its line why it has none. Of classes and passwords every text is taken: none is loaded or used."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import pytest

from kafkalike.config import BROKER, DYNAMIC_ONLY, TOPIC, ConfigException, broker_config, check_topic
from kafkalike.config.keys import Key
from kafkalike.storage.config import LogConfig
from tests.oracle import config_golden as golden

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = {"zookeeper.connect": "localhost:2181"}

# Keys whose values are refused or taken where Apache does the reverse.
ON_PURPOSE = {
    "authorizer.class.name": "no access control is built, and a broker without the one that was asked for lets all in",
    "controller.quorum.bootstrap.servers": "read by KRaft only",
    "controller.quorum.voters": "read by KRaft only",
    "group.consumer.assignors": "no class is loaded by its name",
    "replica.selector.class": "no class is loaded by its name",
    "zookeeper.connect": "Apache starts with an empty one, and fails then",
}
# Keys that are refused for the same values in other words than Apache's.
OTHER_WORDS = {
    "listener.security.protocol.map": "Apache prints what Java's substring() said",
    "log.cleaner.threads": "Apache prints that it divided by zero",
    "max.connections.per.ip.overrides": "Apache prints what Java's substring() and Integer.parseInt() said",
    "node.id": "Apache names broker.id, which has the same value",
    "zookeeper.metadata.migration.enable": "Apache says what a migration needs; there is none here",
}

VERDICTS = {
    key: [(value, refusal) for _, _, value, refusal in group]
    for key, group in groupby(golden.verdicts(), key=lambda row: (row[0], row[1]))
    if key[1] not in golden.OURS
}


def verdict(table: str, name: str, value: str) -> str:
    """Our refusal, "" when the value is taken."""
    try:
        config, _ = broker_config(FILE | ({name: value} if table == "broker" else {}))
        return (check_topic(config, {name: value}) or "") if table == "topic" else ""
    except ConfigException as problem:
        return golden.short(name, str(problem))


@pytest.mark.parametrize(("table", "name"), VERDICTS, ids=[" ".join(key) for key in VERDICTS])
def test_each_value_is_taken_or_refused_as_by_apaches_broker(table: str, name: str) -> None:
    ours = {value: verdict(table, name, value) for value, _ in VERDICTS[table, name]}
    theirs = dict(VERDICTS[table, name])
    if name in ON_PURPOSE:
        assert [*map(bool, ours.values())] != [*map(bool, theirs.values())], "it need not stand in the table any more"
        return
    if name in OTHER_WORDS:
        assert theirs != ours, "it need not stand in the table any more"
        ours, theirs = ({v: bool(text) for v, text in verdicts.items()} for verdicts in (ours, theirs))
    assert theirs == ours


def test_each_key_has_been_asked_about() -> None:
    classes = {name for name, key in BROKER.items() if key.type in ("CLASS", "PASSWORD")}
    assert {("broker", name) for name in set(BROKER) - classes - golden.OURS} | {
        ("topic", name) for name in TOPIC
    } == set(VERDICTS)


# A start is refused for what these say, and nothing else is done with them.
BY_RULE = {"authorizer.class.name", "broker.id.generation.enable"}
# Keys that have the value of another key when only one of the two is set.
SYNONYM = {"node.id": "broker.id"}
# Keys that are read through a property of Config.
PROPERTIES = {
    "advertised.listeners": "advertised_listeners",
    "inter.broker.listener.name": "inter_broker_listener",
    "listener.security.protocol.map": "listeners",
    "listeners": "listeners",
    "log.dir": "log_dirs",
    "log.dirs": "log_dirs",
    "security.inter.broker.protocol": "inter_broker_listener",
}
# Keys whose names stand in a constant or a table of the file that reads them.
NAMED = {
    "controller.socket.timeout.ms": "kafkalike/broker/peer_connections.py",
    "replica.socket.timeout.ms": "kafkalike/broker/peer_connections.py",
    "request.timeout.ms": "kafkalike/broker/peer_connections.py",
}
SETTINGS = {name.replace("_", "."): name for name in LogConfig.__dataclass_fields__}


def sources() -> dict[str, ast.Module]:
    """The broker's code, but for what shows any key and for the tables, checks and properties of configuration."""
    return {
        str(file.relative_to(ROOT)): ast.parse(file.read_text())
        for file in sorted(ROOT.glob("kafkalike/**/*.py"))
        if not {"cli", "client", "config"} & set(file.relative_to(ROOT).parts) and file.name != "describe_configs.py"
    }


class Readers:
    """What the code reads: `config["key"]`, `config.get("key")`, attributes of what is called config; its texts."""

    def __init__(self, code: Mapping[str, ast.Module]) -> None:
        self.keys: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: set[tuple[str, str]] = set()
        for file, tree in code.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and "config" in _name(node.value):
                    if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                        self.keys.add(node.slice.value)
                elif isinstance(node, ast.Attribute) and "config" in _name(node.value):
                    self.attributes.add(node.attr)
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                    if "config" in _name(node.func.value) and isinstance(node.args[0], ast.Constant):
                        self.keys.add(str(node.args[0].value))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    self.texts.add((file, node.value))

    def reads(self, name: str) -> bool:
        """Whether the key has a reader: by itself, as a setting of a log, or as the default of a topic's key."""
        name = SYNONYM.get(name, name)
        topics = [key.name for key in TOPIC.values() if name in [synonym for synonym, _ in key.synonyms]]
        return (
            name in self.keys
            or SETTINGS.get(name) in self.attributes
            or PROPERTIES.get(name) in self.attributes
            or (NAMED.get(name), name) in self.texts
            or any(self.reads(topic) for topic in topics if topic != name)
        )


def _name(node: ast.expr) -> str:
    """What a value is called: `self._config` is called _config."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


READERS = Readers(sources())


@pytest.mark.parametrize("name", sorted(BROKER | DYNAMIC_ONLY | TOPIC))
def test_each_key_has_a_reader_or_says_why_not(name: str) -> None:
    keys = [table[name] for table in (BROKER, DYNAMIC_ONLY, TOPIC) if name in table]
    for key in keys:
        assert key.unused or READERS.reads(name) or name in BY_RULE, "nothing reads it: its line must say why"
        assert key.unused or key.sentence, "a sentence says what it does"
        assert not key.unused or "No effect here" in key.documentation


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("fetch.max.bytes", 'config["fetch.max.bytes"]'),
        ("log.dirs", "config.log_dirs"),
        ("retention.ms", "config.retention_ms"),
        ("log.retention.hours", "config.retention_ms"),
    ],
)
def test_a_key_whose_reader_disappears_is_noticed(name: str, reader: str) -> None:
    assert Readers({"reader.py": ast.parse(f"value = self._{reader}")}).reads(name)
    # Neither a comment nor a text nor an assignment of that name reads it.
    others = f'# config["{name}"]\nlog.info("{name}")\nconfig["{name}"] = 1\nrows["{name}"]'
    assert not Readers({"reader.py": ast.parse(others)}).reads(name)


def test_what_says_that_it_has_no_effect_has_none() -> None:
    readers = {
        file.relative_to(ROOT): file.read_text()
        for file in [*ROOT.glob("kafkalike/**/*.py")]
        if file.parent.name != "config" and "cli" not in file.parts
    }
    unused = {name for name, key in (BROKER | TOPIC).items() if key.unused} - {
        name for name, key in BROKER.items() if not key.unused
    }
    assert [] == [(name, str(file)) for name in sorted(unused) for file, text in readers.items() if f'"{name}"' in text]


def test_a_start_warns_of_what_has_no_effect() -> None:
    from kafkalike.config import without_effect

    config, unknown = broker_config(FILE | {"num.io.threads": "4", "num.network.threads": "3", "ssl.protocol": "TLS"})
    assert [] == unknown
    assert [
        "num.io.threads (one reactor does this work)",
        "ssl.protocol (TLS is not built yet; listeners are PLAINTEXT)",
    ] == without_effect(config, config.originals)


def test_a_key_is_one_line() -> None:
    assert all(isinstance(key, Key) and name == key.name for name, key in (BROKER | DYNAMIC_ONLY).items())
