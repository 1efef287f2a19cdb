"""The name that usage shows."""

from __future__ import annotations

import pytest

from zk.command_name import typed


@pytest.mark.parametrize(
    ("program", "script", "shown"),
    [
        ("/usr/bin/kafka-topics", "kafka-topics.sh", "kafka-topics"),
        ("/opt/kafkalike/cli/topics.py", "kafka-topics.sh", "kafka-topics.sh"),
        ("/usr/bin/kafkalike-walkthrough", "walkthrough.sh", "kafkalike-walkthrough"),
        ("/usr/bin/pytest", "kafka-topics.sh", "kafka-topics.sh"),
        ("-m", "kafka-topics.sh", "kafka-topics.sh"),
        ("", "kafka-topics.sh", "kafka-topics.sh"),
    ],
)
def test_an_entry_point_is_called_by_its_own_name(
    program: str, script: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [program])
    assert shown == typed(script)
