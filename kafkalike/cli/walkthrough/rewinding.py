"""W14: a consumer can go back or ahead to any offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kafkalike.cli.walkthrough.stage import Stage


def rewinds(stage: Stage) -> None:
    """W14: a consumer goes back to the beginning, to an offset, and to a time."""
    topic, group = stage.topic(1), stage.group()
    # The old messages are two minutes old, so that a tool that starts slowly still finds where the new ones begin.
    now = datetime.now(UTC)
    between = now - timedelta(minutes=1)
    written = int((now - timedelta(minutes=2)).timestamp() * 1000)
    stage.produce(topic, [f"old {number}" for number in range(4)], timestamp_ms=written)
    stage.produce(topic, [f"new {number}" for number in range(6)])
    _seeks(stage, topic, group)
    _tools(stage, topic, group, between)
    path = f"/consumers/{group}/offsets/{topic}/0"
    stage.set_znode(path, b"3")
    stage.holds(_next_read(stage, topic, group) == 3, "the znode set by hand while the group is stopped: next is 3")


def _seeks(stage: Stage, topic: str, group: str) -> None:
    consumer = stage.subscribed(group, topic)
    partition = (topic, 0)
    read = [record.offset for record in consumer.poll(10_000)]
    stage.seen(f"reads offsets {read}")
    for offset in (2, 9, 0):
        consumer.seek(partition, offset)
        record = consumer.poll(10_000)[0]
        stage.sent(f"seek({topic}-0, {offset})")
        stage.seen(f"the next message is at offset {record.offset}: {(record.value or b'').decode()}")
        stage.holds(record.offset == offset, f"seek to {offset}")
    consumer.seek(partition, 10)
    consumer.commit({partition: 10})
    stage.finish(consumer)


def _tools(stage: Stage, topic: str, group: str, between: datetime) -> None:
    moment = between.strftime("%Y-%m-%dT%H:%M:%S.") + f"{between.microsecond // 1000:03d}"
    plan = stage.scratch / "offsets.csv"
    plan.write_text(f"{topic},0,7\n")
    cases: list[tuple[list[str], int]] = [
        (["--to-offset", "5"], 5),
        (["--shift-by", "-2"], 3),
        (["--shift-by", "4"], 7),
        (["--to-datetime", moment], 4),
        (["--to-earliest"], 0),
        (["--by-duration", "since between"], 4),
        (["--to-latest"], 10),
        (["--to-current"], 10),
        (["--from-file", str(plan)], 7),
    ]
    for options, expected in cases:
        if options[0] == "--by-duration":
            options[1] = f"PT{(datetime.now(UTC) - between).total_seconds():.3f}S"
        words = ["--reset-offsets", "--execute", "--group", group, "--topic", topic, *options]
        stage.tool("kafka-consumer-groups.sh", *words, show=False)
        found = stage.offset(group, topic, 0)
        stage.report.sent[-1] = f"$ kafka-consumer-groups.sh --reset-offsets --execute {' '.join(options[:2])}"
        stage.holds(found is not None and found[0] == expected, f"{options[0]}: the znode says {expected}")
        stage.look(" ".join(options[:1]))
    stage.holds(_next_read(stage, topic, group) == 7, "and a consumer goes on from there: next is 7")


def _next_read(stage: Stage, topic: str, group: str) -> int:
    consumer = stage.subscribed(group, topic)
    records = consumer.poll(10_000)
    stage.finish(consumer)
    return records[0].offset if records else -1
