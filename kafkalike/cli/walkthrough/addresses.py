"""Before the walk begins it checks the addresses that a user has given: they must be the ZooKeeper and the brokers of
one cluster. Else a step would fail some minutes later, and the broker would be blamed.
"""

from __future__ import annotations

from kafkalike.client.blocking.admin import Admin
from kafkalike.cluster.znodes.cluster import ClusterId
from zk.blocking_client import Client, ClientError
from zk.ensemble import EnsembleError, parse
from zk.wire import Code

TIMEOUT_MS = 5000


class WrongAddress(Exception):
    """An address that cannot be used. The text is for the user."""


def check(admin: Admin, bootstrap: str, zookeeper: str) -> None:
    """Checks that brokers and ZooKeeper name the same cluster id. Brokers before 0.10.1 do not tell theirs."""
    found = cluster_id_in(zookeeper)
    told = admin.cluster().cluster_id
    if told not in (None, found):
        raise WrongAddress(
            f"ZooKeeper at {zookeeper} has the cluster {found}, but the brokers at {bootstrap} belong to {told}"
        )


def cluster_id_in(zookeeper: str) -> str:
    """The cluster id that is stored in this ZooKeeper."""
    try:
        ensemble = parse(zookeeper)
    except EnsembleError as problem:
        raise WrongAddress(f"--zookeeper: {problem}") from None
    client = Client(ensemble, TIMEOUT_MS)
    try:
        client.connect()
        data, _ = client.get(ClusterId.path())
        return ClusterId.decode(data)
    except ClientError as problem:
        if problem.code != Code.NO_NODE:
            raise WrongAddress(f"ZooKeeper at {zookeeper} does not answer: code {problem.code}") from None
        path = f"{ensemble.chroot}{ClusterId.path()}"
        raise WrongAddress(f"ZooKeeper at {zookeeper} has no Kafka cluster there: {path} does not exist") from None
    except OSError as problem:
        raise WrongAddress(f"--zookeeper {zookeeper}: {problem}") from None
    finally:
        client.close()
