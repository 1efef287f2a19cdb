# Sourced by bin/quickstart.sh, test.sh and bench.sh: what a bare Debian machine (12 or later) has to be given first.
# Nothing is installed that is there already; what is installed is said before, with a dot every second. A signal ends
# the script and the step that is running, so that nothing goes on behind the next run's back.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$(mktemp)
stepping= # The process id of the step that is running,
whole=    # and whether it is one that must not be broken off.

trap 'end_step; rm -f "$log"' EXIT
for signal in INT TERM HUP; do
  # Dies of the signal itself, so that whoever called this ends too.
  trap "trap '' INT TERM HUP; end_step; rm -f \"\$log\"; trap - EXIT $signal; kill -$signal \$\$" $signal
done

# step SENTENCE COMMAND...: runs the command quietly; its output is shown only if it fails. Without a sentence nothing is
# said.
step() {
  local sentence=$1 started=$SECONDS ticks=0
  shift
  [ -z "$sentence" ] || printf '%s ' "$sentence"
  # A job in the background would ignore Ctrl-C. What must not be broken off outlives the terminal, too.
  (trap - INT QUIT; [ -z "$whole" ] || trap '' HUP; export KAFKALIKE_STEP=$$; "$@") >"$log" 2>&1 </dev/null &
  stepping=$!
  while kill -0 $stepping 2>/dev/null; do
    [ -z "$sentence" ] || [ $((ticks++ % 5)) != 0 ] || printf .
    sleep 0.2
  done
  if wait $stepping; then
    stepping=
    [ -z "$sentence" ] || echo " done ($((SECONDS - started)) s)"
  else
    stepping=
    [ -z "$sentence" ] || echo " failed"
    tail -n 40 "$log" >&2
    exit 1
  fi
}

# end_step: ends what is running of a step. Ctrl-C has told it already, and SIGTERM to this script alone has not.
end_step() {
  local pids deadline=$((${EPOCHREALTIME/[.,]/} + 1000000)) # in microseconds: a second
  [ -n "$stepping" ] || return 0
  echo
  [ -n "$whole" ] || kill $(started) 2>/dev/null || true
  while pids=$(started) && [ -n "$pids" ] && [ ${EPOCHREALTIME/[.,]/} -lt $deadline ]; do
    sleep 0.05
  done
  if [ -z "$whole" ]; then
    kill -KILL $pids 2>/dev/null || true
    wait "$stepping" 2>/dev/null || true
  elif kill -0 "$stepping" 2>/dev/null; then
    echo "apt goes on in the background with what it has begun to unpack; the next run waits for it." >&2
  fi
  stepping=
}

# started: the ids of the step's processes. They are known by their environment: whose parent has ended has another.
started() {
  ! kill -0 "$stepping" 2>/dev/null || echo "$stepping"
  grep -lzsx "KAFKALIKE_STEP=$$" /proc/[0-9]*/environ | cut -d / -f 3 || true
}

# packages NAME...: apt, for root or through sudo, for those that dpkg does not know as installed.
packages() {
  local missing=() name sudo=
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    sudo=$(command -v sudo) || { echo "As root, first: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo -v # Asks for the password, if it wants one, where that can be seen.
  fi
  step "Asking for Debian's list of packages" $sudo apt-get update
  whole=1
  step "Installing Debian's ${missing[*]}" $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"
  whole=
}

# environment FILE: .venv with exactly what the requirements file says, quick when it has it, and the code as bytecode,
# which Python does not keep for itself where it is told not to or may not write: a broker starts in half the time.
# One run at a time: the lock is on the directory, and is let go when this and what it started have ended.
environment() {
  local lock
  exec {lock}<"$root"
  flock -n "$lock" || { echo "Another run is installing here; waiting for it."; flock "$lock"; }
  install_requirements "$1"
  step "" "$root/.venv/bin/python" -m compileall -q "$root/kafkalike" "$root/zk"
  exec {lock}<&-
}

install_requirements() {
  local stamp=$root/.venv/.$1.sha256 unfinished=$root/.venv/.unfinished now
  now=$(cd "$root" && cat requirements.txt "$1" | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && [ ! -e "$unfinished" ] &&
    "$root/.venv/bin/python" -c '' 2>/dev/null && return
  python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || packages python3-venv
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "This needs Python 3.11 or later." >&2; exit 1; }
  # What an interrupted run has left is not believed.
  if [ -e "$unfinished" ] || ! "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
    step "Making the virtual environment .venv" make_environment "$unfinished"
  fi
  touch "$unfinished"
  step "Installing the Python packages of $1" \
    "$root/.venv/bin/python" -m pip install --disable-pip-version-check -r "$root/$1"
  echo "$now" >"$stamp"
  rm "$unfinished"
}

make_environment() {
  rm -rf "$root/.venv"
  mkdir "$root/.venv"
  touch "$1"
  python3 -m venv "$root/.venv"
}

# apache_kafka: Apache Kafka's jars, fetched with Maven when $KAFKALIKE_KAFKA_HOME does not have them.
apache_kafka() {
  export KAFKALIKE_KAFKA_HOME=${KAFKALIKE_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/kafkalike/kafka-3.9.1}
  [ ! -e "$KAFKALIKE_KAFKA_HOME/ok" ] || return 0
  packages maven
  mkdir -p "$KAFKALIKE_KAFKA_HOME"
  cp "$root/tests/clients/pom.xml" "$KAFKALIKE_KAFKA_HOME"
  step "Fetching Apache Kafka 3.9.1's jars with Maven" mvn -B -ntp -f "$KAFKALIKE_KAFKA_HOME/pom.xml" \
    -DoutputDirectory="$KAFKALIKE_KAFKA_HOME/lib" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
  touch "$KAFKALIKE_KAFKA_HOME/ok"
}
