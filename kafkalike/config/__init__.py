"""Kafka's configuration keys as tables, and the typed values read through them. Every package calls it.

Parsing, defaults, synonyms, DescribeConfigs and help are derived from the tables; to add a key, add a line.

values.py             texts to values of Kafka's types, as Java reads and prints them
validators.py         what a value must fulfil beyond its type
keys.py               what one line of a table is
broker_keys.py        one line per broker key
unused_keys.py        the broker keys of parts that are not built
topic_keys.py         one line per topic key
rules.py              what must hold between the values of several keys
properties.py         Java's properties files
listeners.py          NAME://host:port and the security protocols
broker.py             a broker's configuration: typed values, which change while it runs
server_properties.py  a broker's configuration from its file, and which keys in it have no effect
dynamic.py            which changes are allowed while a broker runs, and what can be used of those in ZooKeeper
topic.py              a topic's configuration
"""

from kafkalike.config.broker import Config
from kafkalike.config.broker_keys import BROKER, DYNAMIC_ONLY
from kafkalike.config.dynamic import base_name, check_dynamic, reconfigure, usable_dynamic
from kafkalike.config.keys import Key, TopicKey, parse
from kafkalike.config.listeners import Endpoint, HttpEndpoint, http_endpoints
from kafkalike.config.properties import read_properties
from kafkalike.config.rules import RACK_AWARE_SELECTOR, unbindable
from kafkalike.config.server_properties import broker_config, without_effect
from kafkalike.config.topic import check_topic, parse_topic_overrides, topic_config, topic_default, usable
from kafkalike.config.topic_keys import TOPIC
from kafkalike.config.validators import connections_by_host
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
