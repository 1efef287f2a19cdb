"""ApiVersions: the first request of a connection; which versions of which APIs does this broker serve?

It has two rules of its own, because the client does not know yet what the broker can read. The header of the answer is
never flexible. And a request whose version is too new is answered by a body of version 0 with UNSUPPORTED_VERSION and,
so that the client may choose again, the versions of ApiVersions itself (KIP-511): `unsupported()`.

    v1   throttle time in the answer
    v3   flexible; name and version of the client's software; features of the cluster (KIP-584)
    v4   features may have 0 as their least version
"""

from kafkalike.errors import Error
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


def unsupported() -> Response:
    """The answer, sent as version 0, to a request of a version that is not served."""
    own = ApiVersion(api_key=API_KEY, min_version=VERSIONS[0], max_version=VERSIONS[1])
    return Response(error_code=Error.UNSUPPORTED_VERSION, api_keys=[own])
