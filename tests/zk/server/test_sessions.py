"""Sessions and their time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zk.server.sessions import Sessions


def sessions(tick_ms: int = 100) -> Sessions:
    return Sessions(tick_ms, 2 * tick_ms, 20 * tick_ms, b"secret", 1000)


def test_timeouts_are_kept_within_bounds() -> None:
    s = sessions()
    assert (200, 200, 777, 2000) == tuple(s.negotiate(wanted) for wanted in (-1, 200, 777, 10**9))


def test_a_session_expires_at_the_tick_after_its_timeout() -> None:
    s = sessions()
    one = s.open(s.next_id(), 250, 1000)
    assert [] == s.expired(1299)
    assert [one] == s.expired(1300)


def test_a_sign_of_life_postpones_it() -> None:
    s = sessions()
    one = s.open(1, 250, 1000)
    s.touch(one, 1290)
    assert [] == s.expired(1500)
    assert [one] == s.expired(1600)


def test_the_longest_overdue_comes_first() -> None:
    s = sessions()
    late, early = s.open(1, 900, 0), s.open(2, 200, 0)
    assert [early, late] == s.expired(5000)


def test_a_closed_session_does_not_expire() -> None:
    s = sessions()
    s.open(1, 200, 0)
    s.close(1)
    s.close(1)
    assert [] == s.expired(10**6) and {} == s.by_id


def test_a_restart_gives_everyone_the_whole_time() -> None:
    s = sessions()
    s.open(1, 200, 0)
    s.restart(10**6)
    assert [] == s.expired(10**6 + 199)
    assert 1 == len(s.expired(10**6 + 300))


def test_ids_are_never_given_twice() -> None:
    s = sessions()
    s.open(5000, 200, 0)
    assert 5001 == s.next_id()
    assert 5002 == s.next_id()


def test_passwords_depend_on_session_and_secret() -> None:
    s = sessions()
    other = Sessions(1, 1, 1, b"other", 0)
    assert 16 == len(s.password(1))
    assert 3 == len({s.password(1), s.password(2), other.password(1)})
    assert s.password(1) == sessions().password(1)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), max_size=40))
def test_nobody_expires_early_or_more_than_a_tick_late(signs: list[tuple[int, int]]) -> None:
    s = sessions()
    now, last = 0, {number: 0 for number in range(1, 6)}
    for number in last:
        s.open(number, 1000, 0)
    for number, wait in signs:
        now += wait
        for session in s.expired(now):
            assert now - last[session.id] >= 1000
            s.close(session.id)
        assert all(now - last[number] < 1100 + wait for number in s.by_id)
        if number in s.by_id:
            s.touch(s.by_id[number], now)
            last[number] = now
