"""The walk through the documented workflow: all of it on its own cluster, parts of it on one that is given."""

import json
import re
from types import SimpleNamespace

import pytest

from kafkalike.cli.walkthrough.__main__ import STEPS, Step, _run
from kafkalike.cli.walkthrough.cleanup import tidy
from kafkalike.cli.walkthrough.report import NotHeld, Report, summary
from kafkalike.cli.walkthrough.stage import Stage, percentile
from kafkalike.client.blocking.admin import Admin
from kafkalike.errors import KafkaError
from tests.cli.commands import run
from tests.servers import Kafka
from zk.blocking_client import CONNECTION_LOSS, SESSION_EXPIRED, ClientError, Unreachable
from zk.wire import Code


@pytest.mark.parametrize("brokers", [1, 3])
def test_every_step_holds_on_a_cluster_of_its_own(brokers: int) -> None:
    done = run("walkthrough", "--json", "--brokers", brokers, timeout=115)
    reports = [json.loads(line) for line in done.out.splitlines()]
    failures = {r["step"]: r["failure"] for r in reports if not r["ok"]}
    assert ({}, 0) == (failures, done.code), done.err
    assert [f"W{n}" for n in range(1, 15)] == [r["step"] for r in reports]
    assert all(r["held"] and r["why"] and (r["sent"] or r["seen"]) for r in reports)
    assert not any(r["skipped"] for r in reports)
    assert "" == done.err
    sent = {r["step"]: "\n".join(r["sent"]) for r in reports}
    assert "$ kafka-topics.sh --create --topic quickstart --partitions 2" in sent["W1"]
    assert "21 messages to quickstart" in sent["W1"]
    assert re.search(r"kill -9 of broker \d, which leads w12-\w+-0", sent["W12"])
    assert "kill -9 of ZooKeeper" in sent["W12"]
    assert "4 more messages, 34 in all" in sent["W12"]
    assert min(brokers, 2) == len(reports[6]["measured"]), "W7 counts what each leader is asked"


@pytest.mark.parametrize("step", ["2", "W6", "12"])
def test_a_step_on_a_given_cluster(kafka: Kafka, step: str) -> None:
    words = ["--bootstrap-server", kafka.bootstrap, "--zookeeper", kafka.zookeeper.connect, "--step", step]
    done = run("walkthrough", *words)
    assert 0 == done.code, done.out + done.err
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\033" not in done.out, "no colour where nobody sees it"
    if step == "12":  # what is not ours is not killed, and the walk says so
        assert "    OK, except for what was skipped  (" in done.out
        assert done.lines[-1].startswith("0 of 1 steps hold, 1 skipped (W12), in ")
    else:
        assert "    OK  (" in done.out
        assert done.lines[-1].startswith("1 of 1 steps hold, in ")
    left = run("kafka-topics", "--bootstrap-server", kafka.bootstrap, "--list", "--topic", f"w{step.strip('W')}-.*")
    assert [] == left.lines, "and nothing is left behind"


class Bare(Stage):
    """A stage without a cluster."""

    def __init__(self) -> None:
        self._open, self._topics, self.log_dirs, self.run = [], [], [], "x"
        self.connect = "z:1/k"
        self.zk = SimpleNamespace(state="CONNECTED", sync=lambda path: path)


def test_a_step_that_does_not_hold_stops_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(stage: Stage) -> None:
        stage.sent("something")
        raise NotHeld("two and two are five")

    monkeypatch.setattr("kafkalike.cli.walkthrough.producing.regular_intervals", fails)
    report = Report(STEPS[0].name, STEPS[0].title, STEPS[0].why)
    _run(Bare(), STEPS[0], report)
    assert "two and two are five" == report.failure
    text = report.as_text(colour=False)
    assert "NOT OK    two and two are five" in text
    assert "\n    OK" not in text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ClientError(CONNECTION_LOSS, "/consumers/g"), "KeeperErrorCode = ConnectionLoss for /consumers/g"),
        (ClientError(Code.NO_AUTH, "/consumers"), "KeeperErrorCode = NoAuth for /consumers"),
        (ClientError(SESSION_EXPIRED), "KeeperErrorCode = Session expired"),
        (Unreachable("nobody listens at z:1"), "nobody listens at z:1"),
    ],
)
def test_a_zookeeper_that_fails_in_the_middle_of_a_step_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, problem: Exception, text: str
) -> None:
    def breaks(*_: object) -> None:
        raise problem

    stage = Bare()
    stage.zk = SimpleNamespace(state="CONNECTED", sync=breaks, get=breaks)
    monkeypatch.setattr(
        "kafkalike.cli.walkthrough.producing.regular_intervals", lambda stage: stage.offset("g", "t", 0)
    )
    report = Report(STEPS[0].name, STEPS[0].title, STEPS[0].why)
    _run(stage, STEPS[0], report)
    assert f"ZooKeeper at z:1/k: {text}" == report.failure


def test_a_topic_that_the_walk_did_not_get_to_create_is_not_left_behind(kafka: Kafka, name: str) -> None:
    kafka.create_topic(name, 1)
    with Admin(kafka.bootstrap) as admin:
        assert [] == list(tidy(admin, [], ["never-made", name]))
        with pytest.raises(KafkaError, match=name):
            admin.describe_topics([name])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--step", "15"], "there is no step 15: they are 1 to 14"),
        (["--zookeeper", "127.0.0.1:1"], "--bootstrap-server and --zookeeper belong together"),
        (
            ["--bootstrap-server", "127.0.0.1:1", "--zookeeper", "127.0.0.1:1", "--keep"],
            'Option "[bootstrap-server]" can\'t be used with option "[keep]"',
        ),
        (["--brokers", "0"], "brokers: 0 is not in the range 1<=x<=9."),
    ],
)
def test_contradictions(arguments: list[str], text: str) -> None:
    done = run("walkthrough", *arguments)
    assert (1, "", f"{text}\n") == (done.code, done.out, done.err)


def test_text_fits_into_80_columns() -> None:
    report = Report("W0", "A title that is " + "long " * 20, "Because. " * 30)
    report.sent = ["word " * 40, "x" * 200]
    report.znodes = [f"|~ /{'p' * 100}", "|    1 (v0) -> 2 (v1)"]
    report.measured = ["3 ms"]
    report.held = ["it holds"]
    text = report.as_text(colour=False)
    assert max(map(len, [*report.heading(colour=False).splitlines(), *text.splitlines()])) <= 80
    assert "    measured  3 ms" in text
    assert "                 1 (v0) -> 2 (v1)" in text


def test_colour_is_on_the_title_and_the_outcome_only() -> None:
    report = Report("W0", "Title", "why")
    assert "\033[1mW0  Title\033[0m" == report.heading(colour=True)
    painted = [line for line in report.as_text(colour=True).splitlines() if "\033" in line]
    assert ["    \033[32mOK\033[0m  (0.0 s)"] == painted


def test_the_sum_does_not_count_what_was_skipped() -> None:
    reports = [Report(f"W{number}", "Title", "why") for number in (1, 2, 3)]
    assert "3 of 3 steps hold, in 4 s." == summary(reports, 4.2)
    reports[1].skipped.append("half of it")
    assert "2 of 3 steps hold, 1 skipped (W2), in 4 s." == summary(reports, 4.2)
    reports[2].failure = "five"
    assert "1 of 3 steps hold, 1 skipped (W2), W3 does not hold, in 4 s." == summary(reports, 4.2)


def test_json_has_everything_on_one_line() -> None:
    report = Report("W0", "Title", "why", sent=["a\nb"])
    assert 1 == len(report.as_json().splitlines())
    assert {"step": "W0", "ok": True, "sent": ["a\nb"]}.items() <= json.loads(report.as_json()).items()


def test_json_has_znodes_in_one_piece() -> None:
    report = Report("W0", "Title", "why")
    report.znodes = ["after:", "|+ /a", '|    {"b":', "|    1} (v0)", "|- /c", "|~ /d", "|    1 (v0) ->", "|    2 (v1)"]
    report.seen = ["| a table"]
    found = json.loads(report.as_json())
    assert ["after:", '+ /a {"b":1} (v0)', "- /c", "~ /d 1 (v0) -> 2 (v1)"] == found["znodes"]
    assert ["a table"] == found["seen"]


def test_steps_are_the_documented_ones() -> None:
    assert [f"W{n}" for n in range(1, 15)] == [s.name for s in STEPS]
    assert all(isinstance(s, Step) and s.title.endswith((".", "one in each.")) for s in STEPS)


def test_percentiles() -> None:
    values = [float(n) for n in range(100)]
    assert (50, 99, 0) == (percentile(values, 0.5), percentile(values, 0.99), percentile([0.0], 0.99))
