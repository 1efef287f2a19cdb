"""What all commands have in common."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kafkalike.cli.options import key_values, load_properties
from tests import signal_at_import
from tests.cli.commands import BIN, run, start
from tests.servers import Kafka, free_port

COMMANDS = [
    "kafka-topics",
    "kafka-console-producer",
    "kafka-console-consumer",
    "kafka-consumer-groups",
    "kafka-broker-api-versions",
    "kafka-dump-log",
    "kafka-reassign-partitions",
    "kafka-leader-election",
    "kafka-preferred-replica-election",
    "kafka-replica-verification",
    "kafka-get-offsets",
    "kafka-delete-records",
    "kafka-configs",
    "kafka-server-start",
    "kafka-server-stop",
    "walkthrough",
]
# These commands do something without any argument.
BARE = {"walkthrough", "kafka-server-stop"}


def processor_time() -> float:
    """Seconds that ended child processes took, whatever else the machine was doing."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("command", COMMANDS)
def test_help_comes_quickly(command: str) -> None:
    before = processor_time()
    done = run(command, "--help")
    assert 0 == done.code
    assert done.out.startswith(f"Usage: {command}.sh [OPTIONS]")
    assert processor_time() - before < 0.4


@pytest.mark.parametrize("command", ["kafka-topics", "kafka-consumer-groups"])
def test_a_list_comes_quickly(kafka: Kafka, command: str) -> None:
    before = processor_time()
    assert 0 == run(command, "--bootstrap-server", kafka.bootstrap, "--list").code
    assert processor_time() - before < 0.4


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_one_line(command: str) -> None:
    done = run(command, "--no-such-option")
    assert (1, "", "no-such-option is not a recognized option\n") == (done.code, done.out, done.err)


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("kafka-topics", ["--lst"], "lst is not a recognized option. Did you mean --list?"),
        ("kafka-topics", ["list"], "list is not an option. Did you mean --list?"),
        ("kafka-topics", ["--list", "xyz"], "xyz is not an option"),
        ("kafka-console-consumer", ["--from-begining"], "from-begining is not a recognized option. Did you mean "
         "--from-beginning?"),
        ("kafka-topics", ["--zookeeper", "localhost:2181", "--list"], "zookeeper is not a recognized option: say "
         "--bootstrap-server and the address of a broker"),
        ("kafka-topics", ["--broker-list=a:1"], "broker-list is not a recognized option. Did you mean "
         "--bootstrap-server?"),
        ("kafka-server-start", ["--overide", "a=b", "x"], "overide is not a recognized option. Did you mean "
         "--override?"),
    ],
)  # fmt: skip
def test_what_was_meant_is_guessed(command: str, arguments: list[str], told: str) -> None:
    done = run(command, *arguments)
    assert (1, "", told + "\n") == (done.code, done.out, done.err)


def test_the_help_for_times_is_whole() -> None:
    assert "or a specified long format timestamp." in " ".join(run("kafka-get-offsets", "--help").out.split())


def test_errors_are_of_one_style_and_name_what_they_are_about(kafka: Kafka, name: str, tmp_path: Path) -> None:
    """One line; neither the code of an error nor, except in lists of results, the name of a Java class."""
    kafka.create_topic(name)
    unknown = "This broker does not have that topic or partition."
    illegal = "The topic's name is not allowed, or the topic may not be used this way."
    for command, arguments, told in (
        ("kafka-console-consumer", ["--topic", "a b"], f"Error: topic a b: {illegal}"),
        ("kafka-console-consumer", ["--topic", name, "--partition", "7"], f"Error: {name}-7: {unknown}"),
        ("kafka-console-consumer", ["--topic", name, "--group", ""], "Error: group '': The group id is not valid."),
        ("kafka-console-producer", ["--topic", "a b"], f"Error: topic a b: {illegal}"),
        (
            "kafka-consumer-groups",
            ["--reset-offsets", "--group", name, "--topic", f"{name}:9", "--to-earliest", "--execute"],
            f"Error: Executing consumer group command failed due to {name}-9: {unknown}",
        ),
        (
            "kafka-configs",
            ["--alter", "--entity-type", "topics", "--entity-name", name, "--add-config", "retention.ms=x"],
            "Error while executing config command: Invalid config value for resource "
            f"ConfigResource(type=TOPIC, name='{name}'): Invalid value x for configuration retention.ms: "
            "Not a number of type LONG",
        ),
    ):
        done = run(command, "--bootstrap-server", kafka.bootstrap, *arguments, stdin="line\n")
        assert 1 == done.code
        lines = [line for line in (done.out + done.err).splitlines() if line and not line.startswith("Processed")]
        assert [told] == lines


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in BARE])
def test_without_arguments_the_help_is_shown_and_nothing_done(command: str) -> None:
    done = run(command)
    assert 1 == done.code
    assert "Usage:" in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_version(command: str) -> None:
    done = run(command, "--version")
    assert 0 == done.code
    assert done.out.startswith("3.9")


def test_scripts_work_through_links_from_anywhere(tmp_path: Path) -> None:
    link = tmp_path / "topics"
    link.symlink_to(BIN / "kafka-topics.sh")
    done = subprocess.run([link, "--version"], cwd=tmp_path, capture_output=True, env={"PATH": os.environ["PATH"]})
    assert (0, b"") == (done.returncode, done.stderr)


def test_java_class_names_are_known() -> None:
    done = run("kafka-run-class", "org.apache.kafka.tools.TopicCommand", "--help")
    assert done.out.startswith("Usage: kafka-topics.sh")


def test_options_may_be_abbreviated_as_with_jopt_simple() -> None:
    done = run("kafka-topics", "--boot=127.0.0.1:1", "--desc", "--list")
    assert "Command must include exactly one action" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("kafka-topics", ["--list"]),
        ("kafka-consumer-groups", ["--list", "--timeout", "300"]),
        ("kafka-broker-api-versions", ["--command-config", "client.properties"]),
        ("kafka-console-consumer", ["--topic", "t", "--consumer-property", "request.timeout.ms=300"]),
        ("kafka-console-producer", ["--topic", "t", "--max-block-ms", "300"]),
    ],
)
def test_an_unreachable_broker_is_told_without_traceback(tmp_path: Path, command: str, arguments: list[str]) -> None:
    (tmp_path / "client.properties").write_text("default.api.timeout.ms=300\n")
    if command == "kafka-topics":
        arguments += ["--command-config", "client.properties"]
    port = free_port()
    done = run(command, "--bootstrap-server", f"127.0.0.1:{port}", *arguments, stdin="line\n", cwd=tmp_path)
    said = done.out + done.err
    assert 1 == done.code
    assert f"127.0.0.1:{port}) could not be established. Node may not be available." in said
    assert "Timed out waiting" in said or "not present in metadata" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("server", ["nonsense", "host:port", "localhost:99999"])
def test_an_unparsable_address(server: str) -> None:
    done = run("kafka-topics", "--bootstrap-server", server, "--list")
    assert 1 == done.code
    assert f"Invalid url in bootstrap.servers: {server}" in done.out


def test_a_reader_that_goes_away_is_no_error_to_shout_about() -> None:
    command = f"{sys.executable} -m kafkalike.cli.topics --help | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, cwd=BIN.parent)
    assert b"" == done.stderr


def test_properties_files(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text("# comment\n! too\n a = b \nc:d\nempty=\nlong=one,\\\n  two\ntab=x\\ty\n")
    assert {"a": "b", "c": "d", "empty": "", "long": "one,two", "tab": "x\ty"} == load_properties(str(path))


def test_key_values() -> None:
    assert {"a": "b=c", "d": "", "e": ""} == key_values(["a=b=c", "d=", "e"])


@pytest.mark.parametrize("command", [*COMMANDS, "zookeeper-shell", "zookeeper-server-stop"])
def test_a_ctrl_c_during_a_commands_imports_ends_it_without_a_word(tmp_path: Path, command: str) -> None:
    """Not even the help is complete then, or it is, if there are fewer."""
    for at in (1, 40):
        done = signal_at_import.run(tmp_path / "hook", [BIN / f"{command}.sh", "--help"], at)
        assert done.returncode in (0, 130, -signal.SIGINT), done
        assert "" == done.stderr


@pytest.mark.parametrize("command", ["kafka-topics", "kafka-console-consumer", "kafka-consumer-groups"])
def test_a_ctrl_c_ends_a_command_that_waits(command: str) -> None:
    """Nobody answers: the command has connected when the server sees it."""
    arguments = ["--topic", "t"] if command == "kafka-console-consumer" else ["--list"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        bootstrap = f"127.0.0.1:{server.getsockname()[1]}"
        process = start(command, "--bootstrap-server", bootstrap, *arguments)
        with server.accept()[0]:
            for _ in range(2):
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert b"Traceback" not in err
    assert process.returncode in (0, 130, -signal.SIGINT)


# Arguments with which each command would go on to ask a broker.
ASKING = {
    "kafka-topics": ["--list"],
    "kafka-console-producer": ["--topic", "t"],
    "kafka-console-consumer": ["--topic", "t"],
    "kafka-consumer-groups": ["--list"],
    "kafka-broker-api-versions": [],
    "kafka-reassign-partitions": ["--list"],
    "kafka-leader-election": ["--election-type", "preferred", "--all-topic-partitions"],
    "kafka-preferred-replica-election": [],
    "kafka-replica-verification": [],
    "kafka-get-offsets": [],
    "kafka-configs": ["--describe", "--entity-type", "topics"],
}


@pytest.mark.parametrize("command", ASKING)
def test_wrong_addresses_are_told_by_name(kafka: Kafka, command: str) -> None:
    option = "--broker-list" if command == "kafka-replica-verification" else "--bootstrap-server"
    done = run(command, option, "no-such-host.invalid:9092", *ASKING[command], stdin="line\n")
    assert 1 == done.code
    assert "the host name no-such-host.invalid does not resolve (" in done.out + done.err
    done = run(command, option, kafka.zookeeper.connect, *ASKING[command], stdin="line\n")
    assert 1 == done.code
    told = f"Something answers at {kafka.zookeeper.connect}, and it is ZooKeeper, not Kafka"
    assert 1 == (done.out + done.err).count(told)
    assert "Traceback" not in done.err


def test_the_command_that_asks_zookeeper_tells_wrong_addresses_too(kafka: Kafka) -> None:
    for address, reason in (
        ("no-such-host.invalid:2181", "the host name no-such-host.invalid does not resolve ("),
        (kafka.bootstrap, f"something answers at {kafka.bootstrap}, and it is Kafka, not ZooKeeper"),
        (f"{kafka.zookeeper.connect}/nowhere", "there is no /nowhere in this ZooKeeper"),
    ):
        done = run("kafka-preferred-replica-election", "--zookeeper", address)
        assert 1 == done.code
        assert reason in done.err
        assert "Traceback" not in done.err
