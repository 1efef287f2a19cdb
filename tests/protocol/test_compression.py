"""Codecs: interoperable both ways, and bounded whatever the data claim."""

import gzip
import tracemalloc
from contextlib import suppress
from random import Random
from struct import pack

import cramjam
import kafka.codec
import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.compression import CODECS, GZIP, LZ4, NONE, SNAPPY, XERIAL_MAGIC, ZSTD, compress, decompress

ALL = sorted(CODECS.values())
PACKED = [GZIP, SNAPPY, LZ4, ZSTD]
SAMPLES = [b"", b"x", b"hello " * 1000, Random(1).randbytes(100_000), bytes(300_000)]


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("data", SAMPLES, ids=len)
def test_what_is_compressed_comes_back(codec, data):
    packed = compress(codec, data)
    assert decompress(codec, packed, len(data)) == data
    assert decompress(codec, memoryview(packed), 10 * len(data) + 1) == data


@pytest.mark.parametrize("codec", ALL)
def test_one_byte_above_the_limit_is_too_much(codec):
    packed = compress(codec, b"hello " * 1000)
    with pytest.raises(KafkaError) as caught:
        decompress(codec, packed, 5999)
    assert caught.value.error == Error.MESSAGE_TOO_LARGE


@pytest.mark.parametrize("codec", PACKED)
def test_garbage_and_cut_data_are_corrupt(codec):
    random = Random(codec)
    packed = compress(codec, b"hello " * 1000)
    cuts = [packed[:end] for end in range(1, len(packed) - 1, 7)]
    for data in [*cuts, random.randbytes(100), b"\xff" * 100]:
        with pytest.raises(KafkaError):
            decompress(codec, data, 1 << 20)


@pytest.mark.parametrize("codec", PACKED)
def test_flipped_bits_never_raise_anything_else(codec):
    random = Random(codec)
    packed = compress(codec, b"".join(b"%d " % i for i in range(1000)))
    for _ in range(300):
        damaged = bytearray(packed)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        with suppress(KafkaError):
            assert len(decompress(codec, damaged, 1 << 16)) <= 1 << 16


@pytest.mark.parametrize("codec", PACKED)
def test_a_bomb_costs_no_more_than_the_limit(codec):
    bomb = compress(codec, bytes(200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(KafkaError) as caught:
            decompress(codec, bomb, 4 << 20)
        assert caught.value.error == Error.MESSAGE_TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_snappy_length_is_not_believed():
    claim = b"\xff\xff\xff\xff\x07"  # 2 GB less one byte
    for data in (claim + b"\0a", XERIAL_MAGIC + pack(">iii", 1, 1, 7) + claim + b"\0a"):
        with pytest.raises(KafkaError):
            decompress(SNAPPY, data, 1 << 31)


def test_snappy_is_framed_as_java_does():
    packed = compress(SNAPPY, bytes(100_000))
    assert packed[:16] == b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"
    assert kafka.codec.snappy_decode(packed) == bytes(100_000)


def test_bare_snappy_is_read():
    data = b"hello " * 1000
    assert decompress(SNAPPY, bytes(cramjam.snappy.compress_raw(data)), 1 << 20) == data


def test_lz4_blocks_are_independent_as_java_needs_them():
    packed = compress(LZ4, b"hello " * 20_000)
    assert packed[:4] == bytes.fromhex("04224d18")
    version, independent = packed[4] >> 6, packed[4] >> 5 & 1
    assert (version, independent) == (1, 1)


@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("data", SAMPLES[1:], ids=len)
def test_kafka_python_reads_ours_and_we_read_its(name, data):
    codec = CODECS[name]
    assert bytes(getattr(kafka.codec, f"{name}_decode")(compress(codec, data))) == data
    assert decompress(codec, getattr(kafka.codec, f"{name}_encode")(data), len(data)) == data


def test_several_gzip_members_are_one_stream():
    assert decompress(GZIP, gzip.compress(b"one ") + gzip.compress(b"two"), 100) == b"one two"


def test_unknown_codecs():
    with pytest.raises(KafkaError) as caught:
        decompress(5, b"", 100)
    assert caught.value.error == Error.UNSUPPORTED_COMPRESSION_TYPE
    assert compress(NONE, memoryview(b"same")) == b"same"
