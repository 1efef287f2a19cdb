"""The broker keys: one line each.

Names, types, defaults and validators are those of Apache Kafka 3.9 ("Broker Configs" in its documentation), except where
a comment says that ours differs. A key that nothing reads says why in its line; tests/config/test_tables.py looks for
the reader of every other one.
"""

from __future__ import annotations

from kafkalike.config.keys import Key
from kafkalike.config.unused_keys import COMPACTION, EXACT, FORMAT, KRAFT, LEVELS, QUOTAS, STAY, TRANSACTIONS, UNUSED
from kafkalike.config.validators import (
    at_least,
    between,
    compression_id,
    gzip_level,
    hosts_and_counts,
    http_listeners,
    list_of,
    one_of,
    version,
)
from kafkalike.config.values import (
    BOOLEAN,
    CLASS,
    DOUBLE,
    DOUBLE_MAX,
    INT,
    INT_MAX,
    LIST,
    LONG,
    LONG_MAX,
    SHORT,
    STRING,
)

COMPRESSION = one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")

ONE_REACTOR = "one reactor does this work."
NO_CLASS = "no class is loaded by its name."
NOTHING_TO_PURGE = "what is done leaves nothing to sweep out."

# fmt: off
BROKER: dict[str, Key] = {key.name: key for key in (
    # ZooKeeper
    Key("zookeeper.connect", STRING, None, None, "", "Servers of the ensemble as host:port,host:port/chroot."),
    Key("zookeeper.session.timeout.ms", INT, 18000, None, "", "How long ZooKeeper keeps our session without a sign of life."),
    Key("zookeeper.connection.timeout.ms", INT, None, None, "", "How long a start waits for ZooKeeper; the session timeout when unset."),
    Key("zookeeper.set.acl", BOOLEAN, False, None, "", "Whether znodes are created so that only brokers may write them.", "access control is not built yet."),
    Key("zookeeper.max.in.flight.requests", INT, 10, at_least(1), "", "Unanswered requests to ZooKeeper before we wait.", "requests to ZooKeeper are pipelined without a bound."),
    # Identity, threads, limits
    Key("broker.id", INT, -1, None, "", "This broker's number; -1 takes one from ZooKeeper above reserved.broker.max.id."),
    Key("node.id", INT, -1, None, "", "Another name of broker.id; if both are set, they are the same."),
    Key("broker.id.generation.enable", BOOLEAN, True, None, "", "Whether a broker without a number may be given one."),
    Key("reserved.broker.max.id", INT, 1000, at_least(0), "", "The highest number that is never given by generation."),
    Key("broker.rack", STRING, None, None, "", "Where this broker stands, for spreading replicas."),
    Key("message.max.bytes", INT, 1048588, at_least(0), "C", "Largest record batch that is accepted."),
    Key("num.io.threads", INT, 8, at_least(1), "C", "Threads that work on requests.", ONE_REACTOR),
    Key("num.network.threads", INT, 3, at_least(1), "C", "Threads that read and write sockets.", ONE_REACTOR),
    Key("background.threads", INT, 10, at_least(1), "C", "Threads for background work.", ONE_REACTOR),
    Key("num.replica.alter.log.dirs.threads", INT, None, None, "", "Threads that move replicas between directories.", STAY),
    Key("request.timeout.ms", INT, 30000, None, "", "How long a request that is handed on to another broker may take."),
    Key("socket.connection.setup.timeout.ms", LONG, 10000, None, "", "How long a connection to a broker may take to be made."),
    Key("socket.connection.setup.timeout.max.ms", LONG, 30000, None, "", "The same after repeated failures.", "socket.connection.setup.timeout.ms holds however often it failed."),
    Key("controlled.shutdown.enable", BOOLEAN, True, None, "", "Whether leadership is handed over before a stop."),
    Key("controlled.shutdown.max.retries", INT, 3, None, "", "Tries to hand leadership over."),
    Key("controlled.shutdown.retry.backoff.ms", LONG, 5000, None, "", "Pause between those tries."),
    Key("delete.topic.enable", BOOLEAN, True, None, "", "Whether topics may be deleted."),
    Key("compression.type", STRING, "producer", COMPRESSION, "C", "How batches are stored; producer keeps what came."),
    Key("compression.gzip.level", INT, -1, gzip_level, "C", "Level when batches are stored as gzip.", LEVELS),
    Key("compression.lz4.level", INT, 9, between(1, 17), "C", "Level when batches are stored as lz4.", LEVELS),
    Key("compression.zstd.level", INT, 3, between(-131072, 22), "C", "Level when batches are stored as zstd.", LEVELS),
    Key("max.incremental.fetch.session.cache.slots", INT, 1000, at_least(0), "", "Fetch sessions kept at once."),
    Key("fetch.max.bytes", INT, 57671680, at_least(1024), "", "Most bytes of records in one answer to Fetch."),
    Key("max.request.partition.size.limit", INT, 2000, at_least(1), "", "Most partitions in one answer that lists them.", "DescribeTopicPartitions, which it bounds, exists only with KRaft."),
    Key("authorizer.class.name", STRING, "", None, "", "Who decides about access; empty allows everything."),
    Key("create.topic.policy.class.name", CLASS, None, None, "", "Who may refuse new topics.", NO_CLASS),
    Key("alter.config.policy.class.name", CLASS, None, None, "", "Who may refuse configurations.", NO_CLASS),
    # Network
    Key("listeners", STRING, "PLAINTEXT://:9092", None, "B", "Where to listen: NAME://host:port, separated by commas."),
    Key("advertised.listeners", STRING, None, None, "B", "What clients are told instead of listeners."),
    Key("listener.security.protocol.map", STRING, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        None, "B", "Which protocol a listener's name stands for."),
    Key("control.plane.listener.name", STRING, None, None, "", "The listener for the controller's requests, if it has its own.", "the controller's requests come by the listener of the other brokers."),
    Key("inter.broker.listener.name", STRING, None, None, "", "The listener that brokers use among themselves."),
    Key("security.inter.broker.protocol", STRING, "PLAINTEXT", one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), "",
        "The protocol among brokers when no listener is named."),
    Key("inter.broker.protocol.version", STRING, "3.9-IV0", version, "", "The version that brokers speak among themselves.", "requests among brokers have the versions of 3.9."),
    Key("socket.send.buffer.bytes", INT, 102400, None, "", "SO_SNDBUF of accepted connections; -1 leaves the system's."),
    Key("socket.receive.buffer.bytes", INT, 102400, None, "", "SO_RCVBUF of accepted connections; -1 leaves the system's."),
    Key("socket.request.max.bytes", INT, 104857600, at_least(1), "", "Largest request; a larger one closes the connection."),
    Key("socket.listen.backlog.size", INT, 50, at_least(1), "", "Connections that may wait to be accepted."),
    Key("max.connections.per.ip", INT, INT_MAX, at_least(0), "C", "Most connections from one address."),
    Key("max.connections.per.ip.overrides", STRING, "", hosts_and_counts, "C", "The same for single addresses: host:count,..."),
    Key("max.connections", INT, INT_MAX, at_least(0), "C", "Most connections in all."),
    Key("max.connection.creation.rate", INT, INT_MAX, at_least(0), "C", "Most new connections a second.", QUOTAS),
    Key("connections.max.idle.ms", LONG, 600000, None, "", "Idle connections are closed after this time."),
    Key("queued.max.requests", INT, 500, at_least(1), "", "Waiting requests before reading stops.", "reading stops by connection."),
    Key("queued.max.request.bytes", LONG, -1, None, "", "Waiting bytes before reading stops; -1 for no limit.", "reading stops by connection."),
    # A key that Kafka does not have: its metrics are seen through JMX.
    Key("metrics.listeners", STRING, "", http_listeners, "", "Where metrics and health are served: http://host:port, separated by commas; nowhere when empty."),
    # Log
    Key("num.partitions", INT, 1, at_least(1), "", "Partitions of a topic that does not say."),
    Key("log.dir", STRING, "/tmp/kafka-logs", None, "", "Where records are kept, if log.dirs is unset."),
    Key("log.dirs", STRING, None, None, "", "Directories in which records are kept, separated by commas."),
    Key("log.segment.bytes", INT, 1073741824, at_least(14), "C", "Largest file of a partition."),
    Key("log.roll.ms", LONG, None, None, "C", "Longest time in one file; wins over log.roll.hours."),
    Key("log.roll.hours", INT, 168, at_least(1), "", "Longest time in one file, in hours."),
    Key("log.roll.jitter.ms", LONG, None, None, "C", "Random part taken off that time; wins over hours."),
    Key("log.roll.jitter.hours", INT, 0, at_least(0), "", "Random part taken off that time, in hours."),
    Key("log.retention.ms", LONG, None, None, "C", "How long records are kept; -1 for ever. Wins over minutes and hours."),
    Key("log.retention.minutes", INT, None, None, "", "How long records are kept, in minutes. Wins over hours."),
    # Kafka's default is 168 hours; here nothing is thrown away unless the operator says so.
    Key("log.retention.hours", INT, -1, None, "", "How long records are kept, in hours; -1 for ever."),
    Key("log.retention.bytes", LONG, -1, None, "C", "Bytes of a partition that are kept; -1 for no limit."),
    Key("log.retention.check.interval.ms", LONG, 300000, at_least(1), "", "How often retention is looked at."),
    Key("log.cleanup.policy", LIST, ["delete"], list_of("compact", "delete"), "C", "What happens to old records."),
    Key("log.cleaner.enable", BOOLEAN, True, None, "", "Whether compaction runs.", COMPACTION),
    Key("log.cleaner.threads", INT, 1, at_least(0), "C", "Threads that compact.", COMPACTION),
    Key("log.cleaner.io.max.bytes.per.second", DOUBLE, DOUBLE_MAX, None, "C", "Most bytes a second that compaction moves.", COMPACTION),
    Key("log.cleaner.dedupe.buffer.size", LONG, 134217728, None, "C", "Memory for keys while compacting.", COMPACTION),
    Key("log.cleaner.io.buffer.size", INT, 524288, at_least(0), "C", "Memory for reading while compacting.", COMPACTION),
    Key("log.cleaner.io.buffer.load.factor", DOUBLE, 0.9, None, "C", "How full the key memory may get.", COMPACTION),
    Key("log.cleaner.backoff.ms", LONG, 15000, at_least(0), "C", "Pause when there is nothing to compact.", COMPACTION),
    Key("log.cleaner.min.cleanable.ratio", DOUBLE, 0.5, between(0, 1), "C", "Share of new bytes from which compaction starts.", COMPACTION),
    Key("log.cleaner.delete.retention.ms", LONG, 86400000, at_least(0), "C", "How long a delete marker outlives compaction.", COMPACTION),
    Key("log.cleaner.min.compaction.lag.ms", LONG, 0, at_least(0), "C", "Youngest age at which a record may be compacted.", COMPACTION),
    Key("log.cleaner.max.compaction.lag.ms", LONG, LONG_MAX, at_least(1), "C", "Oldest age until which a record may stay uncompacted.", COMPACTION),
    Key("log.index.size.max.bytes", INT, 10485760, at_least(4), "C", "Largest index file."),
    Key("log.index.interval.bytes", INT, 4096, at_least(0), "C", "Bytes of records between index entries."),
    Key("log.flush.interval.messages", LONG, LONG_MAX, at_least(1), "C", "Records after which a partition is forced to disk."),
    Key("log.flush.interval.ms", LONG, None, None, "C", "Time after which a partition is forced to disk."),
    Key("log.flush.scheduler.interval.ms", LONG, LONG_MAX, None, "", "How often that time is looked at."),
    Key("log.flush.offset.checkpoint.interval.ms", INT, 60000, at_least(0), "", "How often recovery points are written."),
    Key("log.flush.start.offset.checkpoint.interval.ms", INT, 60000, at_least(0), "", "How often log start offsets are written."),
    Key("log.segment.delete.delay.ms", LONG, 60000, at_least(0), "C", "How long a deleted file stays under another name."),
    Key("log.preallocate", BOOLEAN, False, None, "C", "Whether a new file gets its full size at once.", EXACT),
    Key("num.recovery.threads.per.data.dir", INT, 1, at_least(1), "C", "Threads that read logs at a start, per directory.", "one thread reads all directories."),
    Key("auto.create.topics.enable", BOOLEAN, True, None, "", "Whether asking for an unknown topic creates it."),
    Key("min.insync.replicas", INT, 1, at_least(1), "C", "Replicas that must have a record before acks=all is answered."),
    Key("log.message.format.version", STRING, "3.0-IV1", version, "", "Deprecated: the format of stored batches.", FORMAT),
    Key("log.message.timestamp.type", STRING, "CreateTime", one_of("CreateTime", "LogAppendTime"), "C", "Whose clock stamps records."),
    Key("log.message.timestamp.difference.max.ms", LONG, LONG_MAX, at_least(0), "C", "Deprecated: bound in both directions."),
    Key("log.message.timestamp.before.max.ms", LONG, LONG_MAX, at_least(0), "C", "How far a record's time may lie in the past."),
    Key("log.message.timestamp.after.max.ms", LONG, LONG_MAX, at_least(0), "C", "How far a record's time may lie in the future."),
    Key("log.message.downconversion.enable", BOOLEAN, True, None, "C", "Whether old consumers get records in their format.", "old consumers always get records in their format."),
    Key("log.dir.failure.timeout.ms", LONG, 30000, at_least(1), "", "How long the loss of a directory may stay untold.", KRAFT),
    # Replication and controller
    Key("default.replication.factor", INT, 1, None, "", "Replicas of a topic that does not say."),
    Key("controller.socket.timeout.ms", INT, 30000, None, "", "How long a request of the controller may take."),
    Key("replica.lag.time.max.ms", LONG, 30000, None, "", "A follower that is behind for longer leaves the in-sync set."),
    Key("replica.socket.timeout.ms", INT, 30000, None, "", "How long a follower's request may take."),
    Key("replica.socket.receive.buffer.bytes", INT, 65536, None, "", "SO_RCVBUF of a follower's connection.", "the system chooses."),
    Key("replica.fetch.max.bytes", INT, 1048576, at_least(0), "", "Bytes a follower asks for per partition."),
    Key("replica.fetch.wait.max.ms", INT, 500, None, "", "How long a follower's fetch may wait."),
    Key("replica.fetch.backoff.ms", INT, 1000, at_least(0), "", "Pause after a follower's fetch failed."),
    Key("replica.fetch.min.bytes", INT, 1, None, "", "Bytes a follower waits for."),
    Key("replica.fetch.response.max.bytes", INT, 10485760, at_least(0), "", "Bytes a follower asks for in all."),
    Key("num.replica.fetchers", INT, 1, None, "C", "Connections to one leader.", "a follower has one connection to each leader."),
    Key("replica.high.watermark.checkpoint.interval.ms", LONG, 5000, None, "", "How often high watermarks are written."),
    Key("replication.quota.window.num", INT, 11, at_least(1), "", "Windows that the rates of throttled replicas are measured over."),
    Key("replication.quota.window.size.seconds", INT, 1, at_least(1), "", "Length of each."),
    Key("fetch.purgatory.purge.interval.requests", INT, 1000, None, "", "How often finished fetches are swept out.", NOTHING_TO_PURGE),
    Key("producer.purgatory.purge.interval.requests", INT, 1000, None, "", "How often finished produce requests are swept out.", NOTHING_TO_PURGE),
    Key("delete.records.purgatory.purge.interval.requests", INT, 1, None, "", "How often finished deletions are swept out.", NOTHING_TO_PURGE),
    Key("auto.leader.rebalance.enable", BOOLEAN, True, None, "", "Whether leadership goes back to preferred replicas by itself."),
    Key("leader.imbalance.per.broker.percentage", INT, 10, None, "", "Share of misplaced leaders from which that happens."),
    Key("leader.imbalance.check.interval.seconds", LONG, 300, at_least(1), "", "How often it is looked at."),
    Key("unclean.leader.election.enable", BOOLEAN, False, None, "C", "Whether a replica that may lack records may lead."),
    # A key that Kafka does not have (after KIP-966): Kafka trusts the last in-sync replica whatever happened to it.
    Key("unclean.recovery.timeout.ms", LONG, 60000, at_least(0), "", "How long former in-sync replicas are waited for when the last one was not stopped cleanly."),
    Key("replica.selector.class", STRING, None, None, "", "How a consumer's replica is chosen: the rack-aware one, or none."),
    # Groups and offsets
    # A key that Kafka does not have: Kafka stores what OffsetCommit v1 and later commit in __consumer_offsets.
    Key("offsets.storage", STRING, "zookeeper", one_of("zookeeper", "kafka"), "", "Where committed offsets are kept."),
    Key("group.min.session.timeout.ms", INT, 6000, None, "", "Shortest session timeout that a consumer may ask for."),
    Key("group.max.session.timeout.ms", INT, 1800000, None, "", "Longest session timeout that a consumer may ask for."),
    Key("group.initial.rebalance.delay.ms", INT, 3000, None, "", "How long a new group waits for more members."),
    Key("group.max.size", INT, INT_MAX, at_least(1), "", "Most members of a group."),
    Key("group.coordinator.rebalance.protocols", LIST, ["classic"], list_of("consumer", "classic", "share", "unknown"), "", "Group protocols that are served.", "ZooKeeper mode has classic groups only."),
    Key("offset.metadata.max.bytes", INT, 4096, None, "", "Longest note beside a committed offset."),
    Key("offsets.load.buffer.size", INT, 5242880, at_least(1), "", "Bytes read at once while groups are loaded.", "logs are read in pieces of a fixed size."),
    Key("offsets.topic.replication.factor", SHORT, 3, at_least(1), "", "Replicas of __consumer_offsets."),
    Key("offsets.topic.num.partitions", INT, 50, at_least(1), "", "Partitions of __consumer_offsets."),
    Key("offsets.topic.segment.bytes", INT, 104857600, at_least(1), "", "Largest file of __consumer_offsets."),
    Key("offsets.topic.compression.codec", INT, 0, compression_id, "", "How records in __consumer_offsets are compressed.", "records of offsets are stored uncompressed."),
    Key("offsets.retention.minutes", INT, 10080, at_least(1), "", "How long the offsets of an empty group are kept."),
    Key("offsets.retention.check.interval.ms", LONG, 600000, at_least(1), "", "How often that is looked at."),
    Key("offsets.commit.timeout.ms", INT, 5000, at_least(1), "", "How long a commit may wait for its storage."),
    Key("offsets.commit.required.acks", SHORT, -1, None, "", "Acknowledgements for records in __consumer_offsets.", "a commit always waits for all in-sync replicas."),
    # Transactions
    Key("transaction.state.log.min.isr", INT, 2, at_least(1), "", "min.insync.replicas of __transaction_state.", TRANSACTIONS),
    Key("transaction.state.log.replication.factor", SHORT, 3, at_least(1), "", "Replicas of __transaction_state.", TRANSACTIONS),
    Key("transaction.state.log.num.partitions", INT, 50, at_least(1), "", "Partitions of __transaction_state.", TRANSACTIONS),
    Key("transaction.state.log.segment.bytes", INT, 104857600, at_least(1), "", "Largest file of __transaction_state.", TRANSACTIONS),
    Key("transaction.max.timeout.ms", INT, 900000, at_least(1), "", "Longest transaction that a producer may ask for.", TRANSACTIONS),
    Key("transactional.id.expiration.ms", INT, 604800000, at_least(1), "", "An unused transactional id is forgotten after this time.", TRANSACTIONS),
    Key("producer.id.expiration.ms", INT, 86400000, at_least(1), "C", "An unused producer id is forgotten after this time."),
    Key("producer.id.expiration.check.interval.ms", INT, 600000, at_least(1), "", "How often that is looked at.", internal=True),
    *UNUSED,
)}

# These exist only as dynamic configuration of brokers: the rates of what TOPIC's ...throttled.replicas name.
DYNAMIC_ONLY: dict[str, Key] = {key.name: key for key in (
    Key("leader.replication.throttled.rate", LONG, LONG_MAX, at_least(0), "C", "Bytes a second that throttled leaders send."),
    Key("follower.replication.throttled.rate", LONG, LONG_MAX, at_least(0), "C", "Bytes a second that throttled followers fetch."),
    Key("replica.alter.log.dirs.io.max.bytes.per.second", LONG, LONG_MAX, at_least(0), "C", "Bytes a second that moves between directories copy.", STAY),
)}
# fmt: on
