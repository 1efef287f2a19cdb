#!/bin/sh
# Runs a command of kafkalike by its module, or by the name of the Java class that old scripts call it by: the scripts
# beside this one say which that is.
# Works from any directory and through symbolic links, without activating anything.
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")

usage="USAGE: kafka-run-class.sh class|module [options]"
if [ $# -eq 0 ]; then
  echo "$usage" >&2
  exit 1
fi
case $1 in
  --help | -h)
    echo "$usage"
    echo "Runs a command by its Java class, such as kafka.admin.ConfigCommand, or its module, such as kafkalike.cli.configs."
    exit
    ;;
  kafkalike.* | zk.*) module=$1 ;;
  *)
    script=$(grep -lFxe "# Apache's class: $1" "$here"/*.sh)
    if [ -z "$script" ]; then
      echo "$1 is not a command here; $here has a script for each that there is." >&2
      exit 1
    fi
    shift
    exec "$script" "$@"
    ;;
esac
shift

python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
  python=python3
  if ! PYTHONPATH="$root" $python -c 'import click, kafkalike' 2>/dev/null; then
    echo "kafkalike is not installed yet: run $here/quickstart.sh once, or 'pip install .' in $root" >&2
    exit 1
  fi
fi
# Python makes a traceback of a Ctrl-C while it starts: that waits until the command's first line (zk/signals.py).
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec env --block-signal=INT "$python" -m "$module" "$@"
