"""Kafka's configuration keys as two tables, and the typed values read through them.

BROKER has one line per broker key, TOPIC one per topic key. Parsing, defaults, synonyms, DescribeConfigs and help
are derived from the tables; to add a key, add a line. Names, types, defaults and bounds are those of Kafka 3.9
("Broker Configs" and "Topic Configs" in its documentation), except where a comment says that ours differs.
Keys of parts that are not built yet (security, tiered storage, metrics reporters) get their lines with those parts;
until then they are read, warned about and ignored, as any unknown key is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class ConfigException(Exception):
    """A configuration that cannot be used. The text is one line for the operator, in Kafka's words."""


BOOLEAN, STRING, INT, SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD = (
    "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD",
)  # fmt: skip
_BOUNDS = {SHORT: 2**15, INT: 2**31, LONG: 2**63}
LONG_MAX, INT_MAX = 2**63 - 1, 2**31 - 1

RACK_AWARE_SELECTOR = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

Check = Callable[[Any], str | None]


def at_least(low: float) -> Check:
    """Accepts numbers from `low` upwards."""
    return lambda value: None if value >= low else f"Value must be at least {low}"


def between(low: float, high: float) -> Check:
    """Accepts numbers from `low` to `high`, both included."""

    def check(value: Any) -> str | None:
        if value < low:
            return f"Value must be at least {low}"
        return f"Value must be no more than {high}" if value > high else None

    return check


def one_of(*choices: str) -> Check:
    """Accepts exactly these words."""
    text = ", ".join(choices)
    return lambda value: None if value in choices else f"String must be one of: {text}"


def list_of(*choices: str) -> Check:
    """Accepts lists of these words."""
    text = ", ".join(choices)
    return lambda value: None if all(v in choices for v in value) else f"String must be one of: {text}"


def throttled(replicas: list[str]) -> str | None:
    """Accepts * or partition:broker, for the replicas whose copying is throttled."""
    if replicas == ["*"] or all(_digits(part.partition(":")) for part in replicas):
        return None
    return (
        "must be the literal '*' or a list of replicas in the following format: "
        "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
    )


def _digits(pair: tuple[str, str, str]) -> bool:
    return pair[0].isdigit() and pair[2].isdigit()


class Key(NamedTuple):
    """One configuration key: how to read it, what it is when absent, how it may be changed, what it does."""

    name: str
    type: str
    default: Any
    check: Check | None
    dynamic: str  # "C" may change at run time for the cluster or one broker, "B" for one broker, "" needs a restart
    sentence: str


class TopicKey(NamedTuple):
    """One topic key. Its default is the first synonym that the broker sets, else the last one's default."""

    name: str
    type: str
    synonyms: tuple[tuple[str, int], ...]  # broker key and the factor from its unit to this key's
    default: Any  # only when there is no synonym
    check: Check | None
    sentence: str


COMPRESSION = one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")

# fmt: off
BROKER: dict[str, Key] = {key.name: key for key in (
    # ZooKeeper
    Key("zookeeper.connect", STRING, None, None, "", "Servers of the ensemble as host:port,host:port/chroot."),
    Key("zookeeper.session.timeout.ms", INT, 18000, None, "", "How long ZooKeeper keeps our session without a sign of life."),
    Key("zookeeper.connection.timeout.ms", INT, None, None, "", "How long a start waits for ZooKeeper; the session timeout when unset."),
    Key("zookeeper.set.acl", BOOLEAN, False, None, "", "Whether znodes are created so that only brokers may write them."),
    Key("zookeeper.max.in.flight.requests", INT, 10, at_least(1), "", "Unanswered requests to ZooKeeper before we wait."),
    # Identity, threads, limits
    Key("broker.id", INT, -1, None, "", "This broker's number; -1 takes one from ZooKeeper above reserved.broker.max.id."),
    Key("broker.id.generation.enable", BOOLEAN, True, None, "", "Whether a broker without a number may be given one."),
    Key("reserved.broker.max.id", INT, 1000, at_least(0), "", "The highest number that is never given by generation."),
    Key("broker.rack", STRING, None, None, "", "Where this broker stands, for spreading replicas."),
    Key("message.max.bytes", INT, 1048588, at_least(0), "C", "Largest record batch that is accepted."),
    Key("num.io.threads", INT, 8, at_least(1), "C", "Kept for compatibility: one reactor does this work here."),
    Key("num.network.threads", INT, 3, at_least(1), "C", "Kept for compatibility: one reactor does this work here."),
    Key("background.threads", INT, 10, at_least(1), "C", "Kept for compatibility: background work uses the reactor's threads."),
    Key("num.replica.alter.log.dirs.threads", INT, None, None, "", "Kept for compatibility."),
    Key("request.timeout.ms", INT, 30000, None, "", "How long a request to another broker may take."),
    Key("socket.connection.setup.timeout.ms", LONG, 10000, None, "", "How long a connection to a broker may take to be made."),
    Key("socket.connection.setup.timeout.max.ms", LONG, 30000, None, "", "The same after repeated failures."),
    Key("controlled.shutdown.enable", BOOLEAN, True, None, "", "Whether leadership is handed over before a stop."),
    Key("controlled.shutdown.max.retries", INT, 3, None, "", "Tries to hand leadership over."),
    Key("controlled.shutdown.retry.backoff.ms", LONG, 5000, None, "", "Pause between those tries."),
    Key("delete.topic.enable", BOOLEAN, True, None, "", "Whether topics may be deleted."),
    Key("compression.type", STRING, "producer", COMPRESSION, "C", "How batches are stored; producer keeps what came."),
    Key("compression.gzip.level", INT, -1, None, "C", "Level when batches are stored as gzip."),
    Key("compression.lz4.level", INT, 9, between(1, 17), "C", "Level when batches are stored as lz4."),
    Key("compression.zstd.level", INT, 3, between(-131072, 22), "C", "Level when batches are stored as zstd."),
    Key("max.incremental.fetch.session.cache.slots", INT, 1000, at_least(0), "", "Fetch sessions kept at once."),
    Key("fetch.max.bytes", INT, 57671680, at_least(1024), "", "Most bytes of records in one answer to Fetch."),
    Key("max.request.partition.size.limit", INT, 2000, at_least(1), "", "Most partitions in one answer that lists them."),
    Key("authorizer.class.name", STRING, "", None, "", "Who decides about access; empty allows everything."),
    Key("create.topic.policy.class.name", CLASS, None, None, "", "Kept for compatibility: no class is ever loaded by name."),
    Key("alter.config.policy.class.name", CLASS, None, None, "", "Kept for compatibility: no class is ever loaded by name."),
    # Network
    Key("listeners", STRING, "PLAINTEXT://:9092", None, "B", "Where to listen: NAME://host:port, separated by commas."),
    Key("advertised.listeners", STRING, None, None, "B", "What clients are told instead of listeners."),
    Key("listener.security.protocol.map", STRING, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        None, "B", "Which protocol a listener's name stands for."),
    Key("control.plane.listener.name", STRING, None, None, "", "The listener for the controller's requests, if it has its own."),
    Key("inter.broker.listener.name", STRING, None, None, "", "The listener that brokers use among themselves."),
    Key("security.inter.broker.protocol", STRING, "PLAINTEXT", one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), "",
        "The protocol among brokers when no listener is named."),
    Key("inter.broker.protocol.version", STRING, "3.9-IV0", None, "", "The version that brokers speak among themselves."),
    Key("socket.send.buffer.bytes", INT, 102400, None, "", "SO_SNDBUF of accepted connections; -1 leaves the system's."),
    Key("socket.receive.buffer.bytes", INT, 102400, None, "", "SO_RCVBUF of accepted connections; -1 leaves the system's."),
    Key("socket.request.max.bytes", INT, 104857600, at_least(1), "", "Largest request; a larger one closes the connection."),
    Key("socket.listen.backlog.size", INT, 50, at_least(1), "", "Connections that may wait to be accepted."),
    Key("max.connections.per.ip", INT, INT_MAX, at_least(0), "C", "Most connections from one address."),
    Key("max.connections.per.ip.overrides", STRING, "", None, "C", "The same for single addresses: host:count,..."),
    Key("max.connections", INT, INT_MAX, at_least(0), "C", "Most connections in all."),
    Key("max.connection.creation.rate", INT, INT_MAX, at_least(0), "C", "Most new connections a second."),
    Key("connections.max.idle.ms", LONG, 600000, None, "", "Idle connections are closed after this time."),
    Key("queued.max.requests", INT, 500, at_least(1), "", "Waiting requests before reading stops."),
    Key("queued.max.request.bytes", LONG, -1, None, "", "Waiting bytes before reading stops; -1 for no limit."),
    # Log
    Key("num.partitions", INT, 1, at_least(1), "", "Partitions of a topic that does not say."),
    Key("log.dir", STRING, "/tmp/kafka-logs", None, "", "Where records are kept, if log.dirs is unset."),
    Key("log.dirs", STRING, None, None, "", "Directories in which records are kept, separated by commas."),
    Key("log.segment.bytes", INT, 1073741824, at_least(14), "C", "Largest file of a partition."),
    Key("log.roll.ms", LONG, None, at_least(1), "C", "Longest time in one file; wins over log.roll.hours."),
    Key("log.roll.hours", INT, 168, at_least(1), "", "Longest time in one file, in hours."),
    Key("log.roll.jitter.ms", LONG, None, at_least(0), "C", "Random part taken off that time; wins over hours."),
    Key("log.roll.jitter.hours", INT, 0, at_least(0), "", "Random part taken off that time, in hours."),
    Key("log.retention.ms", LONG, None, at_least(-1), "C", "How long records are kept; -1 for ever. Wins over minutes and hours."),
    Key("log.retention.minutes", INT, None, None, "", "How long records are kept, in minutes. Wins over hours."),
    # Apache's default is 168: here nothing is thrown away unless the operator says so.
    Key("log.retention.hours", INT, -1, None, "", "How long records are kept, in hours; -1 for ever."),
    Key("log.retention.bytes", LONG, -1, None, "C", "Bytes of a partition that are kept; -1 for no limit."),
    Key("log.retention.check.interval.ms", LONG, 300000, at_least(1), "", "How often retention is looked at."),
    Key("log.cleanup.policy", LIST, ["delete"], list_of("compact", "delete"), "C", "What happens to old records."),
    Key("log.cleaner.enable", BOOLEAN, True, None, "", "Whether compaction runs."),
    Key("log.cleaner.threads", INT, 1, at_least(0), "C", "Threads that compact."),
    Key("log.cleaner.io.max.bytes.per.second", DOUBLE, 1.7976931348623157e308, None, "C", "Most bytes a second that compaction moves."),
    Key("log.cleaner.dedupe.buffer.size", LONG, 134217728, None, "C", "Memory for keys while compacting."),
    Key("log.cleaner.io.buffer.size", INT, 524288, at_least(0), "C", "Memory for reading while compacting."),
    Key("log.cleaner.io.buffer.load.factor", DOUBLE, 0.9, None, "C", "How full the key memory may get."),
    Key("log.cleaner.backoff.ms", LONG, 15000, at_least(0), "C", "Pause when there is nothing to compact."),
    Key("log.cleaner.min.cleanable.ratio", DOUBLE, 0.5, between(0, 1), "C", "Share of new bytes from which compaction starts."),
    Key("log.cleaner.delete.retention.ms", LONG, 86400000, at_least(0), "C", "How long a delete marker outlives compaction."),
    Key("log.cleaner.min.compaction.lag.ms", LONG, 0, at_least(0), "C", "Youngest age at which a record may be compacted."),
    Key("log.cleaner.max.compaction.lag.ms", LONG, LONG_MAX, at_least(1), "C", "Oldest age until which a record may stay uncompacted."),
    Key("log.index.size.max.bytes", INT, 10485760, at_least(4), "C", "Largest index file."),
    Key("log.index.interval.bytes", INT, 4096, at_least(0), "C", "Bytes of records between index entries."),
    Key("log.flush.interval.messages", LONG, LONG_MAX, at_least(1), "C", "Records after which a partition is forced to disk."),
    Key("log.flush.interval.ms", LONG, None, None, "C", "Time after which a partition is forced to disk."),
    Key("log.flush.scheduler.interval.ms", LONG, LONG_MAX, None, "", "How often that time is looked at."),
    Key("log.flush.offset.checkpoint.interval.ms", INT, 60000, at_least(0), "", "How often recovery points are written."),
    Key("log.flush.start.offset.checkpoint.interval.ms", INT, 60000, at_least(0), "", "How often log start offsets are written."),
    Key("log.segment.delete.delay.ms", LONG, 60000, at_least(0), "C", "How long a deleted file stays under another name."),
    Key("log.preallocate", BOOLEAN, False, None, "C", "Whether a new file gets its full size at once."),
    Key("num.recovery.threads.per.data.dir", INT, 1, at_least(1), "C", "Threads that read logs at a start, per directory."),
    Key("auto.create.topics.enable", BOOLEAN, True, None, "", "Whether asking for an unknown topic creates it."),
    Key("min.insync.replicas", INT, 1, at_least(1), "C", "Replicas that must have a record before acks=all is answered."),
    Key("log.message.format.version", STRING, "3.0-IV1", None, "", "Kept for compatibility: batches are stored as version 2."),
    Key("log.message.timestamp.type", STRING, "CreateTime", one_of("CreateTime", "LogAppendTime"), "C", "Whose clock stamps records."),
    Key("log.message.timestamp.difference.max.ms", LONG, LONG_MAX, at_least(0), "C", "Deprecated: bound in both directions."),
    Key("log.message.timestamp.before.max.ms", LONG, LONG_MAX, at_least(0), "C", "How far a record's time may lie in the past."),
    Key("log.message.timestamp.after.max.ms", LONG, LONG_MAX, at_least(0), "C", "How far a record's time may lie in the future."),
    Key("log.message.downconversion.enable", BOOLEAN, True, None, "C", "Whether old consumers get records in their format."),
    Key("log.dir.failure.timeout.ms", LONG, 30000, at_least(1), "", "Kept for compatibility."),
    # Replication and controller
    Key("default.replication.factor", INT, 1, None, "", "Replicas of a topic that does not say."),
    Key("controller.socket.timeout.ms", INT, 30000, None, "", "How long a request of the controller may take."),
    Key("replica.lag.time.max.ms", LONG, 30000, None, "", "A follower that is behind for longer leaves the in-sync set."),
    Key("replica.socket.timeout.ms", INT, 30000, None, "", "How long a follower's request may take."),
    Key("replica.socket.receive.buffer.bytes", INT, 65536, None, "", "SO_RCVBUF of a follower's connection."),
    Key("replica.fetch.max.bytes", INT, 1048576, at_least(0), "", "Bytes a follower asks for per partition."),
    Key("replica.fetch.wait.max.ms", INT, 500, None, "", "How long a follower's fetch may wait."),
    Key("replica.fetch.backoff.ms", INT, 1000, at_least(0), "", "Pause after a follower's fetch failed."),
    Key("replica.fetch.min.bytes", INT, 1, None, "", "Bytes a follower waits for."),
    Key("replica.fetch.response.max.bytes", INT, 10485760, at_least(0), "", "Bytes a follower asks for in all."),
    Key("num.replica.fetchers", INT, 1, None, "C", "Connections to one leader."),
    Key("replica.high.watermark.checkpoint.interval.ms", LONG, 5000, None, "", "How often high watermarks are written."),
    Key("replication.quota.window.num", INT, 11, at_least(1), "", "Windows that the rates of throttled replicas are measured over."),
    Key("replication.quota.window.size.seconds", INT, 1, at_least(1), "", "Length of each."),
    Key("fetch.purgatory.purge.interval.requests", INT, 1000, None, "", "Kept for compatibility: nothing is left to purge."),
    Key("producer.purgatory.purge.interval.requests", INT, 1000, None, "", "Kept for compatibility: nothing is left to purge."),
    Key("delete.records.purgatory.purge.interval.requests", INT, 1, None, "", "Kept for compatibility: nothing is left to purge."),
    Key("auto.leader.rebalance.enable", BOOLEAN, True, None, "", "Whether leadership goes back to preferred replicas by itself."),
    Key("leader.imbalance.per.broker.percentage", INT, 10, None, "", "Share of misplaced leaders from which that happens."),
    Key("leader.imbalance.check.interval.seconds", LONG, 300, at_least(1), "", "How often it is looked at."),
    Key("unclean.leader.election.enable", BOOLEAN, False, None, "C", "Whether a replica that may lack records may lead."),
    # Ours, after KIP-966: Apache trusts the last in-sync replica whatever happened to it.
    Key("unclean.recovery.timeout.ms", LONG, 60000, at_least(0), "", "How long former in-sync replicas are waited for when the last one was not stopped cleanly."),
    Key("replica.selector.class", STRING, None, None, "", "How a consumer's replica is chosen: the rack-aware one, or none."),
    # Groups and offsets
    # Ours: Apache puts the offsets of OffsetCommit v1 and later into __consumer_offsets.
    Key("offsets.storage", STRING, "zookeeper", one_of("zookeeper", "kafka"), "", "Where committed offsets are kept."),
    Key("group.min.session.timeout.ms", INT, 6000, None, "", "Shortest session timeout that a consumer may ask for."),
    Key("group.max.session.timeout.ms", INT, 1800000, None, "", "Longest session timeout that a consumer may ask for."),
    Key("group.initial.rebalance.delay.ms", INT, 3000, None, "", "How long a new group waits for more members."),
    Key("group.max.size", INT, INT_MAX, at_least(1), "", "Most members of a group."),
    Key("group.coordinator.rebalance.protocols", LIST, ["classic"], list_of("classic"), "", "Group protocols that are served."),
    Key("offset.metadata.max.bytes", INT, 4096, None, "", "Longest note beside a committed offset."),
    Key("offsets.load.buffer.size", INT, 5242880, at_least(1), "", "Bytes read at once while groups are loaded."),
    Key("offsets.topic.replication.factor", SHORT, 3, at_least(1), "", "Replicas of __consumer_offsets."),
    Key("offsets.topic.num.partitions", INT, 50, at_least(1), "", "Partitions of __consumer_offsets."),
    Key("offsets.topic.segment.bytes", INT, 104857600, at_least(1), "", "Largest file of __consumer_offsets."),
    Key("offsets.topic.compression.codec", INT, 0, None, "", "How records in __consumer_offsets are compressed."),
    Key("offsets.retention.minutes", INT, 10080, at_least(1), "", "How long the offsets of an empty group are kept."),
    Key("offsets.retention.check.interval.ms", LONG, 600000, at_least(1), "", "How often that is looked at."),
    Key("offsets.commit.timeout.ms", INT, 5000, at_least(1), "", "How long a commit may wait for its storage."),
    Key("offsets.commit.required.acks", SHORT, -1, None, "", "Acknowledgements for records in __consumer_offsets."),
    # Transactions
    Key("transaction.state.log.min.isr", INT, 2, at_least(1), "", "min.insync.replicas of __transaction_state."),
    Key("transaction.state.log.replication.factor", SHORT, 3, at_least(1), "", "Replicas of __transaction_state."),
    Key("transaction.state.log.num.partitions", INT, 50, at_least(1), "", "Partitions of __transaction_state."),
    Key("transaction.state.log.segment.bytes", INT, 104857600, at_least(1), "", "Largest file of __transaction_state."),
    Key("transaction.max.timeout.ms", INT, 900000, at_least(1), "", "Longest transaction that a producer may ask for."),
    Key("transactional.id.expiration.ms", INT, 604800000, at_least(1), "", "An unused transactional id is forgotten after this time."),
    Key("producer.id.expiration.ms", INT, 86400000, at_least(1), "C", "An unused producer id is forgotten after this time."),
    Key("producer.id.expiration.check.interval.ms", INT, 600000, at_least(1), "", "How often that is looked at."),
)}

# These exist only as dynamic configuration of brokers: the rates of what TOPIC's ...throttled.replicas name.
DYNAMIC_ONLY: dict[str, Key] = {key.name: key for key in (
    Key("leader.replication.throttled.rate", LONG, LONG_MAX, at_least(0), "C", "Bytes a second that throttled leaders send."),
    Key("follower.replication.throttled.rate", LONG, LONG_MAX, at_least(0), "C", "Bytes a second that throttled followers fetch."),
    Key("replica.alter.log.dirs.io.max.bytes.per.second", LONG, LONG_MAX, at_least(0), "C", "Kept for compatibility: replicas stay in their directory."),
)}

TOPIC: dict[str, TopicKey] = {key.name: key for key in (
    TopicKey("cleanup.policy", LIST, (("log.cleanup.policy", 1),), None, list_of("compact", "delete"), "What happens to old records."),
    TopicKey("compression.gzip.level", INT, (("compression.gzip.level", 1),), None, None, "Level when batches are stored as gzip."),
    TopicKey("compression.lz4.level", INT, (("compression.lz4.level", 1),), None, between(1, 17), "Level when batches are stored as lz4."),
    TopicKey("compression.type", STRING, (("compression.type", 1),), None, COMPRESSION, "How batches are stored; producer keeps what came."),
    TopicKey("compression.zstd.level", INT, (("compression.zstd.level", 1),), None, between(-131072, 22), "Level when batches are stored as zstd."),
    TopicKey("delete.retention.ms", LONG, (("log.cleaner.delete.retention.ms", 1),), None, at_least(0), "How long a delete marker outlives compaction."),
    TopicKey("file.delete.delay.ms", LONG, (("log.segment.delete.delay.ms", 1),), None, at_least(0), "How long a deleted file stays under another name."),
    TopicKey("flush.messages", LONG, (("log.flush.interval.messages", 1),), None, at_least(1), "Records after which the partition is forced to disk."),
    TopicKey("flush.ms", LONG, (("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)), None, at_least(0), "Time after which the partition is forced to disk."),
    TopicKey("follower.replication.throttled.replicas", LIST, (), [], throttled, "Followers whose copying is throttled: partition:broker, or *."),
    TopicKey("index.interval.bytes", INT, (("log.index.interval.bytes", 1),), None, at_least(0), "Bytes of records between index entries."),
    TopicKey("leader.replication.throttled.replicas", LIST, (), [], throttled, "Leaders whose copying is throttled: partition:broker, or *."),
    TopicKey("local.retention.bytes", LONG, (), -2, at_least(-2), "Bytes kept here when old records move elsewhere."),
    TopicKey("local.retention.ms", LONG, (), -2, at_least(-2), "Time kept here when old records move elsewhere."),
    TopicKey("max.compaction.lag.ms", LONG, (("log.cleaner.max.compaction.lag.ms", 1),), None, at_least(1), "Oldest age until which a record may stay uncompacted."),
    TopicKey("max.message.bytes", INT, (("message.max.bytes", 1),), None, at_least(0), "Largest record batch that is accepted."),
    TopicKey("message.downconversion.enable", BOOLEAN, (("log.message.downconversion.enable", 1),), None, None, "Whether old consumers get records in their format."),
    TopicKey("message.format.version", STRING, (("log.message.format.version", 1),), None, None, "Kept for compatibility: batches are stored as version 2."),
    TopicKey("message.timestamp.after.max.ms", LONG, (("log.message.timestamp.after.max.ms", 1),), None, at_least(0), "How far a record's time may lie in the future."),
    TopicKey("message.timestamp.before.max.ms", LONG, (("log.message.timestamp.before.max.ms", 1),), None, at_least(0), "How far a record's time may lie in the past."),
    TopicKey("message.timestamp.difference.max.ms", LONG, (("log.message.timestamp.difference.max.ms", 1),), None, at_least(0), "Deprecated: bound in both directions."),
    TopicKey("message.timestamp.type", STRING, (("log.message.timestamp.type", 1),), None, one_of("CreateTime", "LogAppendTime"), "Whose clock stamps records."),
    TopicKey("min.cleanable.dirty.ratio", DOUBLE, (("log.cleaner.min.cleanable.ratio", 1),), None, between(0, 1), "Share of new bytes from which compaction starts."),
    TopicKey("min.compaction.lag.ms", LONG, (("log.cleaner.min.compaction.lag.ms", 1),), None, at_least(0), "Youngest age at which a record may be compacted."),
    TopicKey("min.insync.replicas", INT, (("min.insync.replicas", 1),), None, at_least(1), "Replicas that must have a record before acks=all is answered."),
    TopicKey("preallocate", BOOLEAN, (("log.preallocate", 1),), None, None, "Whether a new file gets its full size at once."),
    TopicKey("remote.log.copy.disable", BOOLEAN, (), False, None, "Kept for compatibility: records stay on this broker."),
    TopicKey("remote.log.delete.on.disable", BOOLEAN, (), False, None, "Kept for compatibility: records stay on this broker."),
    TopicKey("remote.storage.enable", BOOLEAN, (), False, None, "Kept for compatibility: records stay on this broker."),
    TopicKey("retention.bytes", LONG, (("log.retention.bytes", 1),), None, None, "Bytes of a partition that are kept; -1 for no limit."),
    TopicKey("retention.ms", LONG, (("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)), None, at_least(-1), "How long records are kept; -1 for ever."),
    TopicKey("segment.bytes", INT, (("log.segment.bytes", 1),), None, at_least(14), "Largest file of the partition."),
    TopicKey("segment.index.bytes", INT, (("log.index.size.max.bytes", 1),), None, at_least(4), "Largest index file."),
    TopicKey("segment.jitter.ms", LONG, (("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)), None, at_least(0), "Random part taken off segment.ms."),
    TopicKey("segment.ms", LONG, (("log.roll.ms", 1), ("log.roll.hours", 3_600_000)), None, at_least(1), "Longest time in one file."),
    TopicKey("unclean.leader.election.enable", BOOLEAN, (("unclean.leader.election.enable", 1),), None, None, "Whether a replica that may lack records may lead."),
)}
# fmt: on


def parse(key: Key | TopicKey, text: str) -> Any:
    """The typed value of `text`; ConfigException in Kafka's words if it is not one."""
    text = text.strip()
    value: Any = text
    if key.type == BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise _invalid(key.name, text, "Expected value to be either true or false")
        value = text.lower() == "true"
    elif key.type in _BOUNDS:
        bound = _BOUNDS[key.type]
        digits = text.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit()) or not -bound <= int(text) < bound:
            raise _invalid(key.name, text, f"Not a number of type {key.type}")
        value = int(text)
    elif key.type == DOUBLE:
        try:
            value = float(text)
        except ValueError:
            raise _invalid(key.name, text, "Not a number of type DOUBLE") from None
    elif key.type == LIST:
        value = [part.strip() for part in text.split(",")] if text else []
    if key.check is not None:
        problem = key.check(value)
        if problem and key.check is throttled:
            raise _invalid(key.name, f"[{', '.join(value)}]", f"{key.name} {problem}")
        if problem:
            raise _invalid(key.name, text, problem)
    return value


def _invalid(name: str, text: str, why: str) -> ConfigException:
    return ConfigException(f"Invalid value {text} for configuration {name}: {why}")


def text_of(value: Any) -> str | None:
    """A typed value as Kafka prints it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    if value == 1.7976931348623157e308:
        return "1.7976931348623157E308"
    return str(value)


def _usable(texts: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What parses, and the names of what does not. Names that no table knows are kept: they may be somebody else's."""
    usable, bad = {}, []
    for name, text in texts.items():
        key = BROKER.get(name) or DYNAMIC_ONLY.get(name)
        try:
            if key is not None:
                parse(key, text)
            usable[name] = text
        except ConfigException:
            bad.append(name)
    return usable, bad


class Endpoint(NamedTuple):
    """One listener: its name, protocol and address. Port 0 means that the system chooses."""

    listener: str
    security_protocol: str
    host: str
    port: int


class Config(Mapping[str, Any]):
    """Typed values by Kafka's key. `originals` holds what was set explicitly, as text.

    A broker's values also change while it runs: `own` is what was set for this broker and `cluster` what was set for
    all, as text; the first wins, and both win over the file.
    """

    def __init__(self, typed: dict[str, Any], originals: dict[str, str]) -> None:
        self._typed = typed
        self.originals = originals
        self.own: Mapping[str, str] = {}
        self.cluster: Mapping[str, str] = {}

    def reconfigure(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> list[str]:
        """Takes over what was set while it runs; the names whose values cannot be used and were left out."""
        self.own, bad = _usable(own)
        self.cluster, worse = _usable(cluster)
        for name, key in (BROKER | DYNAMIC_ONLY).items():
            if key.dynamic:
                text = self.own.get(name, self.cluster.get(name, self.originals.get(name)))
                self._typed[name] = key.default if text is None else parse(key, text)
        return bad + worse

    def __getitem__(self, key: str) -> Any:
        return self._typed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._typed)

    def __len__(self) -> int:
        return len(self._typed)

    @property
    def log_dirs(self) -> list[str]:
        """The directories that hold logs: log.dirs, else log.dir."""
        text = self._typed["log.dirs"] or self._typed["log.dir"]
        return [part.strip() for part in text.split(",") if part.strip()]

    @property
    def listeners(self) -> list[Endpoint]:
        """Where to listen."""
        return self._endpoints("listeners")

    @property
    def advertised_listeners(self) -> list[Endpoint]:
        """What clients are told; `listeners` unless set."""
        return self._endpoints("advertised.listeners" if self._typed["advertised.listeners"] else "listeners")

    @property
    def inter_broker_listener(self) -> str:
        """The name of the listener that brokers use among themselves."""
        named = self._typed["inter.broker.listener.name"]
        return str(named or self._typed["security.inter.broker.protocol"])

    def _endpoints(self, key: str) -> list[Endpoint]:
        text = self._typed[key]
        protocols = dict(
            (name.strip(), protocol.strip())
            for name, _, protocol in (
                part.partition(":") for part in self._typed["listener.security.protocol.map"].split(",") if part.strip()
            )
        )
        endpoints = [self._endpoint(key, part.strip(), protocols) for part in text.split(",") if part.strip()]
        names = [endpoint.listener for endpoint in endpoints]
        ports = [endpoint.port for endpoint in endpoints if endpoint.port]
        if not endpoints or len(set(names)) != len(names):
            raise _invalid(key, text, "Each listener must have a different name")
        if key == "listeners" and len(set(ports)) != len(ports):
            raise _invalid(key, text, "Each listener must have a different port")
        return endpoints

    @staticmethod
    def _endpoint(key: str, part: str, protocols: dict[str, str]) -> Endpoint:
        name, separator, address = part.partition("://")
        host, colon, port = address.rpartition(":")
        if not separator or not colon or not port.isdigit() or int(port) > 65535:
            raise ConfigException(
                f"Invalid value {part} for configuration {key}: Unable to parse {part} to a broker endpoint"
            )
        name = name.upper()
        if name not in protocols:
            raise ConfigException(f"No security protocol defined for listener {name}")
        return Endpoint(name, protocols[name], host.removeprefix("[").removesuffix("]"), int(port))


def read_properties(text: str) -> dict[str, str]:
    """Keys and values of a Java properties file; later lines win. Escapes other than line ends are left alone."""
    properties: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines, "").strip()
        cut = min((at for at in (line.find("="), line.find(":")) if at >= 0), default=-1)
        if cut < 0:
            properties[line] = ""
        else:
            properties[line[:cut].strip()] = line[cut + 1 :].strip()
    return properties


def broker_config(properties: Mapping[str, str]) -> tuple[Config, list[str]]:
    """The configuration of a broker and the names that no table knows (they are ignored, with a warning).

    ConfigException when a value cannot be parsed, a required key is missing, or keys contradict each other.
    """
    known = {name: text for name, text in properties.items() if name in BROKER and text != ""}
    values = {name: key.default for name, key in (BROKER | DYNAMIC_ONLY).items()}
    for name, text in known.items():
        values[name] = parse(BROKER[name], text)
    if not values["zookeeper.connect"]:
        raise ConfigException('Missing required configuration "zookeeper.connect" which has no default value.')
    if values["zookeeper.connection.timeout.ms"] is None:
        values["zookeeper.connection.timeout.ms"] = values["zookeeper.session.timeout.ms"]
    config = Config(values, known)
    _check_together(config)
    return config, [name for name in properties if name not in BROKER]


def _check_together(config: Config) -> None:
    if not config.log_dirs:
        raise ConfigException("At least one log directory must be defined via log.dirs or log.dir.")
    if config["replica.selector.class"] not in (None, RACK_AWARE_SELECTOR):
        raise ConfigException(
            f"Invalid value {config['replica.selector.class']} for configuration replica.selector.class: no class is "
            f"loaded by name; {RACK_AWARE_SELECTOR} is built in"
        )
    if config["authorizer.class.name"]:
        raise ConfigException(
            f"Invalid value {config['authorizer.class.name']} for configuration authorizer.class.name: access control "
            "is not supported yet, and a broker that ignored it would let everybody in"
        )
    if config["broker.id"] < 0 and not config["broker.id.generation.enable"]:
        raise ConfigException(
            "broker.id must be greater than or equal to 0 while broker.id.generation.enable is false."
        )
    if config["broker.id"] > config["reserved.broker.max.id"] and config["broker.id.generation.enable"]:
        raise ConfigException("broker.id must be less than or equal to reserved.broker.max.id")
    names = [endpoint.listener for endpoint in config.listeners]
    for endpoint in config.advertised_listeners:
        if endpoint.host == "0.0.0.0":
            raise ConfigException(
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
            )
        if endpoint.listener not in names:
            raise ConfigException(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. "
                f"Found {endpoint.listener}. The valid options based on the current configuration are {','.join(names)}"
            )
    if config.inter_broker_listener not in [endpoint.listener for endpoint in config.advertised_listeners]:
        raise ConfigException(
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options "
            f"based on currently configured listeners are {','.join(names)}"
        )


def topic_default(config: Config, key: TopicKey) -> Any:
    """What a topic without an override has for `key`: the broker's value under the first synonym that is set."""
    for name, factor in key.synonyms:
        value = config[name]
        if value is not None:
            return value * factor if factor > 1 and value >= 0 else value
    return key.default


def topic_config(config: Config, overrides: Mapping[str, str]) -> Config:
    """The effective configuration of a topic: its overrides over the broker's. Bad overrides raise ConfigException."""
    values = {name: topic_default(config, key) for name, key in TOPIC.items()}
    values.update(parse_topic_overrides(overrides))
    return Config(values, dict(overrides))


def parse_topic_overrides(overrides: Mapping[str, str]) -> dict[str, Any]:
    """Typed topic overrides. ConfigException for an unknown name or a bad value."""
    values = {}
    for name, text in overrides.items():
        if name not in TOPIC:
            raise ConfigException(f"Unknown topic config name: {name}")
        values[name] = parse(TOPIC[name], text)
    return values


# Kafka takes such a number only if it is between half and twice of the present one.
THREADS = ("num.io.threads", "num.network.threads", "num.replica.fetchers", "num.recovery.threads.per.data.dir",
           "background.threads")  # fmt: skip


def check_dynamic(config: Config, proposed: Mapping[str, str], per_broker: bool) -> None:
    """Whether a broker's dynamic configuration may become this; ConfigException in Kafka's words if not."""
    fixed = [name for name in proposed if name in BROKER and not BROKER[name].dynamic]
    if fixed:
        raise ConfigException(f"Cannot update these configs dynamically: Set({', '.join(fixed)})")
    values = {name: config[name] for name in config}
    for name, text in proposed.items():
        key = BROKER.get(name) or DYNAMIC_ONLY.get(name)
        if key is not None:
            values[name] = parse(key, text)
    own = [name for name in proposed if name in BROKER and BROKER[name].dynamic == "B"]
    if own and not per_broker:
        raise ConfigException(
            f"Cannot update these configs at default cluster level, broker id must be specified: Set({', '.join(own)})"
        )
    # Ours: sockets are bound once.
    moved = [name for name in own if values[name] != config[name]]
    if moved:
        raise ConfigException(f"Listeners cannot change while the broker runs: Set({', '.join(moved)})")
    if values["log.cleaner.dedupe.buffer.size"] // max(values["log.cleaner.threads"], 1) < 1024 * 1024:
        raise ConfigException(
            "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
        )
    problem = _thread_problem(config, values)
    if problem:
        raise ConfigException(
            f"Invalid value org.apache.kafka.common.config.ConfigException: {problem} for configuration Invalid "
            "dynamic configuration"
        )


def _thread_problem(config: Config, values: Mapping[str, Any]) -> str | None:
    for name in THREADS:
        new, old = values[name], config[name]
        refused = f"Dynamic thread count update validation failed for {name}={new}, value should"
        if new < old // 2:
            return f"{refused} be at least half the current value {old}"
        if new > old * 2:
            return f"{refused} not be greater than double the current value {old}"
    new, old = values["log.cleaner.threads"], config["log.cleaner.threads"]
    if new < 1:
        return "Log cleaner threads should be at least 1"
    if new < old // 2:
        return f"Log cleaner threads cannot be reduced to less than half the current value {old}"
    if new > old * 2:
        return f"Log cleaner threads cannot be increased to more than double the current value {old}"
    return None


def check_topic(config: Config, overrides: Mapping[str, str]) -> str | None:
    """What does not fit together in a topic's configuration, in Kafka's words. ConfigException for a bad value."""
    values = topic_config(config, overrides)
    low, high = values["min.compaction.lag.ms"], values["max.compaction.lag.ms"]
    if low > high:
        return f"conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})"
    if values["remote.log.delete.on.disable"] or values["remote.log.copy.disable"]:
        return (
            "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode."
        )
    if values["remote.storage.enable"]:
        raise ConfigException(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log "
            "storage."
        )
    return None
