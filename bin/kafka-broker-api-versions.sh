#!/bin/sh
# Shows which requests, in which versions, each broker answers.
# Apache's class: kafka.admin.BrokerApiVersionsCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.broker_api_versions "$@"
