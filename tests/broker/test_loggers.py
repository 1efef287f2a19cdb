"""Loggers and levels, in Kafka's words."""

import logging
from types import SimpleNamespace

import pytest

from kafkalike.broker import loggers
from kafkalike.errors import KafkaError

SET, DELETE, APPEND, SUBTRACT = range(4)


def operation(name, kind, value=None):
    return SimpleNamespace(name=name, config_operation=kind, value=value)


@pytest.fixture
def logger():
    made = logging.getLogger("kafka.test.altered")
    yield made
    made.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("level", "number"),
    [("TRACE", 5), ("DEBUG", 10), ("INFO", 20), ("WARN", 30), ("ERROR", 40), ("FATAL", 50)],
)
def test_a_level_is_set_and_taken_away(logger, level, number):
    inherited = loggers.levels()[logger.name]
    loggers.alter([operation(logger.name, SET, level)], validate_only=False)
    assert (number, level) == (logger.level, loggers.levels()[logger.name])
    loggers.alter([operation(logger.name, DELETE)], validate_only=False)
    assert (logging.NOTSET, inherited) == (logger.level, loggers.levels()[logger.name])


def test_what_is_only_validated_changes_nothing(logger):
    loggers.alter([operation(logger.name, SET, "ERROR")], validate_only=True)
    assert logging.NOTSET == logger.level


def test_a_level_of_somebodys_own_is_shown_as_the_next_below(logger):
    for number, name in ((35, "WARN"), (9, "TRACE"), (1, "TRACE")):
        logger.setLevel(number)
        assert name == loggers.levels()[logger.name]


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        (("kafka.nobody", SET, "INFO"), 40, "Logger kafka.nobody does not exist!"),
        (("kafka.nobody", DELETE, None), 40, "Logger kafka.nobody does not exist!"),
        (("kazoo", SET, "INFO"), 40, "Logger kazoo does not exist!"),
        (
            ("root", SET, "info"),
            40,
            "Cannot set the log level of root to info as it is not a supported log level. Valid log levels are DEBUG, "
            "ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (("root", DELETE, None), 42, "Removing the log level of the root logger is not allowed"),
        (("root", APPEND, "INFO"), 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
        (("root", SUBTRACT, "INFO"), 42, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
        (("root", 9, "INFO"), 42, "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"),
    ],
)
def test_refusals_are_kafkas_and_leave_the_others_undone(logger, wanted, code, said):
    with pytest.raises(KafkaError) as problem:
        loggers.alter([operation(logger.name, SET, "ERROR"), operation(*wanted)], validate_only=False)
    assert (code, said) == (problem.value.error, problem.value.message)
    assert logging.NOTSET == logger.level


def test_levels_are_kafkas_words_own_or_inherited(monkeypatch):
    parent, child = logging.getLogger("kafka.test"), logging.getLogger("kafka.test.child")
    monkeypatch.setattr(parent, "level", logging.WARNING)
    monkeypatch.setattr(child, "level", logging.NOTSET)
    parent.manager._clear_cache()
    levels = loggers.levels()
    assert (levels["kafka.test"], levels["kafka.test.child"]) == ("WARN", "WARN")
    assert levels["root"] in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def test_other_libraries_loggers_are_not_shown():
    logging.getLogger("somebody.else")
    assert "somebody.else" not in loggers.levels()
