"""Kafka's configuration keys as tables, and the typed values read through them.

broker_keys has one line per broker key, unused_keys those of parts that are not built, topic_keys one per topic key.
Parsing, defaults, synonyms, DescribeConfigs and help are derived from the tables; to add a key, add a line.

    values        texts to values of Kafka's types, as Java reads and prints them
    validators    what a value must fulfil beyond its type
    rules         what must hold between the values of several keys
    properties    Java's properties files
    listeners     NAME://host:port and the security protocols
    broker        a broker's configuration: typed values, which change while it runs
    server_properties  a broker's configuration from its file, and which keys in it have no effect
    dynamic       which changes are allowed while it runs, and what can be used of those in ZooKeeper
    topic         a topic's configuration
"""

from kafkalike.config.broker import Config
from kafkalike.config.broker_keys import BROKER, DYNAMIC_ONLY
from kafkalike.config.dynamic import base_name, check_dynamic, reconfigure, usable_dynamic
from kafkalike.config.keys import Key, TopicKey, parse
from kafkalike.config.listeners import Endpoint
from kafkalike.config.properties import read_properties
from kafkalike.config.rules import RACK_AWARE_SELECTOR, unbindable
from kafkalike.config.server_properties import broker_config, without_effect
from kafkalike.config.topic import check_topic, parse_topic_overrides, topic_config, topic_default, usable
from kafkalike.config.topic_keys import TOPIC
from kafkalike.config.validators import HttpEndpoint, connections_by_host, http_endpoints
from kafkalike.config.values import LIST, PASSWORD, ConfigException, integer, text_of

__all__ = [
    "BROKER",
    "DYNAMIC_ONLY",
    "LIST",
    "PASSWORD",
    "RACK_AWARE_SELECTOR",
    "TOPIC",
    "Config",
    "ConfigException",
    "Endpoint",
    "HttpEndpoint",
    "Key",
    "TopicKey",
    "base_name",
    "broker_config",
    "check_dynamic",
    "check_topic",
    "connections_by_host",
    "http_endpoints",
    "integer",
    "parse",
    "parse_topic_overrides",
    "read_properties",
    "reconfigure",
    "text_of",
    "topic_config",
    "topic_default",
    "unbindable",
    "usable",
    "usable_dynamic",
    "without_effect",
]
