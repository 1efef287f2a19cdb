"""meta.properties, as Kafka writes and reads it; what LogDirectory does with it is in test_directory.py."""

from hypothesis import given
from hypothesis import strategies as st

from kafkalike.storage.meta_properties import decode_properties, encode_properties


def test_properties_are_javas() -> None:
    data = encode_properties({"version": "0", "broker.id": "3"}, "Mon Jan 01 00:00:00 UTC 2024")
    assert b"#\n#Mon Jan 01 00:00:00 UTC 2024\nversion=0\nbroker.id=3\n" == data
    assert {"version": "0", "broker.id": "3"} == decode_properties(data)
    assert {"a": "x:y", "b": ""} == decode_properties(b"! comment\n a = x\\:y \n\nb=\nno pair\n")
    assert {} == decode_properties(None)


@given(st.binary(max_size=60))
def test_garbage_is_never_an_error(data: bytes) -> None:
    decode_properties(data)
