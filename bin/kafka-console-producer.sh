#!/bin/sh
# Sends each line of standard input as a message.
# Apache's class: kafka.tools.ConsoleProducer
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.console_producer "$@"
