"""Requests that repeat one before them: answered as `apis/produce.py` answers, byte for byte."""

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.broker.dispatch import Dispatch
from kafkalike.broker.produce_fast_path import MOST, FastProduce
from kafkalike.cluster.metadata import Broker, Image, PartitionState, Topic
from kafkalike.cluster.topic_names import INTERNAL_TOPICS
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import framing
from kafkalike.protocol.messages import produce
from kafkalike.replication.replicas import AwaitReplicas
from kafkalike.storage.append_path import Appended
from tests.broker.recording_connection import Connection
from tests.hypothesis_examples import examples

VERSIONS = range(3, produce.VERSIONS[1] + 1)


class Replicas:
    """Appends to nothing; outcomes and refusals are set by the test."""

    def __init__(self):
        self.appended = []
        self.end = 0
        self.refuses = None
        self.tries = 0
        self.outcome = Error.NONE
        self.waiting = []

    def append_as_leader(self, topic, index, records, acks):
        self.tries += 1
        if self.refuses is not None:
            raise self.refuses
        self.appended.append((topic, index, bytes(records), acks))
        self.end += 3
        return Appended(self.end - 3, self.end - 1, -1, 0, False)

    def replicated(self, topic, index, last_offset):
        return self.outcome

    def await_replicas(self, batches, timeout_ms, done):
        self.waiting.append((AwaitReplicas(self, batches, done), list(batches), timeout_ms))


def broker():
    state = PartitionState(2, 9, (2,), (1, 2))
    brokers = {2: Broker(2, "r2", {"PLAINTEXT": ("there", 9093, "PLAINTEXT")})}
    image = Image(brokers=brokers, topics={"events": Topic("events", bytes(16), {0: state})})
    metadata, replicas = SimpleNamespace(image=image), Replicas()
    return SimpleNamespace(
        replicas=replicas,
        current_leader=CurrentLeader(1, metadata, SimpleNamespace(hosted={})),
        produce_forwarding=SimpleNamespace(take=lambda call, response: None),
    )


def frame(version, correlation_id=1, topic="events", index=0, records=b"batch", acks=1, client="me", timeout_ms=1500):
    data = produce.PartitionProduceData(index=index, records=records)
    request = produce.Request(
        acks=acks,
        timeout_ms=timeout_ms,
        topic_data=[produce.TopicProduceData(name=topic, partition_data=[data])],
    )
    return framing.request_header(produce.API_KEY, version, correlation_id, client) + request.encode(version)


def call(dispatch, connection, data):
    made = dispatch.begin(connection, data)
    made.run()
    return made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("acks", [-1, 0, 1])
@pytest.mark.parametrize("view", [bytes, memoryview], ids=["bytes", "view"])
def test_the_third_request_is_known_and_answered_like_the_first(version, acks, view):
    connection, fresh = Connection(), broker()
    dispatch = Dispatch(fresh)
    answers = [call(dispatch, connection, view(frame(version, n, records=b"b" * 200, acks=acks))) for n in range(3)]
    other = broker()
    other.replicas.end = 6
    expected = call(Dispatch(other), Connection(), frame(version, 2, records=b"b" * 200, acks=acks))
    assert answers[2].answer == expected.answer
    assert isinstance(answers[2], FastProduce) == (version >= 5)
    assert not isinstance(answers[1], FastProduce)
    assert fresh.replicas.appended == [("events", 0, b"b" * 200, acks)] * 3


@pytest.mark.parametrize("version", [7, 10])
def test_other_partitions_of_the_topic_are_told_apart(version):
    connection, fresh = Connection(), broker()
    dispatch = Dispatch(fresh)
    for _ in range(3):
        for index in range(4):
            last = call(dispatch, connection, frame(version, index=index, records=b"%d" % index * 70))
    assert isinstance(last, FastProduce)
    assert [(index, records) for _, index, records, _ in fresh.replicas.appended] == [
        (index, b"%d" % index * 70) for _ in range(3) for index in range(4)
    ]


@pytest.mark.parametrize("version", [7, 10])
@pytest.mark.parametrize(
    "changed", [{"topic": "eventz"}, {"client": "us"}, {"acks": -1}, {"timeout_ms": 9}, {"index": 7}]
)
def test_a_request_that_differs_is_decoded(version, changed):
    connection, fresh = Connection(), broker()
    dispatch = Dispatch(fresh)
    for _ in range(3):
        call(dispatch, connection, frame(version))
    other = call(dispatch, connection, frame(version, **changed))
    assert not isinstance(other, FastProduce)
    appended = {"topic": "events", "index": 0, "acks": 1} | changed
    assert fresh.replicas.appended[-1] == (appended["topic"], appended["index"], b"batch", appended["acks"])


@pytest.mark.parametrize("version", [7, 10])
def test_an_error_is_told_as_for_all_others(version):
    connection, fresh = Connection(), broker()
    dispatch = Dispatch(fresh)
    for _ in range(3):
        call(dispatch, connection, frame(version, 5))
    fresh.replicas.refuses = KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
    known = call(dispatch, connection, frame(version, 5))
    first = call(dispatch, Connection(), frame(version, 5))
    assert isinstance(known, FastProduce) and known.answer == first.answer
    assert not isinstance(first, FastProduce)
    fresh.replicas.refuses = ValueError("a mistake of ours")
    assert (
        call(dispatch, connection, frame(version, 5)).answer == call(dispatch, Connection(), frame(version, 5)).answer
    )


@pytest.mark.parametrize("version", [7, 10])
@pytest.mark.parametrize("acks", [-1, 0, 1])
def test_a_refused_append_is_tried_and_so_counted_once(version, acks):
    outcomes = []
    for before in (0, 2):
        connection, fresh = Connection(), broker()
        dispatch = Dispatch(fresh)
        for _ in range(before):
            call(dispatch, connection, frame(version, acks=acks))
        fresh.replicas.refuses = KafkaError(Error.CORRUPT_MESSAGE, "its checksum is wrong")
        refused = call(dispatch, connection, frame(version, acks=acks))
        assert isinstance(refused, FastProduce) == (before == 2)
        assert fresh.replicas.tries == before + 1 == connection.answers
        outcomes.append((refused.answer, connection.closed))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1] == (acks == 0)


@pytest.mark.parametrize("version", [7, 10])
@pytest.mark.parametrize("outcome", [Error.NONE, Error.NOT_LEADER_OR_FOLLOWER, Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
@pytest.mark.parametrize("late", [True, False])
def test_acks_all_waits_and_says_what_became_of_it(version, outcome, late):
    answers = []
    for before in (0, 2):
        connection, fresh = Connection(), broker()
        dispatch = Dispatch(fresh)
        fresh.replicas.end = 6 - 3 * before
        for _ in range(before):
            call(dispatch, connection, frame(version, 5, acks=-1))
        fresh.replicas.outcome = None if late else outcome
        waiting = call(dispatch, connection, frame(version, 5, acks=-1))
        assert isinstance(waiting, FastProduce) == (before == 2)
        if late:
            waiter, batches, timeout_ms = fresh.replicas.waiting.pop()
            assert (batches, timeout_ms) == ([("events", 0, fresh.replicas.end - 1)], 1500)
            assert not waiter.try_finish() and waiting.answer is None
            fresh.replicas.outcome = outcome
            assert waiter.try_finish()
        answers.append(waiting.answer)
    assert answers[0] == answers[1] is not None


@pytest.mark.parametrize("version", [7, 10])
def test_a_request_that_waited_too_long(version):
    answers = []
    for before in (0, 2):
        connection, fresh = Connection(), broker()
        dispatch = Dispatch(fresh)
        fresh.replicas.end = 6 - 3 * before
        for _ in range(before):
            call(dispatch, connection, frame(version, acks=-1))
        fresh.replicas.outcome = None
        waiting = call(dispatch, connection, frame(version, acks=-1))
        fresh.replicas.waiting.pop()[0].expire()
        answers.append(waiting.answer)
    assert answers[0] == answers[1] is not None


@pytest.mark.parametrize("topic", sorted(INTERNAL_TOPICS))
def test_internal_topics_stay_closed(topic):
    connection, fresh = Connection(), broker()
    dispatch = Dispatch(fresh)
    for _ in range(4):
        assert not isinstance(call(dispatch, connection, frame(7, topic=topic)), FastProduce)
    assert fresh.replicas.appended == []


def test_a_topic_whose_name_grew_too_long_for_an_answer_ends_the_connection_each_time_in_one_line(caplog):
    """Bytes that are no UTF-8: they are read as characters that take three bytes each."""
    name = "x" * 20_000
    data = frame(7, topic=name).replace(name.encode(), b"\xff" * len(name))
    connection = Connection()
    dispatch = Dispatch(broker())
    for times in (1, 2, 3):
        assert call(dispatch, connection, data).answer == []
        assert connection.closed and len(caplog.records) == times
    assert all(record.exc_info is None for record in caplog.records)


def test_what_one_connection_keeps_is_bounded():
    connection = Connection()
    dispatch = Dispatch(broker())
    for index in range(2 * MOST + 10):
        call(dispatch, connection, frame(7, index=index))
    assert len(connection.fast_path._templates) <= MOST


@examples(400)
@given(st.data(), st.sampled_from([7, 9, 10]))
def test_any_change_of_bytes_means_what_it_means_when_decoded(data, version):
    """Bytes flipped, cut or added: a connection that knows the request and one that does not do the same."""
    good = frame(version, 3, records=data.draw(st.binary(max_size=300)), acks=data.draw(st.sampled_from([0, 1])))
    kind = data.draw(st.sampled_from(["flip", "cut", "add", "none"]))
    bad = bytearray(good)
    if kind == "flip":
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del bad[data.draw(st.integers(0, len(bad) - 1)) :]
    elif kind == "add":
        bad += data.draw(st.binary(min_size=1, max_size=5))
    outcomes = []
    for before in (0, 2):
        connection, fresh = Connection(), broker()
        dispatch = Dispatch(fresh)
        fresh.replicas.end = 6 - 3 * before
        for _ in range(before):
            call(dispatch, connection, good)
        fresh.replicas.appended.clear()
        try:
            answer = call(dispatch, connection, bytes(bad)).answer
        except Exception as problem:  # which one does not matter here, but it must be the same
            answer = type(problem)
        outcomes.append((answer, fresh.replicas.appended, connection.closed))
    assert outcomes[0] == outcomes[1]


def test_the_answer_is_one_frame_of_the_length_it_says():
    connection = Connection()
    dispatch = Dispatch(broker())
    for n in range(3):
        made = call(dispatch, connection, frame(9, n))
    (answer,) = made.answer
    length, correlation_id = struct.unpack_from(">ii", answer)
    assert (length, correlation_id) == (len(answer) - 4, 2)
