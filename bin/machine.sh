# Sourced by bin/quickstart.sh, test.sh and bench.sh: what a bare Debian machine (12 or later) has to be given first.
# Nothing is installed that is there already; what is installed is said before, with a dot every second.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step SENTENCE COMMAND...: runs the command quietly; its output is shown only if it fails.
step() {
  local sentence=$1 started=$SECONDS pid
  shift
  printf '%s ' "$sentence"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 $pid 2>/dev/null; do
    printf .
    sleep 1
  done
  if wait $pid; then
    echo " done ($((SECONDS - started)) s)"
  else
    echo " failed"
    tail -n 40 "$log" >&2
    exit 1
  fi
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
  step "Installing Debian's ${missing[*]}" \
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# environment FILE: .venv with exactly what the requirements file says, quick when it has it, and the code as bytecode,
# which Python does not keep for itself where it is told not to or may not write: a broker starts in half the time.
environment() {
  install_requirements "$1"
  "$root/.venv/bin/python" -m compileall -q "$root/kafkalike" "$root/zk"
}

install_requirements() {
  local stamp=$root/.venv/.$1.sha256 now
  now=$(cd "$root" && cat requirements.txt "$1" | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && "$root/.venv/bin/python" -c '' 2>/dev/null && return
  python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || packages python3-venv
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "This needs Python 3.11 or later." >&2; exit 1; }
  "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    step "Making the virtual environment .venv" python3 -m venv --clear "$root/.venv"
  step "Installing the Python packages of $1" \
    "$root/.venv/bin/python" -m pip install --disable-pip-version-check -r "$root/$1"
  echo "$now" >"$stamp"
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
