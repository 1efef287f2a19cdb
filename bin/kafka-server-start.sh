#!/bin/sh
# Starts a broker.
# Apache's class: kafka.Kafka
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.server_start "$@"
