"""W4 to W6: a consumer subscribes, learns the offset it begins at, and that offset is saved."""

from __future__ import annotations

from kafkalike.cli.walkthrough.stage import Stage
from kafkalike.protocol import EARLIEST, LATEST


def subscribes(stage: Stage) -> None:
    """W4: a consumer subscribes."""
    topic, group = stage.topic(2), stage.group()
    stage.sent(f"a consumer of group {group} subscribes to {topic}: FindCoordinator, JoinGroup, SyncGroup")
    consumer = stage.subscribed(group, topic)
    stage.seen(f"member {consumer.member_id}")
    stage.seen(f"partitions {', '.join(f'{t}-{p}' for t, p in consumer.assignment)}")
    table = stage.tool("kafka-consumer-groups.sh", "--describe", "--members", "--group", group, show=False)
    member = next((line.split() for line in table.splitlines() if consumer.member_id in line), [])
    if member:
        stage.seen("| CONSUMER-ID                          HOST         #PARTITIONS")
        stage.seen(f"| {member[1][:36]:<36} {member[2]:<12} {member[4]}")
    stage.holds(member and member[4] == "2", "kafka-consumer-groups.sh shows the member, with both partitions")

    classic = stage.classic_consumer(group, topic)
    stage.look()
    children, _ = stage.zk.children(f"/consumers/{group}/ids")
    stage.holds(classic.name in children, f"a classic consumer is the ephemeral {classic.path}")


def current_offset(stage: Stage) -> None:
    """W5: the consumer is given the current offset."""
    topic = stage.topic(2)
    stage.sent(f"3 messages to {topic}-0, 2 to {topic}-1")
    stage.produce(topic, ["a", "b", "c"], partition=0)
    stage.produce(topic, ["d", "e"], partition=1)
    parts = [(topic, 0), (topic, 1)]
    for policy, timestamp, expected in (("earliest", EARLIEST, [0, 0]), ("latest", LATEST, [3, 2])):
        group = stage.group()
        committed = stage.admin.committed(group, parts)
        listed = stage.admin.list_offsets(dict.fromkeys(parts, timestamp))
        stage.sent(f"OffsetFetch {group}; ListOffsets {topic} {timestamp} ({policy})")
        stage.seen(f"OffsetFetch: {committed or 'no offset yet'}")
        stage.seen("ListOffsets: " + ", ".join(f"{t}-{p}: {found.offset}" for (t, p), found in sorted(listed.items())))
        consumer = stage.subscribed(group, topic, auto_offset_reset=policy)
        starts = [consumer.start_offsets[part][0] for part in parts]
        stage.holds(starts == expected, f"with auto.offset.reset={policy} a new group starts at {expected}")


def saved_offset(stage: Stage) -> None:
    """W6: the offset is saved in ZooKeeper."""
    topic, group = stage.topic(2), stage.group()
    stage.produce(topic, ["a", "b", "c"], partition=0)
    stage.sent(f"our consumer of group {group} subscribes, auto.offset.reset=latest, and reads nothing")
    stage.subscribed(group, topic, auto_offset_reset="latest")
    offsets = [stage.offset(group, topic, partition) for partition in (0, 1)]
    stage.look()
    for partition, found in enumerate(offsets):
        stage.seen(f"/consumers/{group}/offsets/{topic}/{partition} = {found[0] if found else None}")
    stage.holds(
        [found and found[0] for found in offsets] == [3, 0],
        "the znodes exist at assignment, with the start position as ASCII decimal",
    )

    other = stage.group()
    stage.sent(f"a consumer of group {other} that does not save its start, as other clients, then commits 1")
    consumer = stage.subscribed(other, topic, save_start=False)
    before = stage.offset(other, topic, 0)
    consumer.commit({(topic, 0): 1})
    after = stage.offset(other, topic, 0)
    stage.seen(f"before the commit: {before}; after it: {after[0] if after else None}")
    stage.holds(before is None, "for any other client the broker invents no offset")
    stage.holds(after is not None and after[0] == 1, "there the znode appears with the first commit")
