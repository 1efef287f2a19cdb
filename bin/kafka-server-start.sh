#!/bin/sh
# Starts a broker.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.server_start "$@"
