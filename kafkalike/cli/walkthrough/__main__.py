"""The command: it chooses the steps, the cluster that they run on, and how they are shown."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import Command, exclusive, fail, version
from zk.command_name import typed

if TYPE_CHECKING:
    from kafkalike.cli.walkthrough.cluster import OwnCluster
    from kafkalike.cli.walkthrough.report import Report
    from kafkalike.cli.walkthrough.stage import Stage


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the documented workflow: what happens, the function that runs it, and why it is so."""

    name: str
    title: str
    run: str
    why: str


STEPS = (
    Step(
        "W1",
        "Producers send messages to a topic at regular intervals.",
        "producing.regular_intervals",
        "The leader of a partition appends a message to its log and answers with the offset it got there. With "
        "acks=all the answer waits until every replica in sync has it.",
    ),
    Step(
        "W2",
        "The broker stores every message in the partitions of that topic, on disk.",
        "producing.stored_on_disk",
        "A partition is a directory of segment files; the broker writes the batches there as they came. A real "
        "Kafka's tools read the same files.",
    ),
    Step(
        "W3",
        "Messages are shared equally between partitions: two messages and two partitions give one in each.",
        "producing.shared_equally",
        "The producer chooses the partition before it batches, so neither batching nor compression nor a retry "
        "can change it. A key always leads to the same partition, whatever client sent it.",
    ),
    Step(
        "W4",
        "A consumer subscribes to a topic.",
        "subscribing.subscribes",
        "The group's coordinator keeps the members of modern groups. Classic consumers register in ZooKeeper "
        "themselves, as an ephemeral node that vanishes with them.",
    ),
    Step(
        "W5",
        "Kafka gives the consumer the topic's current offset.",
        "subscribing.current_offset",
        "The consumer asks for its group's committed offset. A new group has none, so it asks for the oldest or "
        "the next offset, as its auto.offset.reset says.",
    ),
    Step(
        "W6",
        "... and saves that offset in ZooKeeper.",
        "subscribing.saved_offset",
        "Our consumer commits its start position at assignment, so a restart never depends on the reset policy. "
        "The broker does not know a client's policy and never invents an offset.",
    ),
    Step(
        "W7",
        "The consumer asks for new messages at a regular interval, such as 100 ms.",
        "polling.asks_at_intervals",
        "A Fetch waits at the broker until there is something, at most for fetch.max.wait.ms; then the next one is "
        "sent.",
    ),
    Step(
        "W8",
        "When messages arrive, the broker forwards them to the consumer.",
        "polling.forwards_at_once",
        "An append wakes the Fetch requests that wait for its partition, so the interval is an upper bound and not a "
        "delay.",
    ),
    Step(
        "W9",
        "The consumer receives and processes the message.",
        "polling.processes_slowly",
        "Heartbeats have a connection of their own and do not wait for the application, so long work does not look "
        "like death.",
    ),
    Step(
        "W10",
        "The consumer acknowledges.",
        "committing.acknowledges",
        "A committed offset says that everything before it is done, so ack() commits only the contiguous prefix.",
    ),
    Step(
        "W11",
        "The broker moves the offset on and updates it in ZooKeeper.",
        "committing.offset_moves_on",
        "The coordinator answers an OffsetCommit only when ZooKeeper has acknowledged the write: what was answered "
        "cannot be lost any more.",
    ),
    Step(
        "W12",
        "Because offsets live in ZooKeeper, the consumer goes on correctly through server outages.",
        "outages.survives_outages",
        "Messages are in the log, offsets in ZooKeeper's journal. What is started again finds both, and the old "
        "member is given up when its session is over.",
    ),
    Step(
        "W13",
        "This repeats until the consumer stops.",
        "outages.stops",
        "close() says goodbye, so nobody waits for a timeout. Offsets belong to the group and not to the member.",
    ),
    Step(
        "W14",
        "The consumer can rewind or skip to any offset at any time.",
        "rewinding.rewinds",
        "Reading does not remove messages: an offset is only a number in a znode, and any tool may set it.",
    ),
)


@click.command("walkthrough.sh", cls=Command, bare=True, help="Walk through the documented publish-subscribe workflow.")
@click.option("--bootstrap-server", metavar="HOST:PORT,...", help="Walk on this cluster, with --zookeeper.")
@click.option("--zookeeper", metavar="HOST:PORT[/CHROOT]", help="The ZooKeeper of that cluster.")
@click.option(
    "--brokers",
    type=click.IntRange(1, 9),
    metavar="N",
    help="Walk on a cluster of its own with so many brokers. Without addresses, one is the default.",
)
@click.option("--usual-ports", is_flag=True, help="That cluster takes 2181 and 9092, 9093, ..., where they are free.")
@click.option("--keep", is_flag=True, help="Leave that cluster up until Ctrl-C.")
@click.option("--step", metavar="N", help="Only this step: 1 to 14, or W1 to W14.")
@click.option("--pause", is_flag=True, help="Wait for Enter after each step.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each step.")
@version
def main(**given: Any) -> None:
    """Without addresses, on a cluster of its own."""
    options = {name.replace("_", "-"): value for name, value in given.items()}
    bootstrap_server, zookeeper = options["bootstrap-server"], options["zookeeper"]
    exclusive(options, "bootstrap-server", ("brokers", "usual-ports", "keep"))
    if bool(bootstrap_server) != bool(zookeeper):
        fail("--bootstrap-server and --zookeeper belong together")
    walk = Walk(_chosen(options["step"]), options["pause"], options["as-json"])
    if bootstrap_server and zookeeper:
        sys.exit(_walk_on(walk, bootstrap_server, zookeeper))
    sys.exit(_walk_alone(walk, options["brokers"] or 1, options["usual-ports"], options["keep"]))


def _chosen(step: str | None) -> tuple[Step, ...]:
    if step is None:
        return STEPS
    wanted = f"W{step.upper().removeprefix('W')}"
    chosen = tuple(s for s in STEPS if s.name == wanted)
    if not chosen:
        fail(f"there is no step {step}: they are 1 to {len(STEPS)}")
    return chosen


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk that the user asked for."""

    steps: tuple[Step, ...]
    pause: bool
    as_json: bool


def _walk_on(walk: Walk, bootstrap: str, zookeeper: str) -> int:
    from kafkalike.cli.walkthrough.interruption import at_a_signal

    stage = _stage(bootstrap, zookeeper)
    if stage is None:
        return 1
    at_a_signal(stage.abandon)
    return _run_all(walk, stage)


def _walk_alone(walk: Walk, brokers: int, usual_ports: bool, keep: bool) -> int:
    from kafkalike.cli.walkthrough.cluster import OwnCluster, Trouble
    from kafkalike.cli.walkthrough.interruption import at_a_signal

    def say(text: str) -> None:
        if not walk.as_json:
            print(text, end="", flush=True)

    own = OwnCluster(brokers, usual_ports=usual_ports, tell=say)

    def end() -> str:
        own.remove()
        return "what was started is ended, its files are removed."

    at_a_signal(end)
    code, to_be_looked_at = 1, False
    try:
        own.start()
        say(f"The files are in {own.directory}.\n\n")
        stage = _stage(own.bootstrap, own.connect, own)
        if stage is not None:
            code = _run_all(walk, stage)
            to_be_looked_at = code != 0
        if keep:
            print(_invitation(own), file=sys.stderr if walk.as_json else sys.stdout, flush=True)
            while True:
                signal.pause()
    except Trouble as problem:
        print(problem, file=sys.stderr)
        to_be_looked_at = True
    finally:
        own.stop()
        if to_be_looked_at:
            print(f"The files stay in {own.directory}.", file=sys.stderr)
        else:
            own.remove()
    return code


def _invitation(own: OwnCluster) -> str:
    in_bin = typed("walkthrough.sh") == "walkthrough.sh"
    consumer = "bin/kafka-console-consumer.sh" if in_bin else "kafka-console-consumer"
    return (
        f"\nThe brokers answer on {own.bootstrap}, ZooKeeper on {own.connect}. Ctrl-C ends them.\n"
        "What the walk has written to its first topic is read, in another terminal, by\n"
        f"{consumer} --topic quickstart --from-beginning --bootstrap-server {own.brokers[1].address}"
    )


def _stage(bootstrap: str, zookeeper: str, own: OwnCluster | None = None) -> Stage | None:
    from kafkalike.cli.walkthrough.addresses import WrongAddress
    from kafkalike.cli.walkthrough.stage import Stage
    from zk.blocking_client import Unreachable

    try:
        return Stage(bootstrap, zookeeper, own)
    except WrongAddress as problem:
        print(problem, file=sys.stderr)
    except Unreachable as problem:
        print(f"ZooKeeper at {zookeeper}: {problem}", file=sys.stderr)
    return None


def _run_all(walk: Walk, stage: Stage) -> int:
    """Runs the steps and gives the exit code."""
    from kafkalike.cli.walkthrough.report import Report, announce, show, summary

    began = time.monotonic()
    reports: list[Report] = []
    try:
        for number, step in enumerate(walk.steps):
            report = Report(step.name, step.title, step.why)
            announce(report, walk.as_json)
            _run(stage, step, report)
            show(report, walk.as_json)
            reports.append(report)
            if report.failure is not None:
                break
            if walk.pause and number + 1 < len(walk.steps):
                _wait_for_enter()
        if not walk.as_json:
            print(summary(reports, time.monotonic() - began))
        return 0 if reports[-1].failure is None else 1
    finally:
        stage.close()


def _wait_for_enter() -> None:
    # When standard input has ended, nobody will press Enter any more.
    with contextlib.suppress(EOFError):
        input("Enter goes on. ")


def _run(stage: Stage, step: Step, report: Report) -> None:
    from kafkalike.cli.walkthrough.report import NotHeld
    from kafkalike.client.errors import Disconnected, TimedOut
    from kafkalike.errors import KafkaError
    from zk.blocking_client import ClientError, Unreachable

    stage.begin(report)
    began = time.monotonic()
    for part in (lambda: _function(step.run)(stage), stage.end):
        failure = None
        try:
            part()
        except NotHeld as problem:
            failure = str(problem)
        except (ClientError, Unreachable) as problem:
            failure = f"ZooKeeper at {stage.connect}: {problem}"
        except (KafkaError, TimedOut, Disconnected) as problem:
            failure = f"{type(problem).__name__}: {problem}"
        report.failure = report.failure or failure
    report.seconds = time.monotonic() - began


def _function(name: str) -> Callable[[Stage], None]:
    from importlib import import_module

    module, _, function = name.partition(".")
    return getattr(import_module(f"kafkalike.cli.walkthrough.{module}"), function)


if __name__ == "__main__":
    main()
