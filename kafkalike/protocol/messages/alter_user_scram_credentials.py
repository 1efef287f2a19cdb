"""AlterUserScramCredentials: an admin sets or deletes SCRAM credentials; the password comes salted (KIP-554)."""

from kafkalike.protocol.schema import Message, Struct, array, binary, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 51, "AlterUserScramCredentials", (0, 0), 0


class ScramCredentialDeletion(Struct):
    name = string()
    mechanism = int8()


class ScramCredentialUpsertion(Struct):
    name = string()
    mechanism = int8()  # 1: SCRAM-SHA-256, 2: SCRAM-SHA-512
    iterations = int32()
    salt = binary()
    salted_password = binary()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    deletions = array(ScramCredentialDeletion)
    upsertions = array(ScramCredentialUpsertion)


class AlterUserScramCredentialsResult(Struct):
    user = string()
    error_code = int16()
    error_message = string(nullable="0+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(AlterUserScramCredentialsResult)
