from __future__ import annotations

from image.entrypoint import overlay, properties
from kafkalike.config import read_properties


def test_a_variable_becomes_a_property() -> None:
    assert {"broker.id": "1", "zookeeper.connect": "a:2181,b:2181/kafka"} == properties(
        {"KAFKA_BROKER_ID": "1", "KAFKA_ZOOKEEPER_CONNECT": "a:2181,b:2181/kafka", "PATH": "/bin", "KAFKA_": "x"}
    )


def test_two_underscores_are_one_and_three_are_a_dash() -> None:
    assert {"a_b": "1", "a-b": "2", "a.b.c-d_e": "3"} == properties(
        {"KAFKA_A__B": "1", "KAFKA_A___B": "2", "KAFKA_A_B_C___D__E": "3"}
    )


def test_what_is_meant_for_java_is_no_property() -> None:
    assert {} == properties({"KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_LOG4J_ROOT_LOGLEVEL": "DEBUG", "KAFKA_OPTS": ""})


def test_the_environment_wins_over_the_file() -> None:
    text = overlay("broker.id=0\nnum.partitions=2", {"KAFKA_BROKER_ID": "7"})
    assert {"broker.id": "7", "num.partitions": "2"} == read_properties(text)


def test_a_value_of_several_lines_stays_one_value() -> None:
    text = overlay("", {"KAFKA_SASL_JAAS_CONFIG": "module required\nuser=a;", "KAFKA_BROKER_ID": "7"})
    assert {"sasl.jaas.config": "module required user=a;", "broker.id": "7"} == read_properties(text)
