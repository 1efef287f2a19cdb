#!/bin/bash
# Measures the broker on this machine beside Apache Kafka 3.9.1 and prints a table: --help shows the options, and
# tests/benchmarks/README.md explains the rows. Installs what is missing (as root or with sudo) and says so.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# Before anything is installed; where there is no Python yet, after that.
if command -v python3 >/dev/null; then
  python3 "$here/../tests/benchmarks/options.py" "$@"
  case " $* " in *" --help "* | *" -h "*) exit ;; esac
fi
. "$here/machine.sh"

packages python3-venv gcc libc6-dev librdkafka-dev
environment requirements-dev.txt
case " $* " in
  *" --against none "* | *" --against=none "*) ;;
  *)
    packages zookeeper default-jre-headless
    apache_kafka
    ;;
esac
rm -f "$log"
exec "$root/.venv/bin/python" "$root/tests/benchmarks/bench.py" "$@"
