"""kafka-console-consumer.sh: writes the messages of a topic to standard output."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from kafkalike.cli.options import Command, Fail, bootstrap_server, fail, key_values, load_properties, text_of, version
from kafkalike.protocol import EARLIEST, LATEST
from zk.signals import interruptible

if TYPE_CHECKING:
    from kafkalike.client.assigned_partitions import ConsumerRecord
    from kafkalike.client.blocking.consumer import Consumer


# Deserializers by the last part of Java's class name; what they make of bytes, as text.
DESERIALIZERS: dict[str, Callable[[bytes], str]] = {
    "StringDeserializer": lambda data: data.decode("utf-8", "replace"),
    "LongDeserializer": lambda data: str(_number(data, 8, "LongDeserializer")),
    "IntegerDeserializer": lambda data: str(_number(data, 4, "IntegerDeserializer")),
    "ShortDeserializer": lambda data: str(_number(data, 2, "ShortDeserializer")),
}


def _number(data: bytes, size: int, name: str) -> int:
    if len(data) != size:
        raise ValueError(f"Size of data received by {name} is not {size}")
    return int.from_bytes(data, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Formatter:
    """How a message is written: the fields that are asked for, in this order."""

    timestamp: bool = False
    partition: bool = False
    offset: bool = False
    headers: bool = False
    key: bool = False
    value: bool = True
    key_separator: bytes = b"\t"
    line_separator: bytes = b"\n"
    headers_separator: bytes = b","
    null_literal: bytes = b"null"
    key_as: Callable[[bytes], str] | None = None
    value_as: Callable[[bytes], str] | None = None
    headers_as: Callable[[bytes], str] | None = None

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Formatter:
        """Reads the formatter's settings from Kafka's property names."""
        given: dict[str, Any] = {}
        for name in ("timestamp", "partition", "offset", "headers", "key", "value"):
            if f"print.{name}" in properties:
                given[name] = properties[f"print.{name}"].strip().lower() == "true"
        for name in ("key.separator", "line.separator", "headers.separator", "null.literal"):
            if name in properties:
                given[name.replace(".", "_")] = properties[name].encode()
        for name in ("key", "value", "headers"):
            given[f"{name}_as"] = DESERIALIZERS.get(properties.get(f"{name}.deserializer", "").rpartition(".")[2])
        return cls(**given)

    def line(self, record: ConsumerRecord) -> bytes:
        """The bytes to write for a message."""
        fields = []
        if self.timestamp:
            known = record.timestamp >= 0
            fields.append(f"{record.timestamp_type}:{record.timestamp}".encode() if known else b"NO_TIMESTAMP")
        if self.partition:
            fields.append(b"Partition:%d" % record.partition)
        if self.offset:
            fields.append(b"Offset:%d" % record.offset)
        if self.headers:
            shown = [name.encode() + b":" + self._shown(data, self.headers_as) for name, data in record.headers]
            fields.append(self.headers_separator.join(shown) or b"NO_HEADERS")
        if self.key:
            fields.append(self._shown(record.key, self.key_as))
        if self.value:
            fields.append(self._shown(record.value, self.value_as))
        return self.key_separator.join(fields) + self.line_separator if fields else b""

    def _shown(self, data: bytes | None, as_text: Callable[[bytes], str] | None) -> bytes:
        present = self.null_literal if data is None else data
        return as_text(present).encode() if as_text is not None else present


class NoOp:
    """Writes nothing."""

    def line(self, record: ConsumerRecord) -> bytes:
        """Nothing."""
        return b""


@click.command(
    "kafka-console-consumer.sh",
    cls=Command,
    help="""Read data from Kafka topics and output it to standard output.

\b
Properties of the formatter (--property key=value):
  print.timestamp  print.partition  print.offset  print.headers  print.key  print.value
  key.separator  line.separator  headers.separator  null.literal
  key.deserializer  value.deserializer  headers.deserializer
""",
)
@click.option("--topic", help="The topic to consume.")
@click.option("--include", metavar="REGEX", help="The topics to consume.")
@click.option("--whitelist", metavar="REGEX", help="Deprecated, use --include.")
@click.option("--partition", type=int, help="The partition to consume; from its end unless --offset is given.")
@click.option("--offset", metavar="OFFSET", help="Where to start: a number, 'earliest', or 'latest' (the default).")
@click.option("--consumer-property", multiple=True, metavar="KEY=VALUE", help="A property of the consumer.")
@click.option("--consumer.config", "consumer_config", metavar="FILE", help="Properties of the consumer.")
@click.option(
    "--formatter", metavar="CLASS", help="DefaultMessageFormatter (default), NoOp- or LoggingMessageFormatter."
)
@click.option("--property", "property_", multiple=True, metavar="KEY=VALUE", help="A property of the formatter.")
@click.option("--formatter-config", metavar="FILE", help="Properties of the formatter.")
@click.option("--from-beginning", is_flag=True, help="Without a committed offset, start with the oldest message.")
@click.option("--max-messages", type=int, metavar="N", help="Exit after this many messages.")
@click.option("--timeout-ms", type=int, metavar="MS", help="Exit when no message came for so long.")
@click.option("--skip-message-on-error", is_flag=True, help="Go on when a message cannot be written.")
@bootstrap_server(required=False)
@click.option("--key-deserializer", metavar="CLASS", help="How to read keys.")
@click.option("--value-deserializer", metavar="CLASS", help="How to read values.")
@click.option("--enable-systest-events", is_flag=True, help="Say when the consumer has shut down.")
@click.option("--isolation-level", default=None, metavar="LEVEL", help="read_uncommitted (default) or read_committed.")
@click.option("--group", metavar="ID", help="The consumer group.")
@version
def main(**given: Any) -> None:
    """Checks the options, then writes messages until told to stop."""
    pattern = given["include"] or given["whitelist"]
    if bool(given["topic"]) == bool(pattern):
        fail(
            "Exactly one of --include/--topic is required. "
            + (
                "--whitelist is DEPRECATED use --include instead; ignored if --include specified."
                * bool(given["whitelist"])
            )
        )
    offset = _offset(given)
    if not given["bootstrap_server"]:
        fail('Missing required argument "[bootstrap-server]"')
    properties = load_properties(given["consumer_config"])
    groups = {properties.get("group.id"), given["group"]}
    extra = key_values(given["consumer_property"])
    groups = (groups | {extra.get("group.id")}) - {None}
    if len(groups) > 1:
        fail(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via "
            f"'--consumer.config') do not match. Detected group ids: {', '.join(repr(g) for g in sorted(groups))}"
        )
    if groups and given["partition"] is not None:
        fail("Options group and partition cannot be specified together.")
    formatter = _formatter(given)
    with interruptible(signal.SIGTERM, signal.SIGINT):
        _consume(given, pattern, offset, _consumer_properties(properties | extra, given, groups), formatter)


def _offset(given: Mapping[str, Any]) -> int:
    text = given["offset"]
    if given["partition"] is not None:
        if not given["topic"]:
            fail("The topic is required when partition is specified.")
        if given["from_beginning"] and text is not None:
            fail("Options from-beginning and offset cannot be specified together.")
    elif text is not None:
        fail("The partition is required when offset is specified.")
    if text is None:
        return EARLIEST if given["from_beginning"] else LATEST
    named = {"earliest": EARLIEST, "latest": LATEST}.get(text.lower())
    if named is not None:
        return named
    if not text.isdecimal():
        fail(
            f"The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', "
            "or a non-negative long."
        )
    return int(text)


def _consumer_properties(properties: dict[str, str], given: Mapping[str, Any], groups: set[Any]) -> dict[str, str]:
    reset = properties.get("auto.offset.reset")
    if reset is None:
        properties["auto.offset.reset"] = "earliest" if given["from_beginning"] else "latest"
    elif given["from_beginning"] and reset != "earliest":
        fail(f"Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option")
    properties.setdefault("client.id", "console-consumer")
    if given["isolation_level"] is not None or "isolation.level" not in properties:
        properties["isolation.level"] = given["isolation_level"] or "read_uncommitted"
    if groups:
        properties["group.id"] = groups.pop()
        properties.setdefault("enable.auto.commit", "true")
    else:
        properties["group.id"] = f"console-consumer-{random.randrange(100000)}"
        properties.setdefault("enable.auto.commit", "false")
    return properties


def _formatter(given: Mapping[str, Any]) -> Formatter | NoOp:
    name = (given["formatter"] or "DefaultMessageFormatter").rpartition(".")[2]
    properties = load_properties(given["formatter_config"])
    for option in ("key_deserializer", "value_deserializer"):
        if given[option]:
            properties[option.replace("_", ".")] = given[option]
    properties |= key_values(given["property_"])
    if name == "NoOpMessageFormatter":
        return NoOp()
    if name in ("DefaultMessageFormatter", "LoggingMessageFormatter"):
        return Formatter.of(properties)
    fail(f"{given['formatter']}: not available")


def _consume(
    given: Mapping[str, Any],
    pattern: str | None,
    offset: int,
    properties: Mapping[str, str],
    formatter: Formatter | NoOp,
) -> None:
    from kafkalike.client.blocking.consumer import Consumer
    from kafkalike.client.errors import NoOffset, TimedOut
    from kafkalike.client.properties import consumer_options
    from kafkalike.errors import KafkaError

    # A group that nobody asked for is not to leave offsets behind.
    own_group = properties["enable.auto.commit"].lower() == "true" or given["group"] is not None
    consumer = Consumer(given["bootstrap_server"], save_start=own_group, **consumer_options(properties))
    count = [0]
    code = 0
    try:
        if given["partition"] is not None:
            consumer.assign([(given["topic"], given["partition"])])
            _start_at(consumer, (given["topic"], given["partition"]), offset)
        elif given["topic"]:
            consumer.subscribe([given["topic"]])
        else:
            consumer.subscribe(pattern=pattern)
        _write(consumer, given, formatter, sys.stdout.buffer, count)
    except KeyboardInterrupt:
        code = 130 if sys.stdin.isatty() else 0
    except BrokenPipeError:
        print("Unable to write to standard out, closing consumer.", file=sys.stderr)
    except (KafkaError, TimedOut, NoOffset, ValueError) as problem:
        raise Fail(f"Error: {text_of(problem)}") from problem
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            sys.stdout = None  # type: ignore[assignment]
        consumer.close()
        print(f"Processed a total of {count[0]} messages", file=sys.stderr)
        if given["enable_systest_events"]:
            print("shutdown_complete")
    sys.exit(code)


def _start_at(consumer: Consumer, partition: tuple[str, int], offset: int) -> None:
    if offset >= 0:
        consumer.seek(partition, offset)
    elif offset == EARLIEST:
        consumer.seek_to_beginning([partition])
    else:
        consumer.seek_to_end([partition])


def _write(
    consumer: Consumer,
    given: Mapping[str, Any],
    formatter: Formatter | NoOp,
    output: BinaryIO,
    count: list[int],
) -> None:
    limit = given["max_messages"] if given["max_messages"] is not None else -1
    patience = given["timeout_ms"] if (given["timeout_ms"] or 0) > 0 or given["timeout_ms"] == 0 else None
    last = time.monotonic()
    while limit < 0 or count[0] < limit:
        wait = 1000 if patience is None else max(min(1000, patience - (time.monotonic() - last) * 1000), 1)
        records = consumer.poll(wait)
        now = time.monotonic()
        if not records:
            if patience is not None and (now - last) * 1000 >= patience:
                reason = "org.apache.kafka.common.errors.TimeoutException"
                print(f"Error processing message, terminating consumer process: {reason}", file=sys.stderr)
                return
            continue
        last = now
        if limit >= 0 and len(records) > limit - count[0]:
            consumer.put_back(records[limit - count[0] :])
            records = records[: limit - count[0]]
        for record in records:
            count[0] += 1
            try:
                output.write(formatter.line(record))
            except (ValueError, UnicodeError) as problem:
                if not given["skip_message_on_error"]:
                    raise
                print(f"Error processing message, skipping this message: {problem}", file=sys.stderr)
        output.flush()


if __name__ == "__main__":
    main()
