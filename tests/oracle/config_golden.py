"""What was recorded of Apache Kafka's configuration, and the values that are tried of each key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kafkalike.config import BROKER, DYNAMIC_ONLY, TOPIC

HERE = Path(__file__).parent / "config"
# Broker keys that Apache does not have: it ignores whatever they say.
OURS = {"metrics.listeners", "offsets.storage", "unclean.recovery.timeout.ms"}
TYPES = ("UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD")
LARGEST = {"SHORT": 2**15 - 1, "INT": 2**31 - 1, "LONG": 2**63 - 1}
# What every reader of a type has to get right is tried of one key of that type.
GRAMMAR = {
    "log.index.interval.bytes": (
        "", " 7000 ", "\t7\n", "\u00a07", "+5", "--5", "1_000", "0x10", "1.0", "1e3", "٣", "0" * 30 + "5", "5f",
        "9" * 40,
    ),
    "log.flush.interval.messages": ("", " 7000 ", "5L", "+5", str(2**63), "1,000"),
    "sasl.login.refresh.buffer.seconds": ("", " 7 ", "32767", "32768", "-32768", "-32769"),
    "log.cleaner.min.cleanable.ratio": (
        "", " 0.5 ", "0.5f", "0.5D", ".5", "5e-1", "1.", "+0.5", "-0.0", "0x1p-1", "0x.8p0", "NaN", "nan", "inf",
        "Infinity",
        "0_5", "0,5", "1e999", "1e-999", "0.5ff", ".", "e5", "0x8",
    ),
    "log.preallocate": ("", " true ", "TRUE", "yes", "1", "False"),
    "log.cleanup.policy": (
        "", "delete", "compact , delete", "delete,", ",", "Delete", " delete ", "forget", "delete,forget",
        "compact,compact",
    ),
    "compression.type": ("", " gzip ", "GZIP", "none", "uncompressed"),
}  # fmt: skip
# What is particular to a key.
SPECIAL = {
    "max.connections.per.ip.overrides": (
        "", "foo:bar", "foo", "1.2.3.4:5", "1.2.3.4:5,::1:7", " a:1 , b:2 ", "a:-1", "a b:1", "a:99999999999", ",",
        "a:1,", ":5",
    ),
    "message.format.version": ("x", "3.9", "3.9.1", "3.9-IV0", "0.10", "0.10.2", "0.10.2.7", "3", "", "5.0", "3.9."),
    "log.message.format.version": ("x", "3.9", "0.10.2", "0.8.2", "2.8-IV1", ""),
    "inter.broker.protocol.version": ("x", "3.9", "2.8", "0.10.2", "0.8.2", "", "4.0"),
    "leader.replication.throttled.replicas": (
        "", "*", "0:1", "0:1,2:3", "0", "0:1,*", "a:1", "0:1:2", " 0:1 , 1:2 ", "-1:0",
    ),
    "follower.replication.throttled.replicas": ("*", "0:1", "0:1,", "*,*"),
    "group.coordinator.rebalance.protocols": (
        "classic", "Classic", "consumer", "classic,consumer", "", "share", "classic,share",
    ),
    "listeners": (
        "PLAINTEXT://:9092", "PLAINTEXT:/9092", "", "x", "INSIDE://:1", "PLAINTEXT://:1,PLAINTEXT://:2", "SSL://:1",
    ),
    "advertised.listeners": ("PLAINTEXT://h:1", "PLAINTEXT://0.0.0.0:1", "SSL://h:1", "", "PLAINTEXT://h:1,SSL://h:2"),
    "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT", "PLAINTEXT:x", "x", "", "INSIDE:PLAINTEXT"),
    "security.inter.broker.protocol": ("PLAINTEXT", "SSL", "x", "plaintext"),
    "inter.broker.listener.name": ("PLAINTEXT", "SSL", "x"),
    "control.plane.listener.name": ("PLAINTEXT", "SSL", "x"),
    "log.message.timestamp.type": ("CreateTime", "LogAppendTime", "createtime", ""),
    "message.timestamp.type": ("CreateTime", "LogAppendTime", "createtime", ""),
    "controller.listener.names": ("", "CONTROLLER"),
    "early.start.listeners": ("PLAINTEXT", "x", ""),
    "ssl.client.auth": ("none", "required", "NONE"),
    "group.consumer.migration.policy": ("disabled", "UPGRADE", "x"),
    "log.dirs": ("/a,/b", "", ","),
    "process.roles": ("", "x"),
    "node.id": ("-1", "5"),
    "broker.id": ("0", "1000", "1001", "-1", "-2", "x"),
    "log.retention.hours": ("0", "-5", "1"),
    "log.retention.minutes": ("0", "-5", "1"),
    "log.retention.ms": ("0", "-5", "1"),
    "queued.max.request.bytes": ("0", "-1", "1", "104857600", "104857599"),
    "connections.max.idle.ms": ("-1", "0", "100", "101"),
    "metrics.recording.level": ("INFO", "DEBUG", "x"),
}  # fmt: skip


def values_to_try(name: str) -> list[str]:
    """Values inside and outside of what a key accepts: around each bound that Kafka's documentation or ours knows."""
    key: Any = (BROKER | DYNAMIC_ONLY).get(name) or TOPIC[name]
    values = list(SPECIAL.get(name, ())) + list(GRAMMAR.get(name, ()))
    if key.type in LARGEST:
        values += ["-1", "0", "1", str(LARGEST[key.type]), str(LARGEST[key.type] + 1)]
        values += [str(edge) for edge in EDGES.get(name, ())]
    elif key.type == "DOUBLE":
        values += ["x", "-0.1", "0", "0.5", "0.51", "1", "1.1"]
    elif key.type == "BOOLEAN":
        values += ["true", "x"]
    elif key.type in ("STRING", "LIST") and not values:
        values += ["", "x"]
    return list(dict.fromkeys(values))


# Bounds other than -2 to 1, each from both sides.
EDGES = {
    "compression.gzip.level": (9, 10),
    "compression.lz4.level": (17, 18),
    "compression.zstd.level": (-131072, -131073, 22, 23),
    "fetch.max.bytes": (1023, 1024),
    "log.index.size.max.bytes": (3, 4),
    "segment.index.bytes": (3, 4),
    "log.segment.bytes": (13, 14),
    "segment.bytes": (13, 14),
    "local.retention.ms": (-3, -2),
    "local.retention.bytes": (-3, -2),
    "log.local.retention.ms": (-3, -2),
    "log.local.retention.bytes": (-3, -2),
    "log.cleaner.dedupe.buffer.size": (2**20, 2**20 + 1),
    "log.cleaner.threads": (2, 3, 127, 128),
    "metadata.log.segment.bytes": (11, 12),
    "metadata.log.segment.min.bytes": (11, 12),
    "password.encoder.iterations": (1023, 1024),
    "password.encoder.key.length": (7, 8),
    "offsets.topic.compression.codec": (4, 5),
    "offsets.commit.required.acks": (3, 4),
    "offsets.topic.replication.factor": (3,),
    "replica.fetch.wait.max.ms": (30000, 30001),
    "replica.lag.time.max.ms": (499, 500),
    "replica.socket.timeout.ms": (499, 500),
    "group.share.delivery.count.limit": (2, 10, 11),
    "group.share.max.groups": (100, 101),
    "group.share.max.size": (9, 10, 1000, 1001),
    "group.share.partition.max.record.locks": (99, 100, 10000, 10001),
    "group.share.max.record.lock.duration.ms": (29999, 30000, 3600000, 3600001),
    "group.share.min.record.lock.duration.ms": (999, 1000, 30000, 30001),
    "group.share.record.lock.duration.ms": (999, 1000, 60000, 60001),
    "num.io.threads": (3, 4, 16, 17),
    "num.network.threads": (6, 7),
    "background.threads": (4, 5, 20, 21),
    "num.replica.fetchers": (2, 3),
    "num.recovery.threads.per.data.dir": (2, 3),
} | {
    f"group.{kind}.{name}": edges
    for kind in ("consumer", "share")
    for name, edges in {
        "heartbeat.interval.ms": (4999, 5000, 15000, 15001),
        "min.heartbeat.interval.ms": (5000, 5001),
        "max.heartbeat.interval.ms": (4999, 5000),
        "session.timeout.ms": (44999, 45000, 60000, 60001),
        "min.session.timeout.ms": (45000, 45001),
        "max.session.timeout.ms": (44999, 45000),
    }.items()
}


def short(name: str, refusal: str) -> str:
    """A refusal without what stands in most of them."""
    text = re.sub(
        r"^(ConfigException|InvalidConfigurationException|IllegalArgumentException): (requirement failed: )?",
        "",
        refusal,
    )
    return re.sub(rf"^Invalid value .* for configuration {re.escape(name)}: ", "", text, flags=re.DOTALL)


def rows(name: str) -> list[list[str]]:
    """A recorded table."""
    return [line.split("\t") for line in (HERE / name).read_text().split("\n")[:-1]]


def verdicts() -> list[tuple[str, str, str, str]]:
    """(broker or topic, key, value, refusal): an empty refusal means that the value is taken."""
    return [(table, name, json.loads(value), refusal) for table, name, value, refusal in rows("verdicts.tsv")]
