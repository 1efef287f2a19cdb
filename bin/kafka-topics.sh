#!/bin/sh
# Creates, lists, describes, alters and deletes topics.
# Apache's class: org.apache.kafka.tools.TopicCommand
# Apache's class: kafka.admin.TopicCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.topics "$@"
