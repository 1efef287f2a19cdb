"""DescribeCluster: an admin asks for the brokers, the controller and the cluster id (KIP-700).

v1   endpoint_type: 1 brokers, 2 controllers (KIP-919)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 60, "DescribeCluster", (0, 1), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    include_cluster_authorized_operations = boolean()
    endpoint_type = int8("1+", default=1)  # 1: brokers, 2: controllers


class DescribeClusterBroker(Struct):
    broker_id = int32()
    host = string()
    port = int32()
    rack = string(nullable="0+", default=None)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+", default=None)
    endpoint_type = int8("1+", default=1)
    cluster_id = string()
    controller_id = int32(default=-1)
    brokers = array(DescribeClusterBroker)
    cluster_authorized_operations = int32(default=-2147483648)
