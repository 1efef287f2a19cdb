"""ControlledShutdown: a broker that is about to stop asks the controller to move its leaderships away.

The answer lists the partitions that it still leads. The header of version 0 has no client id.

    v2   broker_epoch
    v3   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 7, "ControlledShutdown", (0, 3), 3


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    broker_id = int32()
    broker_epoch = int64("2+", default=-1, ignorable=True)


class RemainingPartition(Struct):
    topic_name = string()
    partition_index = int32()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    remaining_partitions = array(RemainingPartition)
