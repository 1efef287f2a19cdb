#!/bin/bash
# Measures the broker on this machine, beside Apache Kafka if asked: bin/bench.sh [--quick] [--against apache|none]
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/machine.sh"

packages python3-venv gcc libc6-dev librdkafka-dev
environment requirements-dev.txt
export KAFKALIKE_KAFKA_HOME=${KAFKALIKE_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/kafkalike/kafka-3.9.1}
"$root/.venv/bin/python" "$root/tests/benchmarks/bench.py" "$@"
