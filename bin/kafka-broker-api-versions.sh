#!/bin/sh
# Shows which requests, in which versions, each broker answers.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.broker_api_versions "$@"
