#!/opt/kafkalike/.venv/bin/python
"""What a container of the image runs: a broker, or with arguments that command.

The broker's properties are the file /etc/kafkalike/server.properties (mount your own over it) and, above it, the
environment, translated as Kafka's images do: KAFKA_ goes, the rest becomes lower case, and _ a dot, __ an underscore,
___ a dash. KAFKA_ZOOKEEPER_CONNECT is zookeeper.connect. What came of it is in /run/kafkalike/server.properties.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

GIVEN = "/etc/kafkalike/server.properties"
EFFECTIVE = "/run/kafkalike/server.properties"
HOME = "/opt/kafkalike"

# Kafka's images have these for the Java machine and its logging.
NOT_PROPERTIES = {
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
}


def properties(environment: Mapping[str, str]) -> dict[str, str]:
    """The broker's properties that the environment sets."""
    found = {}
    for variable, value in sorted(environment.items()):
        name = variable.removeprefix("KAFKA_")
        if name and name != variable and variable not in NOT_PROPERTIES:
            # The longest first, each over a character that no name has.
            name = name.lower().replace("___", "\0").replace("__", "\1").replace("_", ".")
            found[name.replace("\0", "-").replace("\1", "_")] = value
    return found


def overlay(text: str, environment: Mapping[str, str]) -> str:
    """A properties file with the environment's after it: later lines win. A line end in a value continues it."""
    lines = []
    for name, value in properties(environment).items():
        lines.append(f"{name}={value}".replace("\n", " \\\n") + "\n")
    return "".join([text, "\n# From the environment.\n", *lines])


def main() -> None:
    """Ends as what it starts: that is process 1 then, and gets the signals of `docker stop`."""
    if len(sys.argv) > 1:
        command = sys.argv[1:]
    else:
        with open(GIVEN, encoding="utf-8") as file:
            text = overlay(file.read(), os.environ)
        # Passwords may be among them.
        with open(os.open(EFFECTIVE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        command = [f"{HOME}/bin/kafka-server-start.sh", EFFECTIVE]
    try:
        os.execvp(command[0], command)
    except OSError as problem:
        sys.exit(f"{command[0]}: {problem.strerror}")


if __name__ == "__main__":
    main()
