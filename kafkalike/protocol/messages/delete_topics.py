"""DeleteTopics: an admin deletes topics, by name or by id.

v1   throttle time in the answer
v3   TOPIC_DELETION_DISABLED may be answered
v4   flexible
v5   a message with each error; THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
v6   topics by id: each is named by one of name and topic_id
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 20, "DeleteTopics", (0, 6), 4


class DeleteTopicState(Struct):
    name = string("6+", nullable="6+", default=None)  # null: by topic_id
    topic_id = uuid("6+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(DeleteTopicState, "6+")
    topic_names = array(string, "0-5", ignorable=True)
    timeout_ms = int32()


class DeletableTopicResult(Struct):
    name = string(nullable="6+")
    topic_id = uuid("6+", ignorable=True)
    error_code = int16()
    error_message = string("5+", nullable="5+", default=None, ignorable=True)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    responses = array(DeletableTopicResult)
