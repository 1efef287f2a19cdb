"""What is inside fetched bytes."""

from types import SimpleNamespace

from kafkalike.client.fetched_records import read_records
from kafkalike.protocol import batch
from kafkalike.protocol.control_records import EndTxnMarker, build_marker

P = ("t", 0)


def build(base: int, *values: bytes, **options: object) -> bytes:
    return batch.build([(None, value, 1000 + base, ()) for value in values], base_offset=base, **options)  # type: ignore[arg-type]


def control(base: int, producer_id: int, kind: int) -> bytes:
    return build_marker(EndTxnMarker(kind, 0), producer_id, 0, 0, base)


def offsets(data: bytes, aborted: list[tuple[int, int]] | None = None) -> tuple[list[int], int]:
    told = None if aborted is None else [SimpleNamespace(producer_id=p, first_offset=o) for p, o in aborted]
    records, behind = read_records(P, data, told)
    return [r.offset for r in records], behind


def test_records_of_several_batches() -> None:
    records, behind = read_records(P, build(5, b"a", b"b") + build(7, b"c", codec=3))
    assert [("t", 0, 5, b"a"), ("t", 0, 6, b"b"), ("t", 0, 7, b"c")] == [(*r[:3], r.value) for r in records]
    assert ("CreateTime", 1005) == (records[0].timestamp_type, records[0].timestamp)
    assert 8 == behind


def test_a_batch_that_is_cut_is_left_for_the_next_fetch() -> None:
    whole, cut = build(0, b"a"), build(1, b"b")
    for size in range(len(cut)):
        assert ([0], 1) == offsets(whole + cut[:size])


def test_nothing_whole_gives_nothing() -> None:
    assert ([], -1) == offsets(build(0, b"a")[:68])


def test_control_records_are_not_messages() -> None:
    assert ([0], 2) == offsets(build(0, b"a") + control(1, 9, 1))


def test_read_committed_leaves_out_aborted_transactions() -> None:
    def transactional(base: int, value: bytes) -> bytes:
        return build(base, value, producer_id=9, producer_epoch=0, base_sequence=0, transactional=True)

    data = transactional(0, b"aborted") + build(1, b"plain") + control(2, 9, 0) + transactional(3, b"kept")
    assert ([0, 1, 3], 4) == offsets(data)
    assert ([1, 3], 4) == offsets(data, [(9, 0)])
