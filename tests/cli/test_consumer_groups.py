"""kafka-consumer-groups.sh."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kafkalike.cli.consumer_groups import main
from kafkalike.cli.options import EXCEPTIONS
from kafkalike.client.blocking.consumer import Consumer
from kafkalike.client.blocking.producer import Producer
from tests.cli.commands import Done, refusal, run
from tests.servers import Kafka


@pytest.fixture
def groups(kafka: Kafka):
    def call(*arguments: object) -> Done:
        return run("kafka-consumer-groups", "--bootstrap-server", kafka.bootstrap, *arguments)

    return call


@pytest.fixture
def group(kafka: Kafka, topic: str, name: str) -> str:
    """A group without members that has read half of 2 x 4 messages."""
    with Producer(kafka.bootstrap) as producer:
        for number in range(8):
            producer.send(topic, b"v", partition=number % 2, timestamp_ms=1000 * number)
    with Consumer(kafka.bootstrap, group_id=f"{name}-g", auto_offset_reset="earliest") as consumer:
        consumer.subscribe([topic])
        assert consumer.join()
        consumer.commit({(topic, 0): 2, (topic, 1): 2})
    return f"{name}-g"


@pytest.fixture
def member(kafka: Kafka, topic: str, name: str) -> Iterator[Consumer]:
    with Consumer(kafka.bootstrap, group_id=f"{name}-g", client_id="client", session_timeout_ms=10_000) as consumer:
        consumer.subscribe([topic])
        assert consumer.join()
        yield consumer


def test_offsets(groups, group: str, topic: str) -> None:
    done = groups("--describe", "--group", group)
    assert [
        ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"],
        [group, topic, "0", "2", "4", "2", "-", "-", "-"],
        [group, topic, "1", "2", "4", "2", "-", "-", "-"],
    ] == [line.split() for line in done.lines]
    assert f"\nConsumer group '{group}' has no active members.\n" == done.err
    assert done.out.startswith(f"\n{'GROUP':<15} {'TOPIC':<15} PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG")


def test_members(groups, member: Consumer, topic: str) -> None:
    done = groups("--describe", "--group", member.group_id, "--members", "--verbose")
    assert [
        ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT"],
        [member.group_id, member.member_id, "/127.0.0.1", "client", "2", f"{topic}(0,1)"],
    ] == [line.split() for line in done.lines]
    assert "" == done.err
    assert "ASSIGNMENT" not in groups("--describe", "--group", member.group_id, "--members").out
    offsets = groups("--describe", "--group", member.group_id, "--offsets").lines
    assert [topic, "0", "0", "0", "0", member.member_id, "/127.0.0.1", "client"] == offsets[1].split()[1:]


def test_state(groups, kafka: Kafka, member: Consumer) -> None:
    done = groups("--describe", "--group", member.group_id, "--state")
    assert "GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS" == " ".join(done.lines[0].split())
    assert [member.group_id, kafka.bootstrap, "(0)", "range", "Stable", "1"] == done.lines[1].split()


def test_list(groups, group: str) -> None:
    assert group in groups("--list").lines
    table = {tuple(line.split()) for line in groups("--list", "--state").lines}
    assert {("GROUP", "STATE"), (group, "Empty")} <= table
    assert group not in groups("--list", "--state", "stable").out
    assert (group, "Classic", "Empty") in {tuple(x.split()) for x in groups("--list", "--state", "--type").lines}


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (["--to-offset", "3"], 3),
        (["--shift-by", "-1"], 1),
        (["--shift-by", "1"], 3),
        (["--to-earliest"], 0),
        (["--to-latest"], 4),
        (["--to-current"], 2),
        (["--to-datetime", "1970-01-01T00:00:02.500"], 2),
        (["--by-duration", "P2000D"], 4),
    ],
)
def test_reset(groups, kafka: Kafka, group: str, topic: str, scenario: list[str], expected: int) -> None:
    words = ["--reset-offsets", "--group", group, "--topic", f"{topic}:0"]
    planned = groups(*words, *scenario, "--dry-run")
    assert [["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], [group, topic, "0", str(expected)]] == [
        line.split() for line in planned.lines if not line.startswith("Warn")
    ]
    kafka.assert_committed(group, topic, {0: 2, 1: 2})
    done = groups(*words, *scenario, "--execute")
    assert (0, planned.out) == (done.code, done.out)
    kafka.assert_committed(group, topic, {0: expected, 1: 2})


def test_reset_of_all_topics_and_both_partitions(groups, kafka: Kafka, group: str, topic: str) -> None:
    assert 0 == groups("--reset-offsets", "--group", group, "--all-topics", "--to-latest", "--execute").code
    kafka.assert_committed(group, topic, {0: 4, 1: 4})
    assert 0 == groups("--reset-offsets", "--group", group, "--topic", topic, "--to-offset", 1, "--execute").code
    kafka.assert_committed(group, topic, {0: 1, 1: 1})


def test_export_and_from_file(groups, kafka: Kafka, group: str, topic: str, tmp_path: Path) -> None:
    words = ["--reset-offsets", "--group", group]
    plan = groups(*words, "--topic", topic, "--to-offset", 3, "--dry-run", "--export").out
    assert f"{topic},0,3\n{topic},1,3\n" == plan
    (tmp_path / "plan.csv").write_text(plan)
    assert 0 == groups(*words, "--from-file", tmp_path / "plan.csv", "--execute").code
    kafka.assert_committed(group, topic, {0: 3, 1: 3})
    (tmp_path / "all.csv").write_text(f"{group},{topic},0,1\nother,{topic},0,2\n")
    assert 0 == groups(*words, "--from-file", tmp_path / "all.csv", "--execute").code
    kafka.assert_committed(group, topic, {0: 1, 1: 3})
    (tmp_path / "bad.csv").write_text("nonsense\n")
    done = groups(*words, "--from-file", tmp_path / "bad.csv", "--execute")
    assert (1, "") == (done.code, done.out)
    assert "Traceback" not in done.err


def test_reset_beyond_the_log_is_bounded(groups, group: str, topic: str) -> None:
    words = ["--reset-offsets", "--group", group, "--topic", f"{topic}:0", "--dry-run"]
    done = groups(*words, "--to-offset", 99)
    assert "4" == done.lines[1].split()[3]
    assert "New offset (99) is higher than latest offset for topic partition" in done.err
    assert "0" == groups(*words, "--shift-by", -9).lines[1].split()[3]


def test_reset_wants_an_empty_group(groups, member: Consumer, topic: str) -> None:
    done = groups("--reset-offsets", "--group", member.group_id, "--topic", topic, "--to-latest", "--execute")
    assert 1 == done.code
    assert (
        f"Error: Assignments can only be reset if the group '{member.group_id}' is inactive, "
        "but the current state is Stable." in done.out
    )


def test_without_execute_it_warns(groups, group: str, topic: str) -> None:
    done = groups("--reset-offsets", "--group", group, "--topic", topic, "--to-latest")
    assert done.err.startswith("WARN: No action will be performed as the --execute option is missing.")


def test_delete_offsets(groups, kafka: Kafka, group: str, topic: str) -> None:
    done = groups("--delete-offsets", "--group", group, "--topic", f"{topic}:1")
    assert f"Request succeed for deleting offsets with topic {topic}:1 group {group}" == done.lines[0]
    assert [topic, "1", "Successful"] == done.lines[2].split()
    kafka.assert_committed(group, topic, {0: 2})


def test_delete(groups, group: str) -> None:
    done = groups("--delete", "--group", group)
    assert (0, f"Deletion of requested consumer groups ('{group}') was successful.\n") == (done.code, done.out)
    assert group not in groups("--list").lines


def test_a_group_with_members_is_not_deleted(groups, member: Consumer) -> None:
    done = groups("--delete", "--group", member.group_id)
    assert 1 == done.code
    assert "Error: Deletion of some consumer groups failed:" in done.out
    assert f"* Group '{member.group_id}' could not be deleted due to: {EXCEPTIONS}.GroupNotEmptyException: " in done.out


@pytest.mark.parametrize("what", [[], ["--members"], ["--state"]])
def test_a_group_nobody_knows(groups, name: str, what: list[str]) -> None:
    assert [f"Error: Consumer group '{name}' does not exist."] == groups("--describe", "--group", name, *what).lines


RESET = ["--reset-offsets", "--group", "g", "--dry-run"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--list", "--delete"],
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets",
        ),
        (["--describe"], "Option [describe] takes one of these options: [all-groups], [group]"),
        (
            ["--describe", "--group", "g", "--members", "--state"],
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        ),
        (["--list", "--group", "g"], 'Option "[group]" can\'t be used with option "[list]"'),
        (
            ["--list", "--state", "foo"],
            "Invalid state list 'foo'. Valid states are: "
            "PreparingRebalance, CompletingRebalance, Stable, Dead, Empty, Assigning, Reconciling",
        ),
        ([*RESET, "--to-latest"], "One of the reset scopes should be defined: --all-topics, --topic."),
        (
            [*RESET, "--topic", "t", "--to-latest", "--to-earliest"],
            'Option "[to-earliest]" can\'t be used with option "[to-latest]"',
        ),
        ([*RESET, "--topic", "t", "--execute"], "Option [reset-offsets] only accepts one of [execute] and [dry-run]"),
    ],
)
def test_contradictions(arguments: list[str], text: str) -> None:
    assert text == refusal(main, "--bootstrap-server", "127.0.0.1:1", *arguments)
