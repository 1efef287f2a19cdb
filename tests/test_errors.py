"""The table of error codes, against those of other implementations."""

import kafka.errors
from kio.schema.errors import ErrorCode

from kafkalike.errors import Error, KafkaError


def test_codes_and_names_are_kafkas():
    codes = sorted(Error)
    assert codes == list(range(-1, 128))
    theirs = {code.value: code for code in ErrorCode}
    for error in Error:
        assert error.name.lower() in (theirs[error].name, theirs[error].name + "_exception")


def test_retriable_is_what_clients_think_too():
    theirs = {code.value: code.retriable for code in ErrorCode}
    assert {error.name for error in Error if error.retriable != theirs[int(error)]} == set()


def test_an_error_is_its_number():
    assert Error.NOT_COORDINATOR == 16
    assert Error(16) is Error.NOT_COORDINATOR
    assert Error.NOT_COORDINATOR.retriable
    assert issubclass(kafka.errors.for_code(16), kafka.errors.RetriableError)


def test_an_unknown_number_reads_as_the_unknown_error():
    assert Error(12345) is Error.UNKNOWN_SERVER_ERROR


def test_kafka_error_carries_a_message():
    assert KafkaError(Error.NON_EMPTY_GROUP).message == Error.NON_EMPTY_GROUP.message
    error = KafkaError(Error.INVALID_CONFIG, "segment.bytes must be at least 14")
    assert (error.error, error.message) == (Error.INVALID_CONFIG, "segment.bytes must be at least 14")
    assert str(error) == "INVALID_CONFIG: segment.bytes must be at least 14"
