#!/bin/bash
# Measures the broker on this machine beside Apache Kafka 3.9.1 and prints a table:
#   bin/bench.sh [--quick] [--against apache|none] [--only LOAD ...]
# Installs what is missing (as root or with sudo) and says so. tests/benchmarks/README.md explains the rows.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/machine.sh"

packages python3-venv gcc libc6-dev librdkafka-dev
environment requirements-dev.txt
case " $* " in
  *" --against none "* | *" --against=none "* | *" --help "*) ;;
  *)
    packages zookeeper default-jre-headless
    apache_kafka
    ;;
esac
rm -f "$log"
exec "$root/.venv/bin/python" "$root/tests/benchmarks/bench.py" "$@"
