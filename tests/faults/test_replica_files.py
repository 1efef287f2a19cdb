"""Replicas read from files: what is whole is read, what is broken is told."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kafkalike.protocol.batch import build
from tests.faults.replica_files import checkpoint, read_replica


def write(directory: Path, *batches: bytes, name: str = "00000000000000000000.log") -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_bytes(b"".join(batches))
    return file


def batch(base: int, *values: str) -> bytes:
    return bytes(build([(None, v.encode(), 1000, ()) for v in values], base_offset=base, leader_epoch=3))


def test_records_and_batches_of_every_segment_are_read(tmp_path: Path) -> None:
    write(tmp_path, batch(0, "a:0", "a:1"), batch(2, "a:2"))
    write(tmp_path, batch(3, "a:3" * 50), name="00000000000000000003.log")
    replica = read_replica(tmp_path)
    assert ((0, "a:0"), (1, "a:1"), (2, "a:2"), (3, "a:3" * 50)) == replica.records
    assert [(0, 1, 3), (2, 2, 3), (3, 3, 3)] == [b[:3] for b in replica.batches]
    assert () == replica.problems


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda d: d[:-1], "no whole batch"),
        (lambda d: d[:-70], "are left over"),
        (lambda d: d[:-3] + b"\0" + d[-2:], "CRC"),
        (lambda d: d + bytes(7), "7 bytes are left over"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, damage, problem) -> None:
    write(tmp_path, damage(batch(0, "a:0") + batch(1, "a:1")))
    (told,) = read_replica(tmp_path).problems
    assert problem in told


def test_a_hole_between_batches_is_told(tmp_path: Path) -> None:
    write(tmp_path, batch(0, "a:0"), batch(2, "a:2"))
    assert "offset 2 follows 0" in read_replica(tmp_path).problems[0]


def test_a_hole_between_segments_is_told(tmp_path: Path) -> None:
    write(tmp_path, batch(0, "a:0"))
    write(tmp_path, batch(5, "a:5"), name="00000000000000000005.log")
    assert ("00000000000000000005.log follows offset 0",) == read_replica(tmp_path).problems


def test_an_index_that_points_beside_a_batch_is_told(tmp_path: Path) -> None:
    first, second = batch(0, "a:0"), batch(1, "a:1")
    index = write(tmp_path, first, second).with_suffix(".index")
    index.write_bytes(struct.pack(">iiii", 1, len(first), 0, 0))
    assert () == read_replica(tmp_path).problems
    index.write_bytes(struct.pack(">ii", 1, len(first) + 1))
    assert "offset 1 is not at byte" in read_replica(tmp_path).problems[0]
    index.write_bytes(struct.pack(">ii", 0, len(first)))
    assert "offset 0 is not at byte" in read_replica(tmp_path).problems[0]


def test_a_checkpoint_is_read(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("0\n2\nt 0 7\nt 1 9\n")
    assert {("t", 0): 7, ("t", 1): 9} == checkpoint(tmp_path / "c")
