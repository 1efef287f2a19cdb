"""ApiVersions: TODO."""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 18, "ApiVersions", (0, 4), 3


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    client_software_name = string("3+", ignorable=True)
    client_software_version = string("3+", ignorable=True)


class ApiVersion(Struct):
    api_key = int16()
    min_version = int16()
    max_version = int16()


class SupportedFeatureKey(Struct):
    name = string("3+")
    min_version = int16("3+")
    max_version = int16("3+")


class FinalizedFeatureKey(Struct):
    name = string("3+")
    max_version_level = int16("3+")
    min_version_level = int16("3+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    api_keys = array(ApiVersion)
    throttle_time_ms = int32("1+", ignorable=True)
    supported_features = array(SupportedFeatureKey, "3+", ignorable=True, tag=0)
    finalized_features_epoch = int64("3+", default=-1, ignorable=True, tag=1)
    finalized_features = array(FinalizedFeatureKey, "3+", ignorable=True, tag=2)
    zk_migration_ready = boolean("3+", ignorable=True, tag=3)
