"""What passes the gates, in which order, and that a gate which is not configured is not there."""

from types import SimpleNamespace

import pytest

from kafkalike.broker.access import Operation, Resource
from kafkalike.broker.dispatch import Dispatch
from kafkalike.broker.gates import NO_GATES, Gated, call_class, configured
from kafkalike.broker.request import Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import delete_records, delete_topics, produce
from tests.broker import test_produce_fast_path as fast_path
from tests.broker.recording_connection import DELETE_RECORDS, Connection, body, delete_records_call, frame, handled_by

DELETE_TOPICS = 20


class Authorizer:
    """Allows everything but what it is told to refuse, and keeps what it was asked."""

    def __init__(self, *refused):
        self.refused = refused
        self.asked = []

    def allows(self, principal, host, operation, resource, name):
        self.asked.append((principal, host, operation, resource, name))
        return (resource, name) not in self.refused and name not in self.refused


class Quotas:
    def __init__(self, told=None, throttle_ms=0):
        self.told = [] if told is None else told
        self.ms = throttle_ms
        self.muted = []

    def throttle_ms(self, call):
        self.told.append("quota")
        return self.ms

    def mute(self, connection, throttle_ms):
        self.told.append("throttle")
        self.muted.append(throttle_ms)


def dispatch(**configuration):
    return Dispatch(fast_path.broker(), configured(**configuration))


def test_without_configuration_calls_are_plain():
    assert configured() == NO_GATES
    assert call_class(configured()) is Call


def test_the_gates_stand_in_their_order():
    told = []
    authorizer = Authorizer()
    authorizer.allows = lambda *what: told.append("access") or True
    all_of_them = dispatch(authorizer=authorizer, quotas=Quotas(told, 7))
    handled_by(all_of_them, DELETE_TOPICS, lambda broker, call: told.append("handler") or delete_topics.Response())
    request = delete_topics.Request(topic_names=["t"])
    call = all_of_them.begin(Connection(), frame(DELETE_TOPICS, 4, request.encode(4)))
    call.run()
    assert told == ["access", "quota", "handler", "throttle"]
    assert delete_topics.Response.decode(4, body(call)).throttle_time_ms == 7


def test_a_request_of_which_a_part_is_refused_is_served_for_the_rest():
    authorizer = Authorizer("b")
    one = dispatch(authorizer=authorizer)
    seen = []

    def handler(broker, call):
        seen.extend(call.request.topic_names)
        return delete_topics.Response(
            responses=[delete_topics.DeletableTopicResult(name=name) for name in call.request.topic_names]
        )

    handled_by(one, DELETE_TOPICS, handler)
    request = delete_topics.Request(topic_names=["a", "b", "c"])
    call = one.begin(Connection(), frame(DELETE_TOPICS, 4, request.encode(4)))
    call.run()
    answer = delete_topics.Response.decode(4, body(call))
    assert seen == ["a", "c"]
    assert [(each.name, each.error_code) for each in answer.responses] == [
        ("a", 0), ("c", 0), ("b", Error.TOPIC_AUTHORIZATION_FAILED)
    ]  # fmt: skip
    assert authorizer.asked[0] == ("User:ANONYMOUS", "127.0.0.1", Operation.DELETE, Resource.TOPIC, "a")


def test_the_principal_is_what_the_connection_found_out():
    authorizer = Authorizer()
    one = dispatch(authorizer=authorizer)
    handled_by(one, DELETE_TOPICS, lambda broker, call: delete_topics.Response())
    connection = Connection()
    connection.principal = "User:alice"
    one.begin(connection, frame(DELETE_TOPICS, 4, delete_topics.Request(topic_names=["a"]).encode(4))).run()
    assert [who for who, *_ in authorizer.asked] == ["User:alice"]


def test_what_a_module_has_no_words_for_is_refused_as_its_messages_are_declared():
    one = dispatch(authorizer=Authorizer("t"))
    handled_by(one, DELETE_RECORDS, lambda broker, call: delete_records.Response())
    partition = delete_records.DeleteRecordsPartition(partition_index=3)
    topic = delete_records.DeleteRecordsTopic(name="t", partitions=[partition])
    call = one.begin(Connection(), frame(DELETE_RECORDS, 2, delete_records.Request(topics=[topic]).encode(2)))
    call.run()
    (told,) = delete_records.Response.decode(2, body(call)).topics
    (refused,) = told.partitions
    assert ("t", 3, Error.TOPIC_AUTHORIZATION_FAILED) == (told.name, refused.partition_index, refused.error_code)


@pytest.mark.parametrize("acks", [-1, 1])
def test_a_produce_request_that_repeats_another_is_refused_like_the_first(acks):
    """The fast path is not taken when a gate has to see the request."""
    authorizer = Authorizer()
    one, connection = dispatch(authorizer=authorizer), Connection()
    for n in range(3):
        assert fast_path.call(one, connection, fast_path.frame(9, n, acks=acks)).answer
    authorizer.refused = ("events",)
    call = fast_path.call(one, connection, fast_path.frame(9, 7, acks=acks))
    (topic,) = produce.Response.decode(9, body(call)).responses
    assert topic.partition_responses[0].error_code == Error.TOPIC_AUTHORIZATION_FAILED
    assert len(one._broker.replicas.appended) == 3


def test_a_refused_produce_request_without_acks_ends_the_connection():
    one, connection = dispatch(authorizer=Authorizer("events")), Connection()
    call = fast_path.call(one, connection, fast_path.frame(9, acks=0))
    assert (call.answer, connection.closed) == ([], True)


@pytest.mark.parametrize("acks", [-1, 0, 1])
def test_where_there_are_gates_the_fast_path_is_not_taken(acks):
    told = []
    one, connection = dispatch(quotas=Quotas(told)), Connection()
    made = [fast_path.call(one, connection, fast_path.frame(9, n, acks=acks)) for n in range(3)]
    assert [type(each).__mro__[1] for each in made] == [Gated] * 3
    assert told == ["quota"] * 3


def test_errors_of_the_gates_are_answered_as_those_of_handlers(caplog):
    class Broken(Quotas):
        def throttle_ms(self, call):
            raise ZeroDivisionError("oops")

    one = dispatch(quotas=Broken())
    connection = Connection()
    assert delete_records_call(one, connection).answer == []
    assert connection.closed and "oops" in caplog.text


def test_an_error_of_the_handler_is_held_back_too():
    quotas = Quotas(throttle_ms=5)
    one = dispatch(quotas=quotas)

    def handler(broker, call):
        raise KafkaError(Error.NOT_CONTROLLER)

    handled_by(one, DELETE_TOPICS, handler)
    call = one.begin(
        SimpleNamespace(fast_path=None, peer="h", received_at=0.0, answered=lambda: None),
        frame(DELETE_TOPICS, 4, delete_topics.Request(topic_names=["a"]).encode(4)),
    )
    call.run()
    assert delete_topics.Response.decode(4, body(call)).throttle_time_ms == 5
    assert quotas.muted == [5]
