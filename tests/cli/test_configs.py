"""kafka-configs.sh on a running broker, beside Apache's own command."""

from __future__ import annotations

import pytest

from tests.cli.commands import Done, run
from tests.servers import Kafka

LOGGER = "kafka.server.ReplicaManager"


def configs(kafka: Kafka, *arguments: str, apache: bool = False) -> Done:
    return run("kafka-configs", "--bootstrap-server", kafka.bootstrap, *arguments, apache=apache)


def level(kafka: Kafka, logger: str, apache: bool = False) -> str:
    done = configs(kafka, "--entity-type", "broker-loggers", "--entity-name", "0", "--describe", apache=apache)
    assert "Dynamic configs for broker-logger 0 are:" == done.lines[0]
    return next(line for line in done.lines if line.startswith(f"  {logger}=")).strip()


@pytest.mark.parametrize("apache", [False, True], ids=["ours", "apache's"])
def test_a_loggers_level_is_altered_at_run_time(kafka: Kafka, apache: bool) -> None:
    before = level(kafka, LOGGER, apache)
    loggers = ("--entity-type", "broker-loggers", "--entity-name", "0", "--alter")
    done = configs(kafka, *loggers, "--add-config", f"{LOGGER}=DEBUG,kafka=TRACE", apache=apache)
    assert ["Completed updating config for broker-logger 0."] == done.lines, done.err
    assert f"{LOGGER}=DEBUG sensitive=false synonyms={{}}" == level(kafka, LOGGER, apache)
    assert "kafka.server=TRACE sensitive=false synonyms={}" == level(kafka, "kafka.server", apache)
    done = configs(kafka, *loggers, "--delete-config", f"{LOGGER},kafka", apache=apache)
    assert ["Completed updating config for broker-logger 0."] == done.lines, done.err
    assert before == level(kafka, LOGGER, apache)


@pytest.mark.parametrize("apache", [False, True], ids=["ours", "apache's"])
@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("--add-config", "kafka.nobody=DEBUG"), "Invalid broker logger(s): kafka.nobody"),
        (
            ("--add-config", f"{LOGGER}=loud"),
            "not a supported log level. Valid log levels are DEBUG, ERROR, FATAL",
        ),
        (("--delete-config", "root"), "Removing the log level of the root logger is not allowed"),
    ],
)
def test_what_is_no_level_is_refused(kafka: Kafka, apache: bool, wanted: tuple[str, str], said: str) -> None:
    done = configs(kafka, "--broker-logger", "0", "--alter", *wanted, apache=apache)
    assert done.code == 1
    assert said in done.out + done.err


def test_loggers_are_those_of_one_broker(kafka: Kafka) -> None:
    done = configs(kafka, "--entity-type", "broker-loggers", "--describe")
    assert "an entity name must be specified with --describe of broker-loggers" in done.err
    assert done.code == 1


def test_a_key_without_effect_can_be_set_and_is_shown(kafka: Kafka) -> None:
    broker = ("--entity-type", "brokers", "--entity-name", "0")
    assert 0 == configs(kafka, *broker, "--alter", "--add-config", "num.io.threads=9").code
    shown = configs(kafka, *broker, "--describe").lines
    assert (
        "  num.io.threads=9 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:num.io.threads=9, "
        "STATIC_BROKER_CONFIG:num.io.threads=8, DEFAULT_CONFIG:num.io.threads=8}"
    ) in shown
    assert 0 == configs(kafka, *broker, "--alter", "--delete-config", "num.io.threads").code
