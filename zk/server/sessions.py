"""The sessions: their ids, passwords, negotiated timeouts, and when each expires.

A session expires at the first tick after its timeout, counted from the last sign of life; sessions that expire at the
same tick share a bucket, so that a sign of life costs two dictionary operations and expiry costs only the expired.
Time is the caller's monotonic clock. A password is a keyed hash of the id: what survives a restart is the key.
"""

import hashlib
from dataclasses import dataclass

PASSWORD_SIZE = 16


@dataclass(slots=True)
class Session:
    """One session; `connection` is the one it is attached to, if any."""

    id: int
    timeout_ms: int
    expires_ms: int = 0
    connection: int | None = None


class Sessions:
    """All live sessions, by id."""

    def __init__(self, tick_ms: int, min_timeout_ms: int, max_timeout_ms: int, secret: bytes, first_id: int) -> None:
        self.by_id: dict[int, Session] = {}
        self._tick_ms = tick_ms
        self.min_timeout_ms = min_timeout_ms
        self.max_timeout_ms = max_timeout_ms
        self._secret = secret
        self._next_id = first_id
        self._buckets: dict[int, dict[int, None]] = {}

    def negotiate(self, wanted_ms: int) -> int:
        """The timeout that a client gets when it asks for this one."""
        return min(max(wanted_ms, self.min_timeout_ms), self.max_timeout_ms)

    def next_id(self) -> int:
        """An id that was never used."""
        self._next_id += 1
        return self._next_id - 1

    def password(self, session_id: int) -> bytes:
        """What a client must show to attach to a session."""
        raw = session_id.to_bytes(8, "big", signed=True)
        return hashlib.blake2b(raw, key=self._secret, digest_size=PASSWORD_SIZE).digest()

    def open(self, session_id: int, timeout_ms: int, now_ms: int) -> Session:
        """A new session, or one read from the journal."""
        session = self.by_id[session_id] = Session(session_id, timeout_ms)
        self._next_id = max(self._next_id, session_id + 1)
        self.touch(session, now_ms)
        return session

    def touch(self, session: Session, now_ms: int) -> None:
        """A sign of life."""
        tick = self._tick_ms
        expires = ((now_ms + session.timeout_ms) // tick + 1) * tick
        if expires == session.expires_ms:
            return
        self._forget(session)
        session.expires_ms = expires
        bucket = self._buckets.get(expires)
        if bucket is None:
            bucket = self._buckets[expires] = {}
        bucket[session.id] = None

    def close(self, session_id: int) -> None:
        """The session ends, for whatever reason."""
        session = self.by_id.pop(session_id, None)
        if session is not None:
            self._forget(session)

    def expired(self, now_ms: int) -> list[Session]:
        """The sessions whose time is over; they stay until they are closed."""
        due = sorted(at for at in self._buckets if at <= now_ms)
        return [self.by_id[session_id] for at in due for session_id in self._buckets[at]]

    def restart(self, now_ms: int) -> None:
        """Every session gets its whole timeout again: nobody could show a sign of life while the server was away."""
        for session in self.by_id.values():
            self.touch(session, now_ms)

    def _forget(self, session: Session) -> None:
        bucket = self._buckets.get(session.expires_ms)
        if bucket is not None:
            bucket.pop(session.id, None)
            if not bucket:
                del self._buckets[session.expires_ms]
