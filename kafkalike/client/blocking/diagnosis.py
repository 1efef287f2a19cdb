"""Why no Kafka broker answers: the host name is none, or the server is another one.

A broker's address and ZooKeeper's are easily mistaken for each other. ZooKeeper closes a connection on which Kafka is
spoken without a word, and answers the four letters that ask for its version, be it only that they are not allowed.
"""

from __future__ import annotations

import socket

WORD = b"srvr"
ANSWERS = (b"Zookeeper version", b"srvr is not executed", b"This ZooKeeper instance")
PATIENCE_SECONDS = 1.0


def unresolved(host: str) -> str | None:
    """Why the host name has no address, in a sentence; None if it has one."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        return f"the host name {host} does not resolve ({problem.strerror or problem})"
    except UnicodeError:
        return f"{host} is no host name"
    return None


def is_zookeeper(host: str, port: int) -> bool:
    """Whether ZooKeeper answers there."""
    answer = b""
    try:
        with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.sendall(WORD)
            while len(answer) < max(map(len, ANSWERS)) and (part := connection.recv(4096)):
                answer += part
    except (OSError, UnicodeError):
        pass
    return answer.startswith(ANSWERS)
