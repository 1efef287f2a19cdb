"""partition.metadata in a log's directory: which topic the log is of.

"version: 0", newline, "topic_id: " and 22 characters of base64, no newline
"""

import base64
import binascii
from typing import Final

PARTITION_METADATA: Final = "partition.metadata"


def encode_topic_id(topic_id: bytes) -> bytes:
    """partition.metadata."""
    return b"version: 0\ntopic_id: " + base64.urlsafe_b64encode(topic_id).rstrip(b"=")


def decode_topic_id(data: bytes | None) -> bytes | None:
    """Decodes the topic id in partition.metadata; None when it is missing or damaged."""
    try:
        fields = dict(line.split(":", 1) for line in (data or b"").decode("ascii").splitlines() if line.strip())
        topic_id = base64.urlsafe_b64decode(fields["topic_id"].strip() + "==")
    except (KeyError, ValueError, binascii.Error):
        return None
    return topic_id if len(topic_id) == 16 and any(topic_id) and fields.get("version", "").strip() == "0" else None


def is_other(topic_id: bytes | None, told: bytes) -> bool:
    """Whether these ids are of two topics. None and zeros, as in orders of old versions, tell nothing."""
    return topic_id is not None and any(told) and topic_id != told
