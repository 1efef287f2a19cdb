"""Dynamic configuration, and the notifications that tell brokers of its changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafkalike.cluster.znodes.encoding import Garbage, field_of, json_object, to_json


class EntityConfig:
    """The dynamic configuration of a topic, broker, client, user or address."""

    @staticmethod
    def path(kind: str, name: str) -> str:
        """/config/<topics|brokers|clients|users|ips>/<name>"""
        return f"/config/{kind}/{name}"

    @staticmethod
    def directory(kind: str) -> str:
        """The parent of those of one kind."""
        return f"/config/{kind}"

    @staticmethod
    def encode(config: Mapping[str, str]) -> bytes:
        """Values are strings, whatever they mean."""
        return to_json({"version": 1, "config": dict(config)})

    @classmethod
    def decode(cls, data: bytes | None, kind: str, name: str) -> dict[str, str]:
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


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A notification that an entity's configuration has changed: a sequential znode."""

    kind: str
    name: str

    PREFIX = "config_change_"

    @staticmethod
    def path(node: str) -> str:
        """/config/changes/config_change_0000000007"""
        return f"/config/changes/{node}"

    @staticmethod
    def directory() -> str:
        """The parent of them all."""
        return "/config/changes"

    def encode(self) -> bytes:
        """Version 2."""
        return to_json({"version": 2, "entity_path": f"{self.kind}/{self.name}"})

    @classmethod
    def decode(cls, data: bytes | None, node: str) -> ConfigChange:
        """Version 1 has kind and name apart, and knows topics and clients only."""
        path = cls.path(node)
        fields = json_object(path, data)
        if fields.get("version") == 1:
            return cls(field_of(fields, path, "entity_type", str), field_of(fields, path, "entity_name", str))
        kind, slash, name = field_of(fields, path, "entity_path", str).partition("/")
        if not slash:
            raise Garbage(path, "no entity path")
        return cls(kind, name)
