"""DescribeCluster."""

import pytest

from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_cluster as messages
from tests.broker.apis.calls import ask
from tests.broker.apis.test_metadata import broker
from tests.reactor import on_reactor


@pytest.mark.parametrize("version", [0, 1])
@on_reactor
async def test_the_cluster_is_described(version: int) -> None:
    request = messages.Request(include_cluster_authorized_operations=True)
    answer = await ask(broker(), "describe_cluster", request, version)
    assert ("cluster", 1, 8096) == (answer.cluster_id, answer.controller_id, answer.cluster_authorized_operations)
    assert [(1, "a", 1, "r1"), (2, "a", 1, None)] == [(b.broker_id, b.host, b.port, b.rack) for b in answer.brokers]


@on_reactor
async def test_a_controller_that_cannot_be_reached_is_not_named() -> None:
    known = broker()
    answer = await ask(known, "describe_cluster", messages.Request(), 1, "INSIDE")
    assert (1, [1]) == (answer.controller_id, [b.broker_id for b in answer.brokers])
    answer = await ask(known, "describe_cluster", messages.Request(), 1, "NONE")
    assert (-1, []) == (answer.controller_id, answer.brokers)


@pytest.mark.parametrize(("kind", "error"), [(2, Error.MISMATCHED_ENDPOINT_TYPE), (0, Error.UNSUPPORTED_ENDPOINT_TYPE)])
@on_reactor
async def test_other_kinds_of_endpoints_are_refused(kind: int, error: Error) -> None:
    answer = await ask(broker(), "describe_cluster", messages.Request(endpoint_type=kind), 1)
    assert error == answer.error_code
