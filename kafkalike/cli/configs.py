"""kafka-configs.sh: shows and changes the configuration of topics, brokers and their loggers while they run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import (
    Command,
    Fail,
    bootstrap_server,
    command_config,
    fail,
    load_properties,
    text_of,
    version,
)

if TYPE_CHECKING:
    from kafkalike.client.admin.configs import ConfigEntry
    from kafkalike.client.blocking.admin import Admin

TYPES = ("topics", "clients", "users", "brokers", "ips", "broker-loggers", "client-metrics")
SERVED = ("topics", "brokers", "broker-loggers")
# The options that name an entity without --entity-type; with -defaults, all of a kind that have none of their own.
FLAGS = {
    "topic": "topics",
    "client": "clients",
    "user": "users",
    "broker": "brokers",
    "broker-logger": "broker-loggers",
    "ip": "ips",
}
DEFAULTS = {"client": "clients", "user": "users", "broker": "brokers", "ip": "ips"}

SOURCES = {
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
    6: "DYNAMIC_BROKER_LOGGER_CONFIG",
}
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT = 1, 2, 3
INVALID, INVALID_LOGGERS = "Invalid config(s): {}", "Invalid broker logger(s): {}"


@click.command(
    "kafka-configs.sh",
    cls=Command,
    help="This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip or "
    "client-metrics. Topics, brokers and broker-loggers are served.",
)
@bootstrap_server(required=False)
@click.option("--zookeeper", metavar="HOST:PORT[/CHROOT]", help="Not supported: use --bootstrap-server.")
@command_config()
@click.option("--alter", is_flag=True, help="Alter the configuration for the entity.")
@click.option("--describe", is_flag=True, help="List configs for the given entity.")
@click.option("--all", "all_", is_flag=True, help="With --describe, also what nobody set dynamically.")
@click.option("--entity-type", multiple=True, metavar="TYPE", help="/".join(TYPES))
@click.option("--entity-name", multiple=True, metavar="NAME", help="A topic's name or a broker's id.")
@click.option("--entity-default", is_flag=True, help="What holds for all brokers that have nothing of their own.")
@click.option("--add-config", metavar="K=V,...", help="What to set. Square brackets group values: 'k=[v1,v2]'.")
@click.option("--add-config-file", metavar="FILE", help="A properties file with what to set.")
@click.option("--delete-config", metavar="K,...", help="What to return to its default.")
@click.option("--force", is_flag=True, help="Accepted: nothing is asked.")
@click.option("--topic", help="The topic's name.")
@click.option("--broker", metavar="ID", help="The broker's id.")
@click.option("--broker-defaults", is_flag=True, help="What holds for all brokers.")
@click.option("--client", help="Not supported.")
@click.option("--client-defaults", is_flag=True, help="Not supported.")
@click.option("--user", help="Not supported.")
@click.option("--user-defaults", is_flag=True, help="Not supported.")
@click.option("--ip", help="Not supported.")
@click.option("--ip-defaults", is_flag=True, help="Not supported.")
@click.option("--broker-logger", metavar="ID", help="The id of the broker whose loggers are meant.")
@version
def main(**given: Any) -> None:
    """Checks the options, then alters or describes."""
    options = {key.rstrip("_").replace("_", "-"): value for key, value in given.items()}
    kind, entity = _check(options)
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import KafkaError

    properties = load_properties(options["command-config"])
    try:
        with Admin(options["bootstrap-server"], **admin_options(properties)) as admin:
            if options["alter"]:
                alter(admin, kind, entity or "", options)
            else:
                describe(admin, kind, entity, options["all"])
    except (KafkaError, TimedOut, ValueError) as problem:
        raise Fail(f"Error while executing config command: {text_of(problem)}") from problem


def _check(options: Mapping[str, Any]) -> tuple[str, str | None]:
    """Kind and name of the entity: "" is the default, None is every one of the kind."""
    if options["alter"] == options["describe"]:
        fail("Command must include exactly one action: --describe, --alter")
    if options["describe"]:
        for option in ("add-config", "delete-config"):
            if options[option]:
                fail(f'Option "[describe]" can\'t be used with option "[{option}]"')
    types, names = _entities(options)
    if len(set(types)) != len(types):
        fail(f"Duplicate entity type(s) specified: {','.join(t for t in types if types.count(t) > 1)}")
    for kind in types:
        if kind not in TYPES:
            fail(
                f"Invalid entity type {kind}, the entity type must be one of {', '.join(TYPES)} with a "
                "--bootstrap-server or --bootstrap-controller argument"
            )
    if not types:
        fail("At least one entity type must be specified")
    if len(types) > 1 and set(types) != {"users", "clients"}:
        fail("Only 'users' and 'clients' entity types may be specified together")
    if options["zookeeper"]:
        fail("--zookeeper is not supported: use --bootstrap-server")
    if not options["bootstrap-server"]:
        fail(
            "One of the required --bootstrap-server, --boostrap-controller, or --zookeeper arguments must be specified"
        )
    kind, name = types[0], names[0] if names else None
    if kind not in SERVED:
        fail(f"Entity type {kind} is not supported yet: only {', '.join(SERVED[:-1])} and {SERVED[-1]} are")
    if kind in ("brokers", "broker-loggers") and name and not name.removeprefix("-").isdecimal():
        fail(f"The entity name for {kind} must be a valid integer broker id, but it is: {name}")
    if options["alter"]:
        _check_alter(options, kind, name)
    elif kind == "broker-loggers" and not name:
        fail(f"an entity name must be specified with --describe of {kind}")
    return kind, name


def _entities(options: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    types, names = list(options["entity-type"]), list(options["entity-name"])
    if options["entity-default"]:
        names.append("")
    flags = [flag for flag in FLAGS if options[flag] is not None]
    defaults = [flag for flag in DEFAULTS if options[f"{flag}-defaults"]]
    if (types or names) and (flags or defaults):
        fail("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
    types += [FLAGS[flag] for flag in flags] + [DEFAULTS[flag] for flag in defaults]
    return types, names + [options[flag] for flag in flags] + [""] * len(defaults)


def _check_alter(options: Mapping[str, Any], kind: str, name: str | None) -> None:
    if kind == "brokers" and name is None:
        fail("an entity-name or default entity must be specified with --alter of users, clients, brokers or ips")
    if kind in ("topics", "broker-loggers") and not name:
        fail(f"an entity name must be specified with --alter of {kind}")
    if options["add-config"] is not None and options["add-config-file"]:
        fail("Only one of --add-config or --add-config-file must be specified")
    if options["add-config"] is None and not options["add-config-file"] and options["delete-config"] is None:
        fail("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")


# The actions.


def alter(admin: Admin, kind: str, entity: str, options: Mapping[str, Any]) -> None:
    """--alter."""
    from kafkalike.client.admin.configs import BROKER, BROKER_LOGGER, TOPIC

    added = load_properties(options["add-config-file"]) | parse_configs(options["add-config"] or "")
    for key in added:
        if not re.fullmatch(r"[a-zA-Z0-9._-]*", key):
            fail(f"Invalid character found for config key: {key}")
    deleted = [key.strip() for key in (options["delete-config"] or "").split(",") if key.strip()]
    present = {entry.name: entry for entry in _dynamic(admin, kind, entity)}
    if kind == "broker-loggers":
        unknown = [key for key in (*deleted, *added) if key not in present]
        if unknown:
            fail(INVALID_LOGGERS.format(",".join(unknown)))
        admin.alter_configs({(BROKER_LOGGER, entity): added | dict.fromkeys(deleted)})
        print(f"Completed updating config for {kind[:-1]} {entity}.")
        return
    unknown = [key for key in deleted if key not in present]
    if unknown:
        fail(INVALID.format(",".join(unknown)))
    if kind == "topics":
        admin.alter_configs({(TOPIC, entity): added | dict.fromkeys(deleted)})
    else:
        values = {key: entry.value for key, entry in present.items()} | added
        for key in deleted:
            values.pop(key, None)
        hidden = [key for key, value in values.items() if value is None]
        if hidden:
            fail(
                "All sensitive broker config entries must be specified for --alter, missing entries: "
                f"Set({', '.join(hidden)})"
            )
        admin.replace_configs({(BROKER, entity): {key: value or "" for key, value in values.items()}})
    if entity:
        print(f"Completed updating config for {kind[:-1]} {entity}.")
    else:
        print(f"Completed updating default config for {kind} in the cluster.")


def describe(admin: Admin, kind: str, entity: str | None, everything: bool) -> None:
    """--describe."""
    if entity is not None:
        entities = [entity]
    elif kind == "topics":
        entities = sorted(admin.list_topics())
    else:
        entities = [*map(str, sorted(admin.cluster().nodes)), ""]
    for name in entities:
        if name:
            print(f"{'All' if everything else 'Dynamic'} configs for {kind[:-1]} {name} are:")
        else:
            print(f"Default configs for {kind} in the cluster are:")
        entries = _entries(admin, kind, name) if everything else _dynamic(admin, kind, name)
        for entry in entries:
            synonyms = ", ".join(f"{SOURCES[source]}:{key}={_value(value)}" for source, key, value in entry.synonyms)
            sensitive = str(entry.is_sensitive).lower()
            print(f"  {entry.name}={_value(entry.value)} sensitive={sensitive} synonyms={{{synonyms}}}")


def _entries(admin: Admin, kind: str, name: str) -> list[ConfigEntry]:
    from kafkalike.client.admin.configs import BROKER, BROKER_LOGGER, TOPIC

    resource = {"topics": TOPIC, "brokers": BROKER, "broker-loggers": BROKER_LOGGER}[kind]
    found = admin.describe_configs([name], resource, synonyms=True)[name]
    return sorted(found, key=lambda entry: entry.name)


def _dynamic(admin: Admin, kind: str, name: str) -> list[ConfigEntry]:
    """The dynamic configuration of an entity."""
    if kind == "broker-loggers":
        return _entries(admin, kind, name)
    source = DYNAMIC_TOPIC if kind == "topics" else DYNAMIC_BROKER if name else DYNAMIC_DEFAULT
    return [entry for entry in _entries(admin, kind, name) if entry.source == source]


def _value(value: str | None) -> str:
    return "null" if value is None else value


def parse_configs(text: str) -> dict[str, str]:
    """`k1=v1,k2=[v2,v3]`."""
    outside = r"(?=[^\]]*(?:\[|$))"  # commas and equal signs between brackets belong to the value
    configs = {}
    for part in re.split("," + outside, text) if text else ():
        pair = re.split(r"\s*=\s*" + outside, part)
        if len(pair) != 2:
            fail('requirement failed: Invalid entity config: all configs to be added must be in the format "key=val".')
        configs[pair[0].strip()] = re.sub(r"\[?\]?", "", pair[1]).strip()
    return configs


if __name__ == "__main__":
    main()
