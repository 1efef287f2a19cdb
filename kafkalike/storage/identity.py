"""Whose a directory is: meta.properties for a log directory, partition.metadata for a log in it.

meta.properties       Java properties: version=0, broker.id, cluster.id, perhaps directory.id
partition.metadata    "version: 0", newline, "topic_id: " and 22 characters of base64, no newline
"""

import base64
import binascii
from collections.abc import Mapping


def encode_properties(properties: Mapping[str, str], date: str) -> bytes:
    """meta.properties as Kafka writes it, comments first."""
    lines = ["#", f"#{date}", *(f"{key}={value}" for key, value in properties.items())]
    return ("\n".join(lines) + "\n").encode()


def decode_properties(data: bytes | None) -> dict[str, str]:
    """Java properties, as far as meta.properties uses them; garbage has none."""
    lines = (line.strip() for line in (data or b"").decode("utf-8", "replace").splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!" and "=" in line)
    return {key.strip(): value.strip().replace("\\", "") for key, _, value in pairs}


def encode_topic_id(topic_id: bytes) -> bytes:
    """partition.metadata."""
    return b"version: 0\ntopic_id: " + base64.urlsafe_b64encode(topic_id).rstrip(b"=")


def decode_topic_id(data: bytes | None) -> bytes | None:
    """From partition.metadata; None if it is missing or cannot be believed."""
    try:
        fields = dict(line.split(":", 1) for line in (data or b"").decode("ascii").splitlines() if line.strip())
        topic_id = base64.urlsafe_b64decode(fields["topic_id"].strip() + "==")
    except (KeyError, ValueError, binascii.Error):
        return None
    return topic_id if len(topic_id) == 16 and any(topic_id) and fields.get("version", "").strip() == "0" else None


def is_other(topic_id: bytes | None, told: bytes) -> bool:
    """Whether these ids are of two topics. None and zeros, as in orders of old versions, tell nothing."""
    return topic_id is not None and any(told) and topic_id != told
