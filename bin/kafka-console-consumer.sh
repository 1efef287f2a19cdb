#!/bin/sh
# Writes the messages of a topic to standard output.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.console_consumer "$@"
