#!/bin/sh
# Shows and changes the configuration of topics and brokers.
# Apache's class: kafka.admin.ConfigCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.configs "$@"
