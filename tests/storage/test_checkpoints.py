"""Checkpoint files as Kafka writes and reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafkalike.storage.checkpoints import decode_entries, decode_offsets, encode_offsets


def test_the_file_is_kafkas() -> None:
    data = encode_offsets({("b", 1): 7, ("a", 0): 5})
    assert b"0\n2\na 0 5\nb 1 7\n" == data
    assert [["a", "0", "5"], ["b", "1", "7"]] == decode_entries(data)


partitions = st.tuples(st.text("abcXYZ019._-", min_size=1, max_size=20), st.integers(0, 10**6))


@given(st.dictionaries(partitions, st.integers(0, 2**63 - 1), max_size=10))
def test_checkpoints_round_trip(offsets: dict[tuple[str, int], int]) -> None:
    assert offsets == decode_offsets(encode_offsets(offsets))


@given(st.binary(max_size=60))
def test_a_garbled_checkpoint_is_never_an_error(data: bytes) -> None:
    decode_offsets(data)
    decode_offsets(b"0\n1\n" + data + b"\n")
