"""What the two requests that alter configuration have in common: the checks in Kafka's order and words, and the write.

A topic's configuration is altered by any broker, a broker's only by itself, and what holds for all brokers by any.
The write is guarded by a check of /controller, as Kafka's is since 3.4, so that without a controller nothing changes;
then a notification in /config/changes tells every broker, this one too (dynamic_config.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from kafkalike import config as tables
from kafkalike.broker import loggers
from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.cluster import znode_sizes, zookeeper
from kafkalike.cluster.znodes.configs import ConfigChange, EntityConfig
from kafkalike.cluster.znodes.controller import ControllerNode
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.config import ConfigException
from kafkalike.config.keys import Key, TopicKey
from kafkalike.errors import Error, KafkaError
from zk.client import BadVersion, Check, ConnectionLoss, Create, NodeExists, NoNode, SessionExpired, Set, ZkClient

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS = 2, 4, 8, 16  # resource types
DEFAULT = "<default>"  # the entity that stands for all brokers
ATTEMPTS = 5

Keys = Mapping[str, Key] | Mapping[str, TopicKey]
Values = Callable[[Any, Mapping[str, str], Keys], dict[str, str]]


def access(operation: Operation) -> tuple[Access, ...]:
    """What the requests about configuration need: leave for each topic that they name, for the rest the cluster's."""
    return (
        Access(operation, Resource.TOPIC, "resource_name", "resources", which=lambda each: each.resource_type == TOPIC),
        Access(operation, each="resources", which=lambda each: each.resource_type != TOPIC),
    )


async def alter(broker: Broker, call: Call[Any], messages: ModuleType, values: Values) -> list[Any]:
    """Alters every resource that can be, and returns the results. `values(resource, present values, keys)` says what a
    resource shall have."""
    request = call.request
    named = Counter((resource.resource_type, resource.resource_name) for resource in request.resources)
    results = []
    for resource in request.resources:
        kind, name = resource.resource_type, resource.resource_name
        result = messages.AlterConfigsResourceResponse(error_message=None, resource_type=kind, resource_name=name)
        results.append(result)
        try:
            if named[kind, name] > 1:
                raise KafkaError(Error.INVALID_REQUEST, "Each resource must appear at most once.")
            _check_entries(resource)
            if kind == TOPIC:
                await _alter_topic(broker, resource, values, request.validate_only)
            elif kind == BROKER:
                await _alter_broker(broker, resource, values, request.validate_only)
            elif kind == BROKER_LOGGER and messages.NAME == "IncrementalAlterConfigs":
                _check_own(broker, name, "Unexpected node id. Expected")
                loggers.alter(resource.configs, request.validate_only)
            else:
                raise _unknown_type(kind)
        except KafkaError as problem:
            result.error_code = problem.error
            result.error_message = None if problem.error is Error.UNKNOWN_SERVER_ERROR else problem.message
    return results


def _check_entries(resource: Any) -> None:
    names = [entry.name for entry in resource.configs]
    if len(set(names)) != len(names):
        raise KafkaError(Error.INVALID_REQUEST, "Error due to duplicate config keys")
    # Only a deletion (1) needs no value; AlterConfigs has no operations.
    nulls = [e.name for e in resource.configs if e.value is None and getattr(e, "config_operation", 0) != 1]
    if nulls:
        raise KafkaError(Error.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}")


def _unknown_type(kind: int) -> KafkaError:
    if kind == CLIENT_METRICS:
        why = "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS"
    else:
        why = f"Unknown resource type {kind}"
    return KafkaError(Error.INVALID_REQUEST, why)


def _check_own(broker: Broker, name: str, unexpected: str) -> None:
    number = tables.integer(name)
    if number is None:
        raise KafkaError(Error.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}")
    if number != broker.broker_id:
        raise KafkaError(Error.INVALID_REQUEST, f"{unexpected} {broker.broker_id}, but received {name}")


async def _alter_topic(broker: Broker, resource: Any, values: Values, validate_only: bool) -> None:
    topic = resource.resource_name
    if not topic:
        raise KafkaError(Error.INVALID_REQUEST, "Default topic resources are not allowed.")
    if topic not in broker.metadata.image.topics:
        raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{topic}' does not exist.")
    present = await _present(broker, "topics", topic)
    wanted = values(resource, present, tables.TOPIC)
    znode_sizes.check_configs(f"topic '{topic}'", wanted)
    changed = _without_faults_of_before(resource, wanted, tables.usable(present)[0])
    unknown = next((name for name in changed if name not in tables.TOPIC), None)
    if unknown is not None:
        raise KafkaError(Error.INVALID_CONFIG, f"Unknown topic config name: {unknown}")
    try:
        conflict = tables.check_topic(broker.config, changed)
    except ConfigException as problem:
        why = f"Invalid config value for resource ConfigResource(type=TOPIC, name='{topic}'): {problem}"
        raise KafkaError(Error.INVALID_CONFIG, why) from None
    if conflict:
        raise KafkaError(Error.INVALID_CONFIG, conflict)
    if not validate_only:
        await write(broker.zk, "topics", topic, wanted)


async def _alter_broker(broker: Broker, resource: Any, values: Values, validate_only: bool) -> None:
    name = resource.resource_name
    if name:
        _check_own(broker, name, "Unexpected broker id, expected")
    entity = str(broker.broker_id) if name else DEFAULT
    present = await _present(broker, "brokers", entity)
    wanted = values(resource, present, tables.BROKER)
    znode_sizes.check_configs(f"broker {entity}", wanted, Error.INVALID_REQUEST)
    usable = tables.usable_dynamic(broker.config, present, per_broker=bool(name))
    try:
        tables.check_dynamic(broker.config, _without_faults_of_before(resource, wanted, usable), bool(name))
    except ConfigException as problem:
        raise KafkaError(Error.INVALID_REQUEST, str(problem)) from None
    if not validate_only:
        await write(broker.zk, "brokers", entity, wanted)


def _without_faults_of_before(resource: Any, wanted: Mapping[str, str], usable: Mapping[str, str]) -> dict[str, str]:
    """What is to be checked: what the request names, and what is stored already. A stored value that cannot be used
    stays stored, and does not keep other values from being altered."""
    named = {entry.name for entry in resource.configs}
    return {name: text for name, text in wanted.items() if name in named or name in usable}


async def _present(broker: Broker, kind: str, name: str) -> dict[str, str]:
    try:
        config, _ = await zookeeper.get(broker.zk, EntityConfig, kind, name)
        return config
    except NoNode:
        return {}
    except (SessionExpired, ConnectionLoss):
        raise _away() from None
    except Garbage as problem:
        # Garbage is not overwritten unseen.
        raise KafkaError(Error.INVALID_CONFIG, str(problem)) from None


async def write(zk: ZkClient, kind: str, name: str, values: Mapping[str, str]) -> None:
    """Sets an entity's configuration and notifies every broker."""
    path, data = EntityConfig.path(kind, name), EntityConfig.encode(values)
    try:
        for _ in range(ATTEMPTS):
            if await _set(zk, path, data):
                break
        else:
            raise KafkaError(Error.STALE_CONTROLLER_EPOCH, "The controller changes too often.")
        await zookeeper.notify(zk, ConfigChange(kind, name))
    except (SessionExpired, ConnectionLoss):
        raise _away() from None


async def _set(zk: ZkClient, path: str, data: bytes) -> bool:
    """False when it has to be tried again: the controller changed meanwhile, or the answer was lost."""
    controller = await zk.exists(ControllerNode.path())
    if controller is None:
        raise KafkaError(
            Error.STALE_CONTROLLER_EPOCH, f"Cannot set entity configs for {path} when there is no controller."
        )
    try:
        await zk.multi([Check(ControllerNode.path(), controller.version), Set(path, data)])
    except NoNode as problem:
        if problem.index == 0:
            return False
        try:
            await zk.multi([Check(ControllerNode.path(), controller.version), Create(path, data)])
        except (NodeExists, NoNode, BadVersion):
            return False
    except (BadVersion, ConnectionLoss):
        return False
    return True


def _away() -> KafkaError:
    return KafkaError(Error.REQUEST_TIMED_OUT, "The ZooKeeper session was lost.")
