"""DescribeLogDirs: an admin asks for this broker's log directories and the replicas in them.

v2   flexible
v3   an error for the whole answer
v4   size of the volume and what is left of it
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 35, "DescribeLogDirs", (0, 4), 2


class DescribableLogDirTopic(Struct):
    topic = string()
    partitions = array(int32)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(DescribableLogDirTopic, nullable="0+")  # null: all


class DescribeLogDirsPartition(Struct):
    partition_index = int32()
    partition_size = int64()
    offset_lag = int64()
    is_future_key = boolean()


class DescribeLogDirsTopic(Struct):
    name = string()
    partitions = array(DescribeLogDirsPartition)


class DescribeLogDirsResult(Struct):
    error_code = int16()
    log_dir = string()
    topics = array(DescribeLogDirsTopic)
    total_bytes = int64("4+", default=-1, ignorable=True)
    usable_bytes = int64("4+", default=-1, ignorable=True)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16("3+", ignorable=True)
    results = array(DescribeLogDirsResult)
