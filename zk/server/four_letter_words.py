"""The four-letter words: a client sends one instead of a frame, gets text, and the connection is closed.

Each answer is a function of a Status, which the listener fills in.
"""

from collections.abc import Callable
from dataclasses import dataclass

VERSION = "3.8.4-kafkalike"


@dataclass(slots=True)
class Client:
    """One connection, as `cons` and `stat` show it."""

    address: str
    port: int
    session_id: int
    timeout_ms: int
    received: int
    sent: int


@dataclass(slots=True)
class Status:
    """What the words tell."""

    zxid: int
    nodes: int
    ephemerals: int
    watches: int
    data_size: int
    received: int
    sent: int
    outstanding: int
    latency_ms: tuple[int, float, int]
    clients: list[Client]
    sessions: dict[int, list[str]]
    settings: dict[str, object]
    environment: dict[str, str]
    files: tuple[int, int, int]


def ruok(status: Status) -> str:
    """Are you okay?"""
    return "imok"


def isro(status: Status) -> str:
    """Read-only or not."""
    return "rw"


def srvr(status: Status) -> str:
    """The server at a glance."""
    low, average, high = status.latency_ms
    return (
        f"Zookeeper version: {VERSION}\n"
        f"Latency min/avg/max: {low}/{average:.4g}/{high}\n"
        f"Received: {status.received}\nSent: {status.sent}\nConnections: {len(status.clients)}\n"
        f"Outstanding: {status.outstanding}\nZxid: 0x{status.zxid:x}\nMode: standalone\nNode count: {status.nodes}\n"
    )


def stat(status: Status) -> str:
    """srvr, and the clients."""
    first, rest = srvr(status).split("\n", 1)
    lines = [f" /{c.address}:{c.port}[1](queued=0,recved={c.received},sent={c.sent})\n" for c in status.clients]
    return f"{first}\nClients:\n{''.join(lines)}\n{rest}"


def cons(status: Status) -> str:
    """The clients in full."""
    lines = [
        f" /{c.address}:{c.port}[1](queued=0,recved={c.received},sent={c.sent}"
        + (f",sid=0x{c.session_id:x},to={c.timeout_ms}" if c.session_id else "")
        + ")\n"
        for c in status.clients
    ]
    return "".join(lines) + "\n"


def dump(status: Status) -> str:
    """Sessions and the ephemeral nodes they own."""
    owners = {session: paths for session, paths in status.sessions.items() if paths}
    lines = [f"0x{session:x}:\n" + "".join(f"\t{path}\n" for path in paths) for session, paths in owners.items()]
    listed = "".join(f"\t0x{session:x}\n" for session in status.sessions)
    return (
        f"SessionTracker dump:\nSessions ({len(status.sessions)}):\n{listed}"
        f"ephemeral nodes dump:\nSessions with Ephemerals ({len(owners)}):\n{''.join(lines)}"
    )


def conf(status: Status) -> str:
    """The configuration."""
    return "".join(f"{key}={value}\n" for key, value in status.settings.items())


def envi(status: Status) -> str:
    """Where it runs."""
    rows = {"zookeeper.version": f"{VERSION}", **status.environment}
    return "Environment:\n" + "".join(f"{key}={value}\n" for key, value in rows.items())


def mntr(status: Status) -> str:
    """Figures for monitoring, a tab between name and value."""
    low, average, high = status.latency_ms
    snapshots, logs, descriptors = status.files
    rows = {
        "version": f"{VERSION}",
        "server_state": "standalone",
        "ephemerals_count": status.ephemerals,
        "num_alive_connections": len(status.clients),
        "avg_latency": round(average, 4),
        "outstanding_requests": status.outstanding,
        "znode_count": status.nodes,
        "global_sessions": len(status.sessions),
        "open_file_descriptor_count": descriptors,
        "data_dir_size": snapshots,
        "log_dir_size": logs,
        "approximate_data_size": status.data_size,
        "watch_count": status.watches,
        "min_latency": low,
        "max_latency": high,
        "packets_received": status.received,
        "packets_sent": status.sent,
    }
    return "".join(f"zk_{name}\t{value}\n" for name, value in rows.items())


def wchs(status: Status) -> str:
    """How many watches."""
    return f"Total watches:{status.watches}\n"


WORDS: dict[bytes, Callable[[Status], str]] = {
    word.__name__.encode(): word for word in (ruok, isro, srvr, stat, cons, dump, conf, envi, mntr, wchs)
}
