#!/bin/bash
# Tests, on a fresh Debian machine (12 or later) as root or with sudo. Installs what they need, says so, and runs them;
# pytest's summary comes last.
#
#   bin/test.sh              everything that a change must pass
#   bin/test.sh --fast       without programs that are not ours (Java, kcat, ZooKeeper): at most two minutes
#   bin/test.sh --hunt       only what hypothesis checks, with fresh examples, and twenty times as many
#   bin/test.sh --faults     also the long fault tests
#   bin/test.sh --mixed      also the long tests with Apache's brokers in the cluster
#   bin/test.sh --docker     also the tests with containers
#   bin/test.sh --mutants    also the mutants of the simulation
#   bin/test.sh --all        all of these
#   bin/test.sh tests/storage -k roll          other arguments go to pytest, which then runs in one process
#
# Apache Kafka's jars are kept in ~/.cache/kafkalike, or where KAFKALIKE_KAFKA_HOME says. docs/testing.md says more.
set -euo pipefail

arguments=()
foreign=1
parallel=1
for argument in "$@"; do
  case "$argument" in
    --help | -h)
      sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
      exit
      ;;
    --all) arguments+=(--faults --mixed --mutants) && export KAFKALIKE_DOCKER=1 ;;
    --docker) export KAFKALIKE_DOCKER=1 ;;
    --fast | --hunt | --hunt=*) foreign= && arguments+=("$argument") ;;
    --faults | --mixed | --mutants) arguments+=("$argument") ;;
    *) parallel= && arguments+=("$argument") ;;
  esac
done

. "$(dirname "$(readlink -f "$0")")/machine.sh"
if [ -n "$foreign" ]; then
  packages python3-venv kcat zookeeper prometheus default-jre-headless iproute2 strace gcc libc6-dev librdkafka-dev
  apache_kafka
else
  packages python3-venv
fi
environment requirements-dev.txt
if [ "${KAFKALIKE_DOCKER:-}" = 1 ]; then
  . "$root/tests/docker/engine.sh"
  ! engine_answers || "$root/tests/docker/images.sh"
fi

# In the order of tests/conftest.py, which also says what one worker runs together.
[ -z "$parallel" ] || arguments=(-n "$(nproc)" --no-loadscope-reorder "${arguments[@]}")
# Sets and dictionaries have the same order in every run.
export PYTHONHASHSEED=0
cd "$root"
rm -f "$log"
exec .venv/bin/python -m pytest ${arguments[@]+"${arguments[@]}"}
