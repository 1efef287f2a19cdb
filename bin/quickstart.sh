#!/bin/bash
# A first look, on a fresh Debian machine (12 or later) as root or with sudo: see usage.
set -euo pipefail

usage() {
  cat <<'END'
USAGE: quickstart.sh [--keep] [--step N] [--pause] [--json]

Makes .venv, starts the embedded ZooKeeper and three brokers, walks through the
documented publish-subscribe workflow on them, and ends what it started. Takes
about a minute; Ctrl-C ends everything at any time.

  --keep    leave the servers up afterwards, until Ctrl-C
  --step N  only this step: 1 to 14, or W1 to W14
  --pause   wait for Enter after each step
  --json    one line of JSON for each step, and nothing else
  --help    show this and exit

ZooKeeper takes port 2181 and the brokers 9092 to 9094; where one of them is
taken another is used, and told.
END
}

refuse() {
  echo "$1" >&2
  echo "quickstart.sh --help shows the options." >&2
  exit 1
}

arguments=()
quiet=
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit ;;
    --keep | --pause) arguments+=("$1") ;;
    --json) quiet=1; arguments+=("$1") ;;
    --step | --step=*)
      [[ $1 == *=* ]] || { [ $# -gt 1 ] || refuse "Option step requires an argument"; set -- "$1=$2" "${@:3}"; }
      [[ ${1#*=} =~ ^[Ww]?([1-9]|1[0-4])$ ]] || refuse "there is no step ${1#*=}: they are 1 to 14"
      arguments+=("$1")
      ;;
    *) refuse "$1 is not an option of quickstart.sh" ;;
  esac
  shift
done

. "$(dirname "$(readlink -f "$0")")/machine.sh"
if [ -n "$quiet" ]; then
  environment requirements.txt >&2
else
  environment requirements.txt
fi
rm -f "$log"
exec "$root/bin/walkthrough.sh" --brokers 3 --usual-ports "${arguments[@]}"
