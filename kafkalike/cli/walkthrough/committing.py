"""W10 and W11: a consumer commits what it has processed, and the commit stays."""

from __future__ import annotations

from kafkalike.cli.walkthrough.stage import Stage
from kafkalike.client.assigned_partitions import ConsumerRecord
from kafkalike.client.blocking.consumer import Consumer


def acknowledges(stage: Stage) -> None:
    """W10: the consumer commits offsets."""
    topic, group = stage.topic(1), stage.group()
    stage.produce(topic, ["one", "two", "three"])
    consumer = stage.subscribed(group, topic)
    records = _read(consumer, 3)
    steps = [(1, None), (0, 2), (2, 3)]
    for index, expected in steps:
        committed = consumer.ack(records[index])
        stage.sent(f"ack() of offset {records[index].offset}")
        shown = f"commits {committed}" if committed is not None else "commits nothing: offset 0 is still open"
        stage.seen(f"ack({records[index].offset}) {shown}")
        stage.holds(committed == expected, f"after ack({index}) the contiguous prefix is {expected or 0}")
    stage.sent("commit() of everything handed out")
    consumer.commit()
    found = stage.offset(group, topic, 0)
    stage.holds(found is not None and found[0] == 3, "commit() and ack() agree: the next offset is 3")


def offset_moves_on(stage: Stage) -> None:
    """W11: the committed offset moves on."""
    topic, group = stage.topic(1), stage.group()
    stage.produce(topic, ["one", "two", "three"])
    consumer = stage.subscribed(group, topic)
    path = f"/consumers/{group}/offsets/{topic}/0"
    before = stage.offset(group, topic, 0)
    stage.look("at assignment")
    for record in _read(consumer, 3):
        consumer.commit({(topic, 0): record.offset + 1})
        after = stage.offset(group, topic, 0)
        stage.sent(f"OffsetCommit {topic}-0 = {record.offset + 1}")
        stage.seen(f"answered; {path}: {_text(before)} -> {_text(after)}")
        stage.holds(
            before is not None and after == (record.offset + 1, before[1] + 1),
            f"when the answer is there, ZooKeeper has {record.offset + 1}, version + 1",
        )
        before = after


def _read(consumer: Consumer, count: int) -> list[ConsumerRecord]:
    records: list[ConsumerRecord] = []
    while len(records) < count:
        records += consumer.poll(10_000)
    return records


def _text(found: tuple[int, int] | None) -> str:
    return "none" if found is None else f"{found[0]} (v{found[1]})"
