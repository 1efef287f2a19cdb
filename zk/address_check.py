"""What is wrong with an address: its host name does not resolve, nobody listens, or the other server answers there.

A broker's address and ZooKeeper's are easily mistaken for each other. Kafka reads a request for a session as one of its
own, and says nothing for ever. ZooKeeper closes a connection on which Kafka is spoken without a word, and answers the
four letters that ask for its version, be it only that they are not allowed.

Blocking; client.py asks in a thread of its own, blocking_client.py when it has failed, and Kafka's clients, which know
nothing else of ZooKeeper, when no broker answers.
"""

from __future__ import annotations

import socket

PATIENCE_SECONDS = 1.0
# Kafka's ApiVersions request, version 0: a length, the API's key and version, a number that comes back, no client id.
QUESTION = b"\0\0\0\x0a" + b"\0\x12\0\0" + b"zkdx" + b"\xff\xff"
WORD = b"srvr"
NOT_SERVING = b"This ZooKeeper instance is not currently serving requests"
ANSWERS = (b"Zookeeper version", b"srvr is not executed")


def unresolved(host: str) -> str | None:
    """Why the host name has no address, in a sentence; None if it has one."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        return f"the host name {host} does not resolve ({problem.strerror or problem})"
    except UnicodeError:
        return f"{host} is no host name"
    return None


def is_kafka(host: str, port: int) -> bool:
    """Whether a Kafka broker answers there."""
    try:
        return _ask(host, port, QUESTION, 8)[4:8] == QUESTION[8:12]
    except OSError:
        return False


def is_zookeeper(host: str, port: int) -> bool:
    """Whether a ZooKeeper server answers there, be it that it does not serve."""
    try:
        return _ask(host, port, WORD, len(NOT_SERVING)).startswith((*ANSWERS, NOT_SERVING))
    except (OSError, UnicodeError):
        return False


def why_no_session(host: str, port: int) -> str | None:
    """Why there is no session with a server at this address, in a sentence; None when it seems to be as it should."""
    reason = unresolved(host)
    if reason:
        return reason
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        answer = _ask(host, port, WORD, len(NOT_SERVING))
    except ConnectionRefusedError:
        return f"nobody listens at {at}"
    except OSError as problem:
        return f"{at} cannot be reached ({problem.strerror or problem})"
    if answer.startswith(NOT_SERVING):
        return f"the ZooKeeper server at {at} does not serve at the moment: it is without a quorum"
    if answer.startswith(ANSWERS):
        return None
    if is_kafka(host, port):
        return f"something answers at {at}, and it is Kafka, not ZooKeeper"
    if not answer:
        return f"something listens at {at}, and it does not answer"
    return f"something answers at {at}, and it is not ZooKeeper"


def _ask(host: str, port: int, question: bytes, size: int) -> bytes:
    """The beginning of the answer, as far as one comes; OSError when there is no connection."""
    answer = b""
    with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
        try:
            connection.settimeout(PATIENCE_SECONDS)
            connection.sendall(question)
            while len(answer) < size and (part := connection.recv(4096)):
                answer += part
        except OSError:
            pass
    return answer
