"""kafka-console-producer.sh: each line of standard input is a message."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from kafkalike.cli.options import Command, Fail, bootstrap_server, fail, key_values, load_properties, text_of, version


class Line(NamedTuple):
    """A line taken apart."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class LineReader:
    """How a line is taken apart: `headers TAB key TAB value`, as far as headers and keys are to be parsed."""

    parse_key: bool = False
    parse_headers: bool = False
    ignore_error: bool = False
    key_separator: str = "\t"
    headers_delimiter: str = "\t"
    headers_separator: str = ","
    headers_key_separator: str = ":"
    null_marker: str | None = None

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> LineReader:
        """Reads the reader's settings from Kafka's property names; ValueError in Kafka's words when they contradict
        each other."""
        switches = {"parse.key": "parse_key", "parse.headers": "parse_headers", "ignore.error": "ignore_error"}
        given: dict[str, Any] = {
            name: properties[key].strip().lower() == "true" for key, name in switches.items() if key in properties
        }
        for key in (
            "key.separator",
            "headers.delimiter",
            "headers.separator",
            "headers.key.separator",
            "null.marker",
        ):
            if key in properties:
                given[key.replace(".", "_")] = properties[key]
        reader = cls(**given)
        reader._check()
        return reader

    def _check(self) -> None:
        pairs = (
            ("headers.delimiter", "headers.separator"),
            ("headers.delimiter", "headers.key.separator"),
            ("headers.separator", "headers.key.separator"),
            ("null.marker", "key.separator"),
            ("null.marker", "headers.separator"),
            ("null.marker", "headers.delimiter"),
            ("null.marker", "headers.key.separator"),
        )
        for one, other in pairs:
            if getattr(self, one.replace(".", "_")) == getattr(self, other.replace(".", "_")):
                raise ValueError(f"{one} and {other} may not be equal")

    def take_apart(self, line: str, number: int) -> Line:
        """Splits line `number` into headers, key and value; ValueError when a separator is missing."""
        rest, start = line, 0
        headers = self._until(self.parse_headers, line, start, self.headers_delimiter, "headers delimiter", number)
        if headers is not None:
            start = len(headers) + len(self.headers_delimiter)
        key = self._until(self.parse_key, line, start, self.key_separator, "key separator", number)
        if key is not None:
            start += len(key) + len(self.key_separator)
        rest = line[start:]
        parsed = () if headers is None or headers == self.null_marker else tuple(self._headers(headers, number))
        return Line(self._bytes(key), self._bytes(rest), parsed)

    def _until(self, enabled: bool, line: str, start: int, mark: str, name: str, number: int) -> str | None:
        if not enabled:
            return None
        end = line.find(mark, start)
        if end >= 0:
            return line[start:end]
        if self.ignore_error:
            return None
        raise ValueError(f"No {name} found on line number {number}: '{line}'")

    def _bytes(self, text: str | None) -> bytes | None:
        return None if text is None or text == self.null_marker else text.encode("utf-8", "surrogateescape")

    def _headers(self, text: str, number: int) -> Iterator[tuple[str, bytes | None]]:
        for pair in re.split(self.headers_separator, text):
            name, mark, value = pair.partition(self.headers_key_separator)
            if not mark:
                if not self.ignore_error:
                    raise ValueError(f"No header key separator found in pair '{pair}' on line number {number}")
                yield pair, None
                continue
            if name == self.null_marker:
                raise ValueError(
                    f"Header keys should not be equal to the null marker '{self.null_marker}' as they can't be null"
                )
            yield name, self._bytes(value)


@click.command(
    "kafka-console-producer.sh",
    cls=Command,
    help="""Read data from standard input and publish it to Kafka, a line a message.

\b
Properties of the reader (--property key=value):
  parse.key=false         headers.delimiter=\\t
  parse.headers=false     headers.separator=,
  ignore.error=false      headers.key.separator=:
  key.separator=\\t        null.marker=    fields equal to this become null
""",
)
@click.option("--topic", required=True, help="The topic to produce messages to.")
@bootstrap_server(required=False)
@click.option("--broker-list", metavar="HOST:PORT,...", help="Deprecated, use --bootstrap-server.")
@click.option("--sync", is_flag=True, help="Send one message at a time and wait for its acknowledgement.")
@click.option(
    "--compression-codec",
    is_flag=False,
    flag_value="gzip",
    metavar="CODEC",
    help="none, gzip, snappy, lz4 or zstd; gzip when no value is given.",
)
@click.option("--batch-size", type=int, metavar="BYTES", help="batch.size [default: 16384]")
@click.option("--message-send-max-retries", type=int, metavar="N", help="retries [default: 3]")
@click.option("--retry-backoff-ms", type=int, metavar="MS", help="retry.backoff.ms [default: 100]")
@click.option("--timeout", type=int, metavar="MS", help="linger.ms [default: 1000]")
@click.option("--request-required-acks", metavar="ACKS", help="acks [default: -1]")
@click.option("--request-timeout-ms", type=int, metavar="MS", help="request.timeout.ms [default: 1500]")
@click.option("--metadata-expiry-ms", type=int, metavar="MS", help="metadata.max.age.ms [default: 300000]")
@click.option("--max-block-ms", type=int, metavar="MS", help="max.block.ms [default: 60000]")
@click.option("--max-memory-bytes", type=int, metavar="BYTES", help="buffer.memory [default: 33554432]")
@click.option("--max-partition-memory-bytes", type=int, metavar="BYTES", help="batch.size, by its other name.")
@click.option("--line-reader", metavar="CLASS", help="Only Kafka's LineMessageReader.")
@click.option("--socket-buffer-size", type=int, metavar="BYTES", help="Accepted; the system's default is used.")
@click.option("--property", "property_", multiple=True, metavar="KEY=VALUE", help="A property of the reader.")
@click.option("--reader-config", metavar="FILE", help="Properties of the reader.")
@click.option("--producer-property", multiple=True, metavar="KEY=VALUE", help="A property of the producer.")
@click.option("--producer.config", "producer_config", metavar="FILE", help="Properties of the producer.")
@version
def main(**given: Any) -> None:
    """Checks the options, then sends until the input ends."""
    servers = given["bootstrap_server"] or given["broker_list"]
    if not servers:
        fail("Missing required option(s) [bootstrap-server]")
    if given["line_reader"] and not given["line_reader"].endswith("LineMessageReader"):
        fail(f"{given['line_reader']}: only LineMessageReader is available")
    properties = load_properties(given["reader_config"]) | key_values(given["property_"])
    try:
        reader = LineReader.of(properties)
    except (ValueError, re.error) as problem:
        raise Fail(str(problem)) from problem
    _produce(servers, given, reader)


def _produce(servers: str, given: Mapping[str, Any], reader: LineReader) -> None:
    from kafkalike.client.blocking.producer import Producer
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import producer_options
    from kafkalike.errors import KafkaError
    from kafkalike.protocol.compression import CODECS

    properties = load_properties(given["producer_config"]) | key_values(given["producer_property"])
    properties = _merged(properties, given)
    if properties["compression.type"] not in CODECS:
        fail(f"Unknown compression name: {properties['compression.type']}")
    failures = 0

    def report(delivery: Any) -> None:
        nonlocal failures
        if delivery.failure is not None:
            failures += 1
            print(
                f"ERROR Error when sending message to topic {delivery.topic} with error: {text_of(delivery.failure)}",
                file=sys.stderr,
            )

    producer = Producer(servers, **producer_options(properties))
    try:
        for line in _lines(reader):
            sent = producer.send(
                given["topic"],
                line.value,
                key=line.key,
                headers=line.headers,
                on_delivery=None if given["sync"] else report,
            )
            if given["sync"]:
                sent.result()
    except (KafkaError, TimedOut, ValueError) as problem:
        producer.flush()
        raise Fail(f"Error: {text_of(problem)}") from problem
    finally:
        producer.close()
    if failures:
        sys.exit(1)


def _merged(properties: dict[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """An option that was given wins over a property, a property over an option's default."""
    options = (
        # A producer that waits for each message gains nothing by lingering.
        ("linger.ms", given["timeout"], 0 if given["sync"] else 1000),
        ("acks", given["request_required_acks"], "-1"),
        ("request.timeout.ms", given["request_timeout_ms"], 1500),
        ("retries", given["message_send_max_retries"], 3),
        ("retry.backoff.ms", given["retry_backoff_ms"], 100),
        ("buffer.memory", given["max_memory_bytes"], 32 << 20),
        ("batch.size", given["max_partition_memory_bytes"] or given["batch_size"], 16384),
        ("max.block.ms", given["max_block_ms"], 60_000),
        ("client.id", None, "console-producer"),
    )
    for key, value, default in options:
        if value is not None or key not in properties:
            properties[key] = str(default if value is None else value)
    properties["compression.type"] = given["compression_codec"] or "none"
    return properties


def _lines(reader: LineReader) -> Iterator[Line]:
    prompt = sys.stdin.isatty() and sys.stdout.isatty()
    number = 0
    source = open(os.dup(sys.stdin.fileno()), encoding="utf-8", errors="surrogateescape", newline=None)  # noqa: SIM115
    while True:
        number += 1
        if prompt:
            print(">", end="", flush=True)
        line = source.readline()
        if not line:
            return
        yield reader.take_apart(line.removesuffix("\n"), number)


if __name__ == "__main__":
    main()
