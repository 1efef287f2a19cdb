"""How many file descriptors a process may have."""

from __future__ import annotations

import resource


def raise_limit() -> int:
    """Takes as many as the process may have (ulimit -Hn), as a JVM does; the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # infinity is more than the kernel lets anybody have
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
