"""kafka-broker-api-versions.sh."""

from kafkalike.cli.broker_api_versions import listing
from tests.cli.commands import run
from tests.servers import Kafka


def test_each_broker_is_listed(kafka: Kafka) -> None:
    done = run("kafka-broker-api-versions", "--bootstrap-server", kafka.bootstrap)
    assert 0 == done.code
    assert f"{kafka.bootstrap} (id: 0 rack: null) -> (" == done.lines[0]
    assert done.lines[1].startswith("\tProduce(0): 0 to ")
    assert any(line.startswith("\tApiVersions(18): 0 to 4 [usable: 4]") for line in done.lines)
    assert ")" == done.lines[-1]


def test_versions_are_compared_with_ours() -> None:
    said = listing({3: (0, 99), 18: (50, 60), 999: (1, 1)})
    assert "\tMetadata(3): 0 to 99 [usable: 12]," in said
    assert "\tApiVersions(18): 50 to 60 [unusable: node too new]," in said
    assert "\tUNKNOWN(999): 1\n)" in said
    assert "\tProduce(0): UNSUPPORTED," in said
    assert "LeaderAndIsr" not in said, "not for clients"
