"""kafka-dump-log.sh: prints log segments and their indexes. Needs no broker; reads Kafka's files and ours alike.

.log         record batches, one after the other
.index       int32 offset minus the file's base offset, int32 position
.timeindex   int64 timestamp, int32 offset minus the file's base offset
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kafkalike.cli.options import Command, Fail, fail, version


@click.command("kafka-dump-log.sh", cls=Command, help="Parse log files and dump their contents to the console.")
@click.option("--files", metavar="FILE,FILE,...", help="The data and index files to dump.")
@click.option("--print-data-log", is_flag=True, help="Print the messages too.")
@click.option("--deep-iteration", is_flag=True, help="Go through the messages of each batch.")
@click.option("--verify-index-only", is_flag=True, help="Only verify indexes, without printing them.")
@click.option("--index-sanity-check", is_flag=True, help="Only check that the size of an index is plausible.")
@click.option("--max-message-size", type=int, default=5 << 20, metavar="BYTES", help="The largest message to expect.")
@click.option(
    "--max-bytes", type=int, default=2147483647, metavar="BYTES", help="Read at most so much of each .log file."
)
@click.option(
    "--key-decoder-class", is_flag=False, flag_value="StringDecoder", metavar="[CLASS]", help="How to read keys."
)
@click.option(
    "--value-decoder-class", is_flag=False, flag_value="StringDecoder", metavar="[CLASS]", help="How to read values."
)
@click.option("--skip-record-metadata", is_flag=True, help="Print only keys and values of messages.")
@version
def main(files: str | None, **options: Any) -> None:
    """Dumps each file; complaints about indexes come last, on standard error."""
    if not files:
        fail('Missing required argument "[files]"')
    decoders = (options["key_decoder_class"], options["value_decoder_class"])
    contents = options["print_data_log"] or any(decoders)
    complaints: list[str] = []
    for name in files.split(","):
        path = Path(name.strip())
        print(f"Dumping {path}")
        try:
            if path.suffix == ".log":
                _dump_log(path, contents, options["deep_iteration"] or contents, options, complaints)
            elif path.suffix == ".index":
                _dump_index(path, options, complaints)
            elif path.suffix == ".timeindex":
                _dump_time_index(path, options, complaints)
            else:
                print(f"Ignoring unknown file {path}", file=sys.stderr)
        except OSError as problem:
            raise Fail(f"{path} ({problem.strerror})") from problem
    for line in complaints:
        print(line, file=sys.stderr)


def batches(data: Any, limit: int | None = None) -> Iterator[tuple[Any, Any, int]]:
    """(header, whole batch, position) for each whole batch; stops at what is none."""
    from kafkalike.protocol.batch import HEADER_SIZE, MAGIC, read_header

    view = memoryview(data)
    end = len(view) if limit is None else min(limit, len(view))
    position = 0
    while position + HEADER_SIZE <= end:
        header = read_header(view, position)
        size = header.size_bytes
        if header.magic != MAGIC or size < HEADER_SIZE or position + size > end:
            return
        yield header, view[position : position + size], position
        position += size


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _base_offset(path: Path) -> int:
    stem = path.name.split(".")[0]
    if not stem.isdecimal():
        fail(f"{path.name}: the name of a segment begins with its base offset")
    return int(stem)


# .log


def _dump_log(path: Path, contents: bool, deep: bool, options: dict[str, Any], complaints: list[str]) -> None:
    print(f"Log starting offset: {_base_offset(path)}")
    data = _read(path)
    valid, last = 0, -1
    gaps = []
    for header, whole, position in batches(data, options["max_bytes"]):
        print(_batch_line(header, whole, position))
        valid = position + len(whole)
        if not deep:
            continue
        for record in _records(whole):
            if last >= 0 and record.offset != last + 1:
                gaps.append(f"  {last} is followed by {record.offset}")
            last = record.offset
            print(_record_line(header, record, contents, options))
    trailing = len(data) - valid
    if trailing > 0 and options["max_bytes"] == 2147483647:
        print(f"Found {trailing} invalid bytes at the end of {path.name}")
    if gaps:
        complaints.append(f"Non-consecutive offsets in {path.absolute()}")
        complaints.extend(gaps)


def _records(whole: Any) -> Iterator[Any]:
    from kafkalike.errors import KafkaError
    from kafkalike.protocol.batch import records

    try:
        yield from records(whole)
    except KafkaError as problem:
        raise Fail(f"{problem.error.name}: {problem}") from problem


def _batch_line(header: Any, whole: Any, position: int) -> str:
    from kafkalike.protocol.batch import crc_ok

    horizon_ms = header.delete_horizon_ms
    horizon = "OptionalLong.empty" if horizon_ms is None else f"OptionalLong[{horizon_ms}]"
    return (
        f"baseOffset: {header.base_offset} lastOffset: {header.last_offset} count: {header.record_count} "
        f"baseSequence: {header.base_sequence} lastSequence: {header.last_sequence} producerId: {header.producer_id} "
        f"producerEpoch: {header.producer_epoch} partitionLeaderEpoch: {header.partition_leader_epoch} "
        f"isTransactional: {_java(header.is_transactional)} isControl: {_java(header.is_control)} "
        f"deleteHorizonMs: {horizon} position: {position} {_timestamp_type(header)}: {header.max_timestamp} "
        f"size: {len(whole)} magic: {header.magic} compresscodec: {_codec(header)} crc: {header.crc & 0xFFFFFFFF} "
        f"isvalid: {_java(crc_ok(whole))}"
    )


def _record_line(header: Any, record: Any, contents: bool, options: dict[str, Any]) -> str:
    from kafkalike.protocol.control_records import COMMIT, marker_of

    parts = []
    if not options["skip_record_metadata"]:
        sequence = -1
        if header.base_sequence >= 0:
            sequence = (header.base_sequence + record.offset - header.base_offset) & 0x7FFFFFFF
        timestamp = header.max_timestamp if _timestamp_type(header) == "LogAppendTime" else record.timestamp
        keys = ",".join(name for name, _ in record.headers)
        parts.append(
            f"offset: {record.offset} {_timestamp_type(header)}: {timestamp} keySize: {_size(record.key)} "
            f"valueSize: {_size(record.value)} sequence: {sequence} headerKeys: [{keys}]"
        )
        if header.is_control:
            marker = marker_of(record)
            if marker is not None:
                name = "COMMIT" if marker.type == COMMIT else "ABORT"
                parts.append(f"endTxnMarker: {name} coordinatorEpoch: {marker.coordinator_epoch}")
    if contents and not header.is_control:
        if record.key is not None:
            parts.append(f"key: {_decoded(record.key, options['key_decoder_class'])}")
        if record.value is not None:
            parts.append(f"payload: {_decoded(record.value, options['value_decoder_class'])}")
    return "| " + " ".join(parts)


def _decoded(data: Any, decoder: str | None) -> str:
    raw = bytes(data)
    name = (decoder or "StringDecoder").rpartition(".")[2]
    if name in ("LongDecoder", "IntegerDecoder"):
        return str(int.from_bytes(raw, "big", signed=True))
    return raw.decode("utf-8", "replace")


def _java(value: bool) -> str:
    return "true" if value else "false"


def _codec(header: Any) -> str:
    from kafkalike.protocol.compression import NAMES

    return NAMES.get(header.codec, str(header.codec))


def _timestamp_type(header: Any) -> str:
    from kafkalike.protocol.batch import TIMESTAMP_TYPES

    return TIMESTAMP_TYPES[header.timestamp_type]


def _size(data: Any) -> int:
    return -1 if data is None else len(data)


# Indexes.


def _entries(path: Path, form: str) -> list[tuple[int, ...]]:
    """The entries in use: a preallocated index ends in zeros."""
    size = struct.calcsize(form)
    data = _read(path)
    found = [struct.unpack_from(form, data, at) for at in range(0, len(data) - size + 1, size)]
    while len(found) > 1 and found[-1] == (0, 0):
        found.pop()
    return found


def _sane(path: Path, size: int) -> bool:
    whole = path.stat().st_size % size == 0
    print(f"{path} passed sanity check." if whole else f"{path} is no multiple of {size} bytes long.")
    return whole


def _dump_index(path: Path, options: dict[str, Any], complaints: list[str]) -> None:
    base = _base_offset(path)
    entries = _entries(path, ">ii")
    if not entries or entries == [(0, 0)]:
        print(f"{path} is empty.")
        return
    if options["index_sanity_check"]:
        _sane(path, 8)
        return
    data = memoryview(_read(path.with_suffix(".log")))
    wrong = []
    for relative, position in entries:
        offset = base + relative
        header = next((h for h, _, _ in batches(data[position : position + options["max_message_size"]])), None)
        found = header.last_offset if header is not None else -1
        if found != offset:
            wrong.append(f"  Index offset: {offset}, log offset: {found}")
        if not options["verify_index_only"]:
            print(f"offset: {offset} position: {position}")
    if wrong:
        complaints += [f"Mismatches in :{path.absolute()}", *wrong]


def _dump_time_index(path: Path, options: dict[str, Any], complaints: list[str]) -> None:
    base = _base_offset(path)
    if options["index_sanity_check"]:
        _sane(path, 12)
        return
    newest = {header.last_offset: header.max_timestamp for header, _, _ in batches(_read(path.with_suffix(".log")))}
    previous, missing, wrong, order = -1, [], [], []
    entries = _entries(path, ">qi")
    if not entries or entries == [(0, 0)]:
        print(f"{path} is empty.")
        return
    for timestamp, relative in entries:
        offset = base + relative
        if offset not in newest:
            found = next((last for last in sorted(newest) if last >= offset), -1)
            missing.append(f"Indexed offset: {offset}, found log offset: {found}")
        elif newest[offset] != timestamp:
            wrong.append(f"  Index timestamp: {timestamp}, log timestamp: {newest[offset]}")
        elif previous >= timestamp:
            order.append(f"  Index timestamp: {timestamp}, Previously indexed timestamp: {previous}")
        if not options["verify_index_only"]:
            print(f"timestamp: {timestamp} offset: {offset}")
        previous = timestamp
    if wrong:
        complaints += [f"Found timestamp mismatch in :{path.absolute()}", *wrong]
    if order:
        complaints += [f"Found out of order timestamp in :{path.absolute()}", *order]
    if missing:
        complaints += ["The following indexed offsets are not found in the log.", *missing]


if __name__ == "__main__":
    main()
