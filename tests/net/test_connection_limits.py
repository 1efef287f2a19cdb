"""max.connections and max.connections.per.ip."""

from kafkalike.net.connection_limits import ConnectionLimits


def test_a_closed_connection_makes_room_for_another():
    limits = ConnectionLimits(total=3, per_ip=1, overrides={"b": 2})
    assert [limits.admit(ip) for ip in "abba"] == [True, True, True, False]
    limits.forget("a")
    limits.forget("a")
    assert limits.admit("a")
    assert not limits.admit("c")
