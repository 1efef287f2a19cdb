"""Kafka's error codes, and the two exceptions that the rest of the broker raises.

`KafkaError` is expected: it becomes a code in the answer. `ProtocolError` means that the peer broke the wire: the
connection is closed. Anything else that is raised is our own mistake.
"""

from enum import IntEnum

# Retriable: a client may send the same request again and expect another answer.
RETRY, FINAL = True, False


class Error(IntEnum):
    """One line per error code: its number, whether a client may retry, what it means. `Error(code)` never fails."""

    retriable: bool
    message: str

    def __new__(cls, code: int, retriable: bool = FINAL, message: str = "") -> "Error":
        error = int.__new__(cls, code)
        error._value_ = code
        error.retriable = retriable
        error.message = message
        return error

    @classmethod
    def _missing_(cls, value: object) -> "Error":
        """A code from a newer peer reads as the unknown error, as Kafka's own clients read it."""
        return cls.UNKNOWN_SERVER_ERROR

    UNKNOWN_SERVER_ERROR = -1, FINAL, "The broker failed in a way it did not foresee."
    NONE = 0, FINAL, "No error."
    OFFSET_OUT_OF_RANGE = 1, FINAL, "The offset lies outside what the log still holds."
    CORRUPT_MESSAGE = 2, RETRY, "The data fail their checksum or are malformed."
    UNKNOWN_TOPIC_OR_PARTITION = 3, RETRY, "This broker does not have that topic or partition."
    INVALID_FETCH_SIZE = 4, FINAL, "The fetch size is not valid."
    LEADER_NOT_AVAILABLE = 5, RETRY, "The partition has no leader at the moment."
    NOT_LEADER_OR_FOLLOWER = 6, RETRY, "This broker does not lead the partition, or is no replica of it."
    REQUEST_TIMED_OUT = 7, RETRY, "The request was not finished in its time."
    BROKER_NOT_AVAILABLE = 8, FINAL, "The broker cannot be reached."
    REPLICA_NOT_AVAILABLE = 9, RETRY, "The broker has no replica of the partition that it can serve."
    MESSAGE_TOO_LARGE = 10, FINAL, "A batch is larger than the topic's max.message.bytes."
    STALE_CONTROLLER_EPOCH = 11, FINAL, "The sender is no longer the controller."
    OFFSET_METADATA_TOO_LARGE = 12, FINAL, "The metadata string of the offset is too long."
    NETWORK_EXCEPTION = 13, RETRY, "The connection was lost before the answer came."
    COORDINATOR_LOAD_IN_PROGRESS = 14, RETRY, "The coordinator is still reading its state."
    COORDINATOR_NOT_AVAILABLE = 15, RETRY, "There is no coordinator at the moment."
    NOT_COORDINATOR = 16, RETRY, "This broker is not the coordinator asked for."
    INVALID_TOPIC_EXCEPTION = 17, FINAL, "The topic's name is not allowed, or the topic may not be used this way."
    RECORD_LIST_TOO_LARGE = 18, FINAL, "The batches do not fit into one segment."
    NOT_ENOUGH_REPLICAS = 19, RETRY, "Too few replicas are in sync to accept the data."
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, RETRY, "The data were appended, but too few replicas are in sync."
    INVALID_REQUIRED_ACKS = 21, FINAL, "acks must be -1, 0 or 1."
    ILLEGAL_GENERATION = 22, FINAL, "The group is in another generation."
    INCONSISTENT_GROUP_PROTOCOL = 23, FINAL, "The member shares no protocol with the group, or names none."
    INVALID_GROUP_ID = 24, FINAL, "The group id is not valid."
    UNKNOWN_MEMBER_ID = 25, FINAL, "The group has no such member."
    INVALID_SESSION_TIMEOUT = 26, FINAL, "The session timeout lies outside the broker's limits."
    REBALANCE_IN_PROGRESS = 27, FINAL, "The group rebalances; the member has to join again."
    INVALID_COMMIT_OFFSET_SIZE = 28, FINAL, "The committed data are too large."
    TOPIC_AUTHORIZATION_FAILED = 29, FINAL, "The principal may not do this with the topic."
    GROUP_AUTHORIZATION_FAILED = 30, FINAL, "The principal may not do this with the group."
    CLUSTER_AUTHORIZATION_FAILED = 31, FINAL, "The principal may not do this with the cluster."
    INVALID_TIMESTAMP = 32, FINAL, "A timestamp lies outside the accepted range."
    UNSUPPORTED_SASL_MECHANISM = 33, FINAL, "The SASL mechanism is not enabled here."
    ILLEGAL_SASL_STATE = 34, FINAL, "The request does not fit the state of the authentication."
    UNSUPPORTED_VERSION = 35, FINAL, "The version of the request is not supported."
    TOPIC_ALREADY_EXISTS = 36, FINAL, "A topic with this name exists."
    INVALID_PARTITIONS = 37, FINAL, "The number of partitions is not valid."
    INVALID_REPLICATION_FACTOR = 38, FINAL, "The replication factor is below 1 or above the number of brokers."
    INVALID_REPLICA_ASSIGNMENT = 39, FINAL, "The assignment of replicas is not valid."
    INVALID_CONFIG = 40, FINAL, "The configuration is not valid."
    NOT_CONTROLLER = 41, RETRY, "This broker is not the controller."
    INVALID_REQUEST = 42, FINAL, "The request contradicts itself or lacks something."
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, FINAL, "The message format does not allow this."
    POLICY_VIOLATION = 44, FINAL, "A configured policy forbids this."
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, FINAL, "The producer's sequence has a gap."
    DUPLICATE_SEQUENCE_NUMBER = 46, FINAL, "The producer's sequence was seen before."
    INVALID_PRODUCER_EPOCH = 47, FINAL, "The producer's epoch is old."
    INVALID_TXN_STATE = 48, FINAL, "The transaction is not in a state that allows this."
    INVALID_PRODUCER_ID_MAPPING = 49, FINAL, "The producer id does not belong to the transactional id."
    INVALID_TRANSACTION_TIMEOUT = 50, FINAL, "The transaction timeout is above transaction.max.timeout.ms."
    CONCURRENT_TRANSACTIONS = 51, RETRY, "Another operation on the transaction is under way."
    TRANSACTION_COORDINATOR_FENCED = 52, FINAL, "The sender no longer coordinates the transaction."
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, FINAL, "The principal may not use the transactional id."
    SECURITY_DISABLED = 54, FINAL, "No authorizer is configured."
    OPERATION_NOT_ATTEMPTED = 55, FINAL, "Not tried, because another part of the request failed."
    KAFKA_STORAGE_ERROR = 56, RETRY, "The log directory failed."
    LOG_DIR_NOT_FOUND = 57, FINAL, "The broker has no such log directory."
    SASL_AUTHENTICATION_FAILED = 58, FINAL, "The credentials were refused."
    UNKNOWN_PRODUCER_ID = 59, FINAL, "Nothing is known of the producer id any more."
    REASSIGNMENT_IN_PROGRESS = 60, FINAL, "The partition is being reassigned."
    DELEGATION_TOKEN_AUTH_DISABLED = 61, FINAL, "Delegation tokens are not enabled."
    DELEGATION_TOKEN_NOT_FOUND = 62, FINAL, "There is no such delegation token."
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, FINAL, "The principal neither owns nor may renew the token."
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, FINAL, "Tokens cannot be asked for over this kind of connection."
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, FINAL, "The principal may not do this with the token."
    DELEGATION_TOKEN_EXPIRED = 66, FINAL, "The delegation token has expired."
    INVALID_PRINCIPAL_TYPE = 67, FINAL, "This type of principal is not supported."
    NON_EMPTY_GROUP = 68, FINAL, "The group still has members."
    GROUP_ID_NOT_FOUND = 69, FINAL, "There is no such group."
    FETCH_SESSION_ID_NOT_FOUND = 70, RETRY, "The fetch session is not known any more."
    INVALID_FETCH_SESSION_EPOCH = 71, RETRY, "The fetch session is at another epoch."
    LISTENER_NOT_FOUND = 72, RETRY, "The leader has no listener of the name the request came in on."
    TOPIC_DELETION_DISABLED = 73, FINAL, "delete.topic.enable is false."
    FENCED_LEADER_EPOCH = 74, RETRY, "The request carries an older leader epoch than the broker's."
    UNKNOWN_LEADER_EPOCH = 75, RETRY, "The request carries a newer leader epoch than the broker's."
    UNSUPPORTED_COMPRESSION_TYPE = 76, FINAL, "The version of the request does not know the batch's compression."
    STALE_BROKER_EPOCH = 77, FINAL, "The broker has registered anew since."
    OFFSET_NOT_AVAILABLE = 78, RETRY, "The new leader does not know the high watermark yet."
    MEMBER_ID_REQUIRED = 79, FINAL, "The member has to join again with the id given to it."
    PREFERRED_LEADER_NOT_AVAILABLE = 80, RETRY, "The preferred leader is not alive or not in sync."
    GROUP_MAX_SIZE_REACHED = 81, FINAL, "The group is full."
    FENCED_INSTANCE_ID = 82, FINAL, "Another member uses the same group.instance.id."
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, RETRY, "No replica may lead the partition."
    ELECTION_NOT_NEEDED = 84, RETRY, "The partition is led as it should be."
    NO_REASSIGNMENT_IN_PROGRESS = 85, FINAL, "The partition is not being reassigned."
    GROUP_SUBSCRIBED_TO_TOPIC = 86, FINAL, "The group still consumes the topic."
    INVALID_RECORD = 87, FINAL, "A record is not valid."
    UNSTABLE_OFFSET_COMMIT = 88, RETRY, "Offsets of an open transaction are pending."
    THROTTLING_QUOTA_EXCEEDED = 89, RETRY, "The quota is used up for now."
    PRODUCER_FENCED = 90, FINAL, "A newer producer uses the same transactional id."
    RESOURCE_NOT_FOUND = 91, FINAL, "The request names something that does not exist."
    DUPLICATE_RESOURCE = 92, FINAL, "The request names the same thing twice."
    UNACCEPTABLE_CREDENTIAL = 93, FINAL, "The credential does not meet the requirements."
    INCONSISTENT_VOTER_SET = 94, FINAL, "Sender and receiver are not both voters."
    INVALID_UPDATE_VERSION = 95, FINAL, "The version given for the update is not valid."
    FEATURE_UPDATE_FAILED = 96, FINAL, "The features could not be updated."
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, FINAL, "The principal of a forwarded request could not be read."
    SNAPSHOT_NOT_FOUND = 98, FINAL, "There is no such snapshot."
    POSITION_OUT_OF_RANGE = 99, FINAL, "The position is not valid in this snapshot."
    UNKNOWN_TOPIC_ID = 100, RETRY, "This broker does not know the topic id."
    DUPLICATE_BROKER_REGISTRATION = 101, FINAL, "The broker id is taken."
    BROKER_ID_NOT_REGISTERED = 102, FINAL, "No broker with this id is registered."
    INCONSISTENT_TOPIC_ID = 103, RETRY, "The log belongs to another topic id."
    INCONSISTENT_CLUSTER_ID = 104, FINAL, "The request is meant for another cluster."
    TRANSACTIONAL_ID_NOT_FOUND = 105, FINAL, "There is no such transactional id."
    FETCH_SESSION_TOPIC_ID_ERROR = 106, RETRY, "The fetch session mixes topic ids and topic names."
    INELIGIBLE_REPLICA = 107, FINAL, "The proposed ISR has a replica that may not be in it."
    NEW_LEADER_ELECTED = 108, FINAL, "The change was made, and the partition has a new leader."
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, FINAL, "The offset has moved to remote storage."
    FENCED_MEMBER_EPOCH = 110, FINAL, "The member is fenced; it has to give up its partitions and join again."
    UNRELEASED_INSTANCE_ID = 111, FINAL, "Another member still holds the instance id."
    UNSUPPORTED_ASSIGNOR = 112, FINAL, "The group does not support the assignor."
    STALE_MEMBER_EPOCH = 113, FINAL, "The member has not learnt its new epoch yet."
    MISMATCHED_ENDPOINT_TYPE = 114, FINAL, "The request came to the wrong kind of endpoint."
    UNSUPPORTED_ENDPOINT_TYPE = 115, FINAL, "This kind of endpoint is not supported."
    UNKNOWN_CONTROLLER_ID = 116, FINAL, "No controller has this id."
    UNKNOWN_SUBSCRIPTION_ID = 117, FINAL, "The telemetry subscription is unknown or outdated."
    TELEMETRY_TOO_LARGE = 118, FINAL, "The telemetry is larger than the broker takes."
    INVALID_REGISTRATION = 119, FINAL, "The registration of the broker is not valid."
    TRANSACTION_ABORTABLE = 120, FINAL, "The transaction failed; after an abort the producer can go on."
    INVALID_RECORD_STATE = 121, FINAL, "The record cannot be acknowledged in its state."
    SHARE_SESSION_NOT_FOUND = 122, RETRY, "The share session is not known."
    INVALID_SHARE_SESSION_EPOCH = 123, RETRY, "The share session is at another epoch."
    FENCED_STATE_EPOCH = 124, FINAL, "The state of the share group is at another epoch."
    INVALID_VOTER_KEY = 125, FINAL, "The voter's key is not the receiver's."
    DUPLICATE_VOTER = 126, FINAL, "The voter is already one."
    VOTER_NOT_FOUND = 127, FINAL, "There is no such voter."


class KafkaError(Exception):
    """Something the protocol has a code for; `message` goes where an answer has room for a sentence."""

    def __init__(self, error: Error, message: str | None = None) -> None:
        super().__init__(error, message)
        self.error = Error(error)
        self.message = message if message is not None else self.error.message

    def __str__(self) -> str:
        return f"{self.error.name}: {self.message}"


class ProtocolError(Exception):
    """The peer sent bytes that are no Kafka; nothing after them can be trusted."""
