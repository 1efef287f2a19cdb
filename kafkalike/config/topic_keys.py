"""The topic keys: one line each, as "Topic Configs" of Apache Kafka 3.9's documentation has them.

A key that nothing reads says why in its line, as in broker_keys.py.
"""

from __future__ import annotations

from kafkalike.config.broker_keys import COMPRESSION
from kafkalike.config.keys import TopicKey
from kafkalike.config.unused_keys import COMPACTION, EXACT, FORMAT, LEVELS, TIERED
from kafkalike.config.validators import at_least, between, gzip_level, list_of, one_of, throttled, version
from kafkalike.config.values import BOOLEAN, DOUBLE, INT, LIST, LONG, STRING

# fmt: off
TOPIC: dict[str, TopicKey] = {key.name: key for key in (
    TopicKey("cleanup.policy", LIST, (("log.cleanup.policy", 1),), None, list_of("compact", "delete"), "What happens to old records."),
    TopicKey("compression.gzip.level", INT, (("compression.gzip.level", 1),), None, gzip_level, "Level when batches are stored as gzip.", LEVELS),
    TopicKey("compression.lz4.level", INT, (("compression.lz4.level", 1),), None, between(1, 17), "Level when batches are stored as lz4.", LEVELS),
    TopicKey("compression.type", STRING, (("compression.type", 1),), None, COMPRESSION, "How batches are stored; producer keeps what came."),
    TopicKey("compression.zstd.level", INT, (("compression.zstd.level", 1),), None, between(-131072, 22), "Level when batches are stored as zstd.", LEVELS),
    TopicKey("delete.retention.ms", LONG, (("log.cleaner.delete.retention.ms", 1),), None, at_least(0), "How long a delete marker outlives compaction.", COMPACTION),
    TopicKey("file.delete.delay.ms", LONG, (("log.segment.delete.delay.ms", 1),), None, at_least(0), "How long a deleted file stays under another name."),
    TopicKey("flush.messages", LONG, (("log.flush.interval.messages", 1),), None, at_least(1), "Records after which the partition is forced to disk."),
    TopicKey("flush.ms", LONG, (("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)), None, at_least(0), "Time after which the partition is forced to disk."),
    TopicKey("follower.replication.throttled.replicas", LIST, (), [], throttled, "Followers whose copying is throttled: partition:broker, or *."),
    TopicKey("index.interval.bytes", INT, (("log.index.interval.bytes", 1),), None, at_least(0), "Bytes of records between index entries."),
    TopicKey("leader.replication.throttled.replicas", LIST, (), [], throttled, "Leaders whose copying is throttled: partition:broker, or *."),
    TopicKey("local.retention.bytes", LONG, (("log.local.retention.bytes", 1),), None, at_least(-2), "Bytes kept here when old records move elsewhere.", TIERED),
    TopicKey("local.retention.ms", LONG, (("log.local.retention.ms", 1),), None, at_least(-2), "Time kept here when old records move elsewhere.", TIERED),
    TopicKey("max.compaction.lag.ms", LONG, (("log.cleaner.max.compaction.lag.ms", 1),), None, at_least(1), "Oldest age until which a record may stay uncompacted.", COMPACTION),
    TopicKey("max.message.bytes", INT, (("message.max.bytes", 1),), None, at_least(0), "Largest record batch that is accepted."),
    TopicKey("message.downconversion.enable", BOOLEAN, (("log.message.downconversion.enable", 1),), None, None, "Whether old consumers get records in their format.", "old consumers always get records in their format."),
    TopicKey("message.format.version", STRING, (("log.message.format.version", 1),), None, version, "Deprecated: the format of stored batches.", FORMAT),
    TopicKey("message.timestamp.after.max.ms", LONG, (("log.message.timestamp.after.max.ms", 1),), None, at_least(0), "How far a record's time may lie in the future."),
    TopicKey("message.timestamp.before.max.ms", LONG, (("log.message.timestamp.before.max.ms", 1),), None, at_least(0), "How far a record's time may lie in the past."),
    TopicKey("message.timestamp.difference.max.ms", LONG, (("log.message.timestamp.difference.max.ms", 1),), None, at_least(0), "Deprecated: bound in both directions."),
    TopicKey("message.timestamp.type", STRING, (("log.message.timestamp.type", 1),), None, one_of("CreateTime", "LogAppendTime"), "Whose clock stamps records."),
    TopicKey("min.cleanable.dirty.ratio", DOUBLE, (("log.cleaner.min.cleanable.ratio", 1),), None, between(0, 1), "Share of new bytes from which compaction starts.", COMPACTION),
    TopicKey("min.compaction.lag.ms", LONG, (("log.cleaner.min.compaction.lag.ms", 1),), None, at_least(0), "Youngest age at which a record may be compacted.", COMPACTION),
    TopicKey("min.insync.replicas", INT, (("min.insync.replicas", 1),), None, at_least(1), "Replicas that must have a record before acks=all is answered."),
    TopicKey("preallocate", BOOLEAN, (("log.preallocate", 1),), None, None, "Whether a new file gets its full size at once.", EXACT),
    TopicKey("remote.log.copy.disable", BOOLEAN, (), False, None, "", TIERED),
    TopicKey("remote.log.delete.on.disable", BOOLEAN, (), False, None, "", TIERED),
    TopicKey("remote.storage.enable", BOOLEAN, (), False, None, "", TIERED),
    TopicKey("retention.bytes", LONG, (("log.retention.bytes", 1),), None, None, "Bytes of a partition that are kept; -1 for no limit."),
    TopicKey("retention.ms", LONG, (("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)), None, at_least(-1), "How long records are kept; -1 for ever."),
    TopicKey("segment.bytes", INT, (("log.segment.bytes", 1),), None, at_least(14), "Largest file of the partition."),
    TopicKey("segment.index.bytes", INT, (("log.index.size.max.bytes", 1),), None, at_least(4), "Largest index file."),
    TopicKey("segment.jitter.ms", LONG, (("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)), None, at_least(0), "Random part taken off segment.ms."),
    TopicKey("segment.ms", LONG, (("log.roll.ms", 1), ("log.roll.hours", 3_600_000)), None, at_least(1), "Longest time in one file."),
    TopicKey("unclean.leader.election.enable", BOOLEAN, (("unclean.leader.election.enable", 1),), None, None, "Whether a replica that may lack records may lead."),
)}
# fmt: on
