#!/bin/sh
# Writes the messages of a topic to standard output.
# Apache's class: org.apache.kafka.tools.consumer.ConsoleConsumer
# Apache's class: kafka.tools.ConsoleConsumer
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.console_consumer "$@"
