"""Dynamic configuration, and the notifications that tell brokers of its changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kafkalike.cluster.znodes.encoding import Garbage, field_of, json_object, to_json


class EntityConfig:
    """The dynamic configuration of a topic, broker, client, user or address."""

    @staticmethod
    def path(kind: str, name: str) -> str:
        """/config/<topics|brokers|clients|users|ips>/<name>"""
        return f"/config/{kind}/{name}"

    @staticmethod
    def encode(config: Mapping[str, str]) -> bytes:
        """Values are strings, whatever they mean."""
        return to_json({"version": 1, "config": dict(config)})

    @classmethod
    def decode(cls, kind: str, name: str, data: bytes | None) -> dict[str, str]:
        """No node and no data mean an empty configuration. A number or a word that somebody wrote without quotes is
        taken as its text: whether the key can have it is not known here."""
        if data is None:
            return {}
        path = cls.path(kind, name)
        config: dict[str, Any] = field_of(json_object(path, data), path, "config", dict)
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
            if value is not None
        }


class ConfigChange:
    """A notification that an entity's configuration has changed: a sequential znode below /config/changes."""

    PARENT = "/config/changes"
    PREFIX = f"{PARENT}/config_change_"

    @staticmethod
    def encode(kind: str, name: str) -> bytes:
        """Version 2."""
        return to_json({"version": 2, "entity_path": f"{kind}/{name}"})

    @staticmethod
    def decode(path: str, data: bytes | None) -> tuple[str, str]:
        """Kind and name. Version 1 has them apart, and knows topics and clients only."""
        node = json_object(path, data)
        if node.get("version") == 1:
            return field_of(node, path, "entity_type", str), field_of(node, path, "entity_name", str)
        kind, slash, name = field_of(node, path, "entity_path", str).partition("/")
        if not slash:
            raise Garbage(path, "no entity path")
        return kind, name
