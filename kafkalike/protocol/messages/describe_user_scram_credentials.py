"""DescribeUserScramCredentials: an admin asks which users have SCRAM credentials, of which mechanisms (KIP-554)."""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 50, "DescribeUserScramCredentials", (0, 0), 0


class UserName(Struct):
    name = string()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    users = array(UserName, nullable="0+")


class CredentialInfo(Struct):
    mechanism = int8()
    iterations = int32()


class DescribeUserScramCredentialsResult(Struct):
    user = string()
    error_code = int16()
    error_message = string(nullable="0+")
    credential_infos = array(CredentialInfo)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    results = array(DescribeUserScramCredentialsResult)
