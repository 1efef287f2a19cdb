"""UpdateFeatures: an admin raises or lowers the finalized versions of features (KIP-584).

v1   upgrade_type in place of allow_downgrade; validate_only
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 57, "UpdateFeatures", (0, 1), 0


class FeatureUpdateKey(Struct):
    feature = string()
    max_version_level = int16()
    allow_downgrade = boolean("0")
    upgrade_type = int8("1+", default=1)  # 1: upgrade, 2: safe downgrade, 3: unsafe downgrade


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    timeout_ms = int32(default=60000)
    feature_updates = array(FeatureUpdateKey)
    validate_only = boolean("1+")


class UpdatableFeatureResult(Struct):
    feature = string()
    error_code = int16()
    error_message = string(nullable="0+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    results = array(UpdatableFeatureResult)
