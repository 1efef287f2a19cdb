#!/bin/bash
# Everything, on a fresh Debian machine (12 or later) as root or with sudo: installs what the tests need, says so, and
# runs them; pytest's summary comes last. Arguments go to pytest: bin/test.sh tests/storage -k roll
# --faults adds the fault tests that take long: bin/test.sh --faults tests/faults
# --docker adds the tests with containers: bin/test.sh --docker tests/docker
# Apache Kafka's jars are kept in ~/.cache/kafkalike, or where KAFKALIKE_KAFKA_HOME says.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/machine.sh"

packages python3-venv kcat zookeeper default-jre-headless iproute2 strace gcc libc6-dev librdkafka-dev
environment requirements-dev.txt

apache_kafka

arguments=()
for argument in "$@"; do
  if [ "$argument" = --docker ]; then
    export KAFKALIKE_DOCKER=1
  else
    arguments+=("$argument")
  fi
done
if [ "${KAFKALIKE_DOCKER:-}" = 1 ]; then
  . "$root/tests/docker/engine.sh"
  ! engine_answers || "$root/tests/docker/images.sh"
fi

cd "$root"
.venv/bin/python -m pytest ${arguments[@]+"${arguments[@]}"}
