#!/bin/sh
# Walks through the documented publish-subscribe workflow, each step run and asserted.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.walkthrough "$@"
