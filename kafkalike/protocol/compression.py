"""The five codecs of a record batch behind two functions; attributes bits 0 to 2 hold the number.

    0 none
    1 gzip     one or more gzip members
    2 snappy   written in snappy-java's ("xerial") framing, as Java does; read in it or bare, as librdkafka writes it
    3 lz4      the standard frame, with independent blocks: Java's reader knows no others
    4 zstd     one or more frames

A size that the data declare is never allocated on trust: output grows with what really comes out, up to the caller's
limit, so that a kilobyte that claims or even holds a gigabyte costs no more than that limit.
"""

from collections.abc import Callable
from struct import Struct
from types import ModuleType

import cramjam

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.primitives import Buffer

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
NAMES = {number: name for name, number in CODECS.items()}

# snappy-java's framing: this magic, two versions, then blocks of int32 length and bare snappy.
XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = XERIAL_MAGIC + Struct(">ii").pack(1, 1)
_XERIAL_BLOCK = 32 * 1024
_INT32 = Struct(">i")

# Bare snappy says its length first. No element yields more than 64 bytes for 2, so a greater claim is a lie.
_SNAPPY_RATIO = 32


def compress(codec: int, data: Buffer) -> bytes:
    """`data` in the given codec; for none the same bytes."""
    return _COMPRESS[codec](data)


def decompress(codec: int, data: Buffer, max_size: int) -> bytes:
    """The original bytes; KafkaError if `data` are damaged or would give more than `max_size` bytes."""
    if codec not in _DECOMPRESS:
        raise KafkaError(Error.UNSUPPORTED_COMPRESSION_TYPE, f"unknown compression {codec}")
    try:
        return _DECOMPRESS[codec](data, max_size)
    except (cramjam.DecompressionError, ValueError) as why:
        raise KafkaError(Error.CORRUPT_MESSAGE, f"{NAMES[codec]}: {why}") from why


def _too_large(max_size: int) -> KafkaError:
    return KafkaError(Error.MESSAGE_TOO_LARGE, f"more than {max_size} bytes when decompressed")


def _grow(module: ModuleType) -> Callable[[Buffer, int], bytes]:
    """A decompressor that tries again with four times the room until the output fits."""

    def decompress(data: Buffer, max_size: int) -> bytes:
        room = min(max_size, max(4 * len(data), 4096))
        while True:
            out = bytearray(room)
            try:
                size = module.decompress_into(data, out)
            except cramjam.DecompressionError as why:
                if "whole buffer" not in str(why):
                    raise
                if room >= max_size:
                    raise _too_large(max_size) from why
                room = min(max_size, 4 * room)
            else:
                return bytes(memoryview(out)[:size])

    return decompress


def _plain(data: Buffer, max_size: int) -> bytes:
    if len(data) > max_size:
        raise _too_large(max_size)
    return bytes(data)


def _bare_snappy(data: Buffer, max_size: int) -> bytes:
    size = cramjam.snappy.decompress_raw_len(data)
    if size > max_size:
        raise _too_large(max_size)
    if size > _SNAPPY_RATIO * len(data):
        raise ValueError(f"{len(data)} bytes claim to hold {size}")
    return bytes(cramjam.snappy.decompress_raw(data, output_len=size))


def _snappy(data: Buffer, max_size: int) -> bytes:
    if bytes(data[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        return _bare_snappy(data, max_size)
    if len(data) < len(_XERIAL_HEADER):
        raise ValueError("header cut off")
    out = []
    total = 0
    pos = len(_XERIAL_HEADER)
    while pos < len(data):
        if len(data) - pos < 4:
            raise ValueError("block length cut off")
        (length,) = _INT32.unpack_from(data, pos)
        pos += 4
        if not 0 <= length <= len(data) - pos:
            raise ValueError(f"block of {length} bytes, {len(data) - pos} left")
        out.append(_bare_snappy(data[pos : pos + length], max_size - total))
        total += len(out[-1])
        pos += length
    return b"".join(out)


def _xerial(data: Buffer) -> bytes:
    view = memoryview(data)
    parts = [_XERIAL_HEADER]
    for start in range(0, len(view), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[start : start + _XERIAL_BLOCK]))
        parts += [_INT32.pack(len(block)), block]
    return b"".join(parts)


def _lz4_frame(data: Buffer) -> bytes:
    stream = cramjam.lz4.Compressor(content_checksum=False, block_linked=False)
    stream.compress(data)
    return bytes(stream.finish())


_COMPRESS: dict[int, Callable[[Buffer], bytes]] = {
    NONE: bytes,
    GZIP: lambda data: bytes(cramjam.gzip.compress(data, 6)),
    SNAPPY: _xerial,
    LZ4: _lz4_frame,
    ZSTD: lambda data: bytes(cramjam.zstd.compress(data, 3)),
}
_DECOMPRESS: dict[int, Callable[[Buffer, int], bytes]] = {
    NONE: _plain,
    GZIP: _grow(cramjam.gzip),
    SNAPPY: _snappy,
    LZ4: _grow(cramjam.lz4),
    ZSTD: _grow(cramjam.zstd),
}
