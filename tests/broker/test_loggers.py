"""Loggers and levels, in Kafka's words."""

import logging

from kafkalike.broker import loggers


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
