"""meta.properties in a log directory: which broker of which cluster the directory belongs to.

Java properties: version=0, broker.id, cluster.id, perhaps directory.id
"""

import os
import time
from collections.abc import Mapping
from typing import Final

from kafkalike.storage.files import DISK, Files, StorageError

META_PROPERTIES: Final = "meta.properties"


def claim(directory: str, broker_id: int, cluster_id: str, files: Files) -> None:
    """Makes sure that the directory is this broker's, and says so in it if it is nobody's yet; StorageError in Kafka's
    words if it is another's."""
    path = os.path.join(directory, META_PROPERTIES)
    properties = decode_properties(files.read(path))
    version = properties.get("version", "0")
    if version != "0":
        raise StorageError(
            f"Found unexpected version in {path}. ZK-based brokers that are not migrating only support version 0 "
            "(which is implicit when the `version` field is missing)."
        )
    stored = properties.get("cluster.id")
    if stored is not None and stored != cluster_id:
        raise StorageError(f"Invalid cluster.id in: {path}. Expected {cluster_id}, but read {stored}")
    number = properties.get("broker.id")
    if number is not None and number != str(broker_id):
        raise StorageError(
            f"Stored node id {number} doesn't match previous node id {broker_id} in {path}. If you moved your "
            "data, make sure your configured node id matches. If you intend to create a new node, you should "
            "remove all data in your data directories."
        )
    if stored is None or number is None:
        properties |= {"version": "0", "broker.id": str(broker_id), "cluster.id": cluster_id}
        date = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())
        files.write_atomically(path, encode_properties(properties, date))


def read_broker_id(path: str, files: Files = DISK) -> int | None:
    """The broker that a directory belongs to; None for a new one. For a broker that was not given a number."""
    number = decode_properties(files.read(os.path.join(path, META_PROPERTIES))).get("broker.id", "")
    return int(number) if number.isascii() and number.isdigit() else None


def encode_properties(properties: Mapping[str, str], date: str) -> bytes:
    """meta.properties as Kafka writes it, comments first."""
    lines = ["#", f"#{date}", *(f"{key}={value}" for key, value in properties.items())]
    return ("\n".join(lines) + "\n").encode()


def decode_properties(data: bytes | None) -> dict[str, str]:
    """Java properties, as far as meta.properties uses them; garbage has none."""
    lines = (line.strip() for line in (data or b"").decode("utf-8", "replace").splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!" and "=" in line)
    return {key.strip(): value.strip().replace("\\", "") for key, _, value in pairs}
