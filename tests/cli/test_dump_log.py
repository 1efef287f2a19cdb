"""kafka-dump-log.sh, and what Kafka's own prints of the same file."""

import struct
from pathlib import Path

import pytest

from kafkalike.protocol import batch
from tests.cli.commands import run

# As Apache Kafka 3.9.1 prints the file below.
EXPECTED = """\
Dumping 00000000000000000005.log
Log starting offset: 5
baseOffset: 5 lastOffset: 6 count: 2 baseSequence: 3 lastSequence: 4 producerId: 9 producerEpoch: 1 \
partitionLeaderEpoch: 2 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 0 \
CreateTime: 1001 size: 85 magic: 2 compresscodec: none crc: {crc} isvalid: true
| offset: 5 CreateTime: 1000 keySize: 1 valueSize: 5 sequence: 3 headerKeys: [] key: k payload: hello
| offset: 6 CreateTime: 1001 keySize: -1 valueSize: -1 sequence: 4 headerKeys: [h]
"""


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    data = batch.build(
        [(b"k", b"hello", 1000, ()), (None, None, 1001, (("h", b"x"),))],
        base_offset=5,
        producer_id=9,
        producer_epoch=1,
        base_sequence=3,
        leader_epoch=2,
    )
    path = tmp_path / "00000000000000000005.log"
    path.write_bytes(data)
    return path


def expected(segment: Path) -> str:
    (crc,) = struct.unpack_from(">I", segment.read_bytes(), 17)
    return EXPECTED.format(crc=crc)


def test_messages(segment: Path) -> None:
    done = run("kafka-dump-log", "--print-data-log", "--files", segment.name, cwd=segment.parent)
    assert (0, expected(segment), "") == (done.code, done.out, done.err)


def test_batches_only(segment: Path) -> None:
    done = run("kafka-dump-log", "--files", segment.name, cwd=segment.parent)
    assert expected(segment).splitlines()[:3] == done.lines


def test_deep_iteration_without_contents(segment: Path) -> None:
    done = run("kafka-dump-log", "--deep-iteration", "--files", segment.name, cwd=segment.parent)
    assert done.lines[3].endswith("headerKeys: []")


def test_a_flipped_bit_is_not_valid(segment: Path) -> None:
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    done = run("kafka-dump-log", "--files", segment.name, cwd=segment.parent)
    assert done.lines[2].endswith("isvalid: false")


def test_a_torn_tail_is_counted(segment: Path) -> None:
    segment.write_bytes(segment.read_bytes() + b"\0" * 7)
    done = run("kafka-dump-log", "--files", segment.name, cwd=segment.parent)
    assert f"Found 7 invalid bytes at the end of {segment.name}" == done.lines[-1]


def test_indexes(segment: Path) -> None:
    segment.with_suffix(".index").write_bytes(struct.pack(">ii", 1, 0) + bytes(16))
    segment.with_suffix(".timeindex").write_bytes(struct.pack(">qi", 1001, 1) + bytes(24))
    files = ",".join(segment.with_suffix(suffix).name for suffix in (".index", ".timeindex"))
    done = run("kafka-dump-log", "--files", files, cwd=segment.parent)
    assert ["offset: 6 position: 0", "timestamp: 1001 offset: 6"] == done.lines[1::2]
    assert "" == done.err


def test_indexes_that_lie(segment: Path) -> None:
    segment.with_suffix(".index").write_bytes(struct.pack(">ii", 7, 0))
    segment.with_suffix(".timeindex").write_bytes(struct.pack(">qi", 5, 1))
    files = ",".join(segment.with_suffix(suffix).name for suffix in (".index", ".timeindex"))
    done = run("kafka-dump-log", "--verify-index-only", "--files", files, cwd=segment.parent)
    assert "  Index offset: 12, log offset: 6\n" in done.err
    assert "  Index timestamp: 5, log timestamp: 1001\n" in done.err


def test_files_that_are_none(tmp_path: Path) -> None:
    done = run("kafka-dump-log", "--files", "00000000000000000000.log", cwd=tmp_path)
    assert (1, "00000000000000000000.log (No such file or directory)\n") == (done.code, done.err)
    (tmp_path / "x.txt").write_text("")
    done = run("kafka-dump-log", "--files", "x.txt", cwd=tmp_path)
    assert (0, "Ignoring unknown file x.txt\n") == (done.code, done.err)
