"""The brokers of a cluster, and which requests each of them speaks."""

from __future__ import annotations

from collections.abc import Sequence

from kafkalike.client.cluster import Cluster, Node
from kafkalike.client.effects import Steps
from kafkalike.client.routing import Routing


def cluster(routing: Routing, topics: Sequence[str] | None = ()) -> Steps[Cluster]:
    """Brokers, controller and the named topics, or all of them."""
    return routing.retrying("listNodes", lambda: routing.refresh(topics))


def api_versions(routing: Routing, node: Node) -> Steps[dict[int, tuple[int, int]]]:
    """What a broker answers: API key -> versions."""

    def attempt() -> Steps[dict[int, tuple[int, int]]]:
        connection = yield from routing.connect(node)
        return connection.versions

    return routing.retrying("apiVersions", attempt)
