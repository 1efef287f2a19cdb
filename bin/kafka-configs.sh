#!/bin/sh
# Shows and changes the configuration of topics and brokers.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.configs "$@"
