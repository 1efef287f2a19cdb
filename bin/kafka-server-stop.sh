#!/bin/sh
# Stops the brokers on this machine.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.server_stop "$@"
