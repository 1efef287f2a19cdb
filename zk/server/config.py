"""A server's properties file: ZooKeeper's keys, one line each.

Keys that ZooKeeper knows and a single node has no use for are accepted and passed over; unknown ones are reported, as
a typing error is likelier than a purpose.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


class ConfigError(Exception):
    """The text is one line for the operator."""


def _number(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


# key: (how it is read, default)
KEYS: dict[str, tuple[Callable[[str], object], object]] = {
    "dataDir": (str, None),
    "dataLogDir": (str, ""),
    "clientPort": (_number(0, 65535), 2181),
    "clientPortAddress": (str, "127.0.0.1"),
    "clientPortListenBacklog": (_number(-1), -1),
    "tickTime": (_number(1), 3000),
    "minSessionTimeout": (_number(-1), -1),
    "maxSessionTimeout": (_number(-1), -1),
    "maxClientCnxns": (_number(0), 60),
    "snapCount": (_number(2), 100_000),
    "jute.maxbuffer": (_number(1), 0xFFFFF),
    "autopurge.snapRetainCount": (_number(1), 3),
    "4lw.commands.whitelist": (str, "*"),
    "DigestAuthenticationProvider.superDigest": (str, ""),
}

# Of ensembles, TLS, the Jetty console and other parts that are not here.
PASSED_OVER = ("admin.", "autopurge.", "metricsProvider.", "initLimit", "syncLimit", "standaloneEnabled",
               "reconfigEnabled", "electionAlg", "peerType", "quorumListenOnAllIPs", "preAllocSize",
               "globalOutstandingLimit", "skipACL", "extendedTypesEnabled")  # fmt: skip


@dataclass(slots=True, frozen=True)
class Limits:
    """What the state machine needs to know."""

    tick_ms: int = 3000
    min_session_timeout_ms: int = -1
    max_session_timeout_ms: int = -1
    max_frame: int = 0xFFFFF
    super_digest: str = ""
    container_check_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Config:
    """All that an operator sets."""

    data_dir: str
    log_dir: str
    address: str
    port: int
    backlog: int
    max_connections: int
    snap_count: int
    retain: int
    words: frozenset[str] | None
    limits: Limits
    unknown: tuple[str, ...] = ()


def parse(text: str) -> dict[str, str]:
    """The pairs of a properties file."""
    pairs = {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        key, separator, value = line.partition("=")
        if not separator:
            key, _, value = line.partition(":")
        pairs[key.strip()] = value.strip()
    return pairs


def override(pairs: Mapping[str, str], overrides: Iterable[str]) -> dict[str, str]:
    """The pairs with key=value arguments put over them."""
    merged = dict(pairs)
    for argument in overrides:
        key, separator, value = argument.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--override wants key=value, not {argument!r}")
        merged[key.strip()] = value.strip()
    return merged


def read(pairs: Mapping[str, str]) -> Config:
    """The configuration; ConfigError says which key is wrong."""
    values = {}
    for key, (convert, default) in KEYS.items():
        text = pairs.get(key)
        if text is None or (text == "" and key != "dataDir"):
            values[key] = default
            continue
        try:
            values[key] = convert(text)
        except ValueError:
            raise ConfigError(f"Invalid value {text!r} for {key}") from None
    if not values["dataDir"]:
        raise ConfigError("dataDir is not set")
    if any(key.startswith(("server.", "secureClientPort", "dynamicConfigFile")) for key in pairs):
        raise ConfigError("server.N, secureClientPort and dynamicConfigFile are not supported: this is a single node")
    low, high, tick = values["minSessionTimeout"], values["maxSessionTimeout"], values["tickTime"]
    if (low if low >= 0 else 2 * tick) > (high if high >= 0 else 20 * tick):  # type: ignore[operator]
        raise ConfigError("minSessionTimeout must not be larger than maxSessionTimeout")
    words = str(values["4lw.commands.whitelist"])
    unknown = [key for key in pairs if key not in KEYS and not key.startswith(PASSED_OVER)]
    return Config(
        data_dir=str(values["dataDir"]),
        log_dir=str(values["dataLogDir"]),
        address=str(values["clientPortAddress"]),
        port=values["clientPort"],  # type: ignore[arg-type]
        backlog=values["clientPortListenBacklog"],  # type: ignore[arg-type]
        max_connections=values["maxClientCnxns"],  # type: ignore[arg-type]
        snap_count=values["snapCount"],  # type: ignore[arg-type]
        retain=values["autopurge.snapRetainCount"],  # type: ignore[arg-type]
        words=None if words == "*" else frozenset(word.strip() for word in words.split(",")),
        limits=Limits(
            tick_ms=tick,  # type: ignore[arg-type]
            min_session_timeout_ms=low,  # type: ignore[arg-type]
            max_session_timeout_ms=high,  # type: ignore[arg-type]
            max_frame=values["jute.maxbuffer"],  # type: ignore[arg-type]
            super_digest=str(values["DigestAuthenticationProvider.superDigest"]),
        ),
        unknown=tuple(unknown),
    )
