"""Declared structs are values; messages keep to their versions."""

import pytest

from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol.messages import fetch, heartbeat, produce
from kafkalike.protocol.schema import Message, Struct, array, int32, nested, string


def test_a_value_that_a_version_cannot_carry_is_an_error_unless_ignorable():
    with pytest.raises(KafkaError) as caught:
        heartbeat.Request(group_instance_id="i").encode(2)
    assert caught.value.error == Error.UNSUPPORTED_VERSION
    assert "group_instance_id" in caught.value.message
    assert heartbeat.Response(throttle_time_ms=5).encode(0) == heartbeat.Response().encode(0)


def test_versions_outside_the_range_are_refused():
    for version in (-1, 5):
        with pytest.raises(ProtocolError):
            heartbeat.Request.decode(version, b"")
        with pytest.raises(ProtocolError):
            heartbeat.Request().encode(version)


class FileRange:
    size = 1000


def test_a_file_range_stays_apart_with_its_length_before_it():
    range_ = FileRange()
    topics = [
        fetch.FetchableTopicResponse(
            topic="t", partitions=[fetch.PartitionData(records=range_), fetch.PartitionData(records=b"x" * 5)]
        )
    ]
    for version in range(13):
        response = fetch.Response(responses=topics)
        chunks = response.encode_chunks(version)
        assert chunks[1] is range_
        assert [type(chunk) for chunk in chunks] == [bytes, FileRange, bytes]
        topics[0].partitions[0].records = bytes(1000)
        assert chunks[0] + bytes(1000) + chunks[2] == response.encode(version)
        assert response.encode_chunks(version) == [response.encode(version)]
        topics[0].partitions[0].records = range_


def test_records_are_views_into_the_buffer():
    request = produce.Request(
        acks=1,
        topic_data=[
            produce.TopicProduceData(name="t", partition_data=[produce.PartitionProduceData(index=1, records=b"abc")])
        ],
    )
    wire = request.encode(9)
    view = produce.Request.decode(9, wire).topic_data[0].partition_data[0].records
    assert isinstance(view, memoryview)
    assert view.obj is wire
    assert view == b"abc"


class Inner(Struct):
    number = int32()
    name = string(default="n")


class Outer(Message, versions=(0, 1), flexible=1):
    one = nested(Inner)
    maybe = nested(Inner, nullable="0+", default=None)
    many = array(Inner, nullable="1+")
    words = array(string)


def test_structs_are_values_with_defaults_equality_and_a_short_repr():
    value = Outer(many=[Inner(number=2)])
    assert value == Outer(one=Inner(number=0, name="n"), many=[Inner(number=2)])
    assert value != Outer()
    assert Outer().many == []
    assert Outer().many is not Outer().many
    assert repr(value) == "Outer(many=[Inner(number=2)])"
    with pytest.raises(TypeError):
        Outer(unknown=1)
    with pytest.raises(AttributeError):
        value.unknown = 1


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("maybe", [None, Inner(number=7)])
def test_nested_structs_may_be_null(version, maybe):
    value = Outer(one=Inner(number=1), maybe=maybe, many=[Inner()], words=["a", "b"])
    assert Outer.decode(version, value.encode(version)) == value
