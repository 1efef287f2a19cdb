"""The group machine, by transcripts: commands, ----, and everything the machine said.

`REWRITE_TRANSCRIPTS=1 pytest tests/coordinator/test_group.py` writes what it says now; read the difference.

A command is a word and key=value pairs. `at` moves the clock, stopping wherever the machine asked to be called.
"""

import os
import random
from pathlib import Path

import pytest

from kafkalike.coordinator.group import Group, Limits, State
from kafkalike.coordinator.group_effects import Joined, Joining, Left, Persist, Synced
from kafkalike.coordinator.group_records import group_value, read_group_value
from kafkalike.errors import Error

TRANSCRIPTS = sorted((Path(__file__).parent.parent / "transcripts").glob("group_*.txt"))


class Script:
    """Runs commands against one group."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.group = Group("g", Limits(), 0)

    def run(self, line: str) -> str:
        word, *rest = line.split()
        plain = [each for each in rest if "=" not in each]
        pairs = dict(each.split("=", 1) for each in rest if "=" in each)
        before = self.group.state
        out = getattr(self, word)(*plain, **pairs)
        lines = out if isinstance(out, list) else [out]
        if self.group.state is not before and word != "new":
            lines.append(f"{before.value} -> {self.group.state.value}, generation {self.group.generation}")
        return "\n".join(lines) or "ok"

    def new(self, max: str = "100", delay: str = "3000", **_: str) -> str:
        self.group = Group("g", Limits(6000, 1_800_000, int(max), int(delay)), self.now_ms)
        return self.group.state.value

    def join(
        self,
        token: str,
        *flags: str,
        member: str = "",
        instance: str | None = None,
        uuid: str = "",
        protocols: str = "range:x",
        type: str = "consumer",
        session: str = "10000",
        rebalance: str = "60000",
    ) -> list[str]:
        offered = [each.split(":") for each in protocols.split(",") if each]
        request = Joining(
            member,
            instance,
            "c",
            "/127.0.0.1",
            int(session),
            int(rebalance),
            type,
            tuple((name, metadata.encode()) for name, metadata in offered),
            uuid or token,
            "v4" in flags or "v9" in flags,
            "v9" in flags,
        )
        return self.said(self.group.join(token, request, self.now_ms))

    def sync(self, token: str, generation: str, member: str, instance: str | None = None, **more: str) -> list[str]:
        pairs = [each.split(":") for each in more.get("assign", "").split(",") if each]
        assignments = {name: assigned.encode() for name, assigned in pairs}
        protocol_type, protocol = more.get("type"), more.get("protocol")
        effects = self.group.sync(
            token, int(generation), member, instance, protocol_type, protocol, assignments, self.now_ms
        )
        return self.said(effects)

    def heartbeat(self, generation: str, member: str = "", instance: str | None = None) -> str:
        return self.group.heartbeat(int(generation), member, instance, self.now_ms).name

    def commit(self, generation: str, member: str = "", instance: str | None = None) -> str:
        return self.group.commit(int(generation), member, instance, self.now_ms).name

    def leave(self, token: str, *members: str) -> list[str]:
        """Each member as id or id/instance."""
        leaving = [(*(each.split("/") if "/" in each else (each, None)), None) for each in members]
        return self.said(self.group.leave(token, leaving, self.now_ms))

    def persisted(self, ticket: str, error: str = "NONE") -> list[str]:
        return self.said(self.group.persisted(int(ticket), Error[error], self.now_ms))

    def at(self, time: str) -> list[str]:
        lines = []
        while (due := self.group.deadline_ms) is not None and due <= int(time):
            self.now_ms = max(due, self.now_ms)
            lines += [f"{self.now_ms}: {each}" for each in self.said(self.group.expire(self.now_ms))]
            assert self.group.deadline_ms is None or self.group.deadline_ms > due, "time must move on"
        self.now_ms = int(time)
        return lines

    def reload(self) -> list[str]:
        """Through the record and back, as a new coordinator does it."""
        value = read_group_value(group_value(self.group.value()))
        self.group = Group.restore("g", value, self.group.limits, self.now_ms)
        return [self.group.state.value, *self.said(self.group.resume(self.now_ms))]

    def limit(self, max: str) -> str:
        self.group.limits = Limits(max_size=int(max), initial_rebalance_delay_ms=0)
        return "ok"

    def unload(self) -> list[str]:
        return self.said(self.group.unload())

    def delete(self) -> str:
        return self.group.delete().name

    def show(self) -> list[str]:
        group = self.group
        lines = [f"{group.state.value} generation={group.generation} protocol={group.protocol} leader={group.leader}"]
        return lines + [f"  {each.member_id} {each.assignment.decode()}".rstrip() for each in group.members.values()]

    def said(self, effects: list[object]) -> list[str]:
        return [self.line(each) for each in effects]

    @staticmethod
    def line(effect: object) -> str:
        match effect:
            case Joined(token, Error.NONE) as joined:
                text = f"{token}: joined as {joined.member_id}, generation {joined.generation_id}, "
                text += f"{joined.protocol_type}/{joined.protocol_name}, leader {joined.leader}"
                text += ", skips assignment" * joined.skip_assignment
                if joined.members:
                    text += ", members " + ", ".join(f"{name}={data.decode()}" for name, _, data in joined.members)
                return text
            case Joined(token, error, member_id):
                return f"{token}: join {error.name} member={member_id}"
            case Synced(token, Error.NONE) as synced:
                return f"{token}: synced {synced.protocol_type}/{synced.protocol_name} {synced.assignment.decode()!r}"
            case Synced(token, error):
                return f"{token}: sync {error.name}"
            case Left(token, error, members):
                each = ", ".join(f"{a}/{b or ''} {e.name}" for a, b, e in members)
                return f"{token}: left {error.name} {each}".rstrip()
            case Persist(ticket, value):
                each = ", ".join(f"{one.member_id}={one.assignment.decode()}" for one in value.members)
                return f"persist #{ticket}: generation {value.generation}, {value.protocol}, members [{each}]"
        raise AssertionError(effect)


def answer(script: Script, line: str) -> str:
    return line if not line or line.startswith("#") else f"{line}\n----\n{script.run(line)}"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    script, told = Script(), []
    blocks = path.read_text().strip().split("\n\n")
    for block in blocks:
        *comments, command = block.split("\n----")[0].split("\n")
        told.append("\n".join([*comments, answer(script, command)]))
    if os.environ.get("REWRITE_TRANSCRIPTS"):
        path.write_text("\n\n".join(told) + "\n")
    assert blocks == told


def subscription(*topics: str) -> bytes:
    names = b"".join(len(each).to_bytes(2, "big") + each.encode() for each in topics)
    return b"\0\1" + len(topics).to_bytes(4, "big") + names + b"\xff\xff\xff\xff"


def stable(*topics: str) -> Group:
    """A stable consumer group of one member that subscribes to these topics."""
    group = Group("g", Limits(initial_rebalance_delay_ms=0), 0)
    joining = Joining("", None, "c", "/h", 10000, 10000, "consumer", (("range", subscription(*topics)),), "1")
    group.join("j", joining, 0)
    group.expire(0)
    (persist,) = group.sync("s", 1, "c-1", None, None, None, {}, 0)
    assert isinstance(persist, Persist)
    group.persisted(persist.ticket, Error.NONE, 0)
    assert group.state is State.STABLE
    return group


def test_a_group_that_was_deleted_while_somebody_was_about_to_join_has_nothing_to_do() -> None:
    group = Group("g", Limits(), 0)
    protocols = (("range", subscription("t")),)
    group.join("j", Joining("", None, "c", "/h", 10000, 10000, "consumer", protocols, "1", needs_member_id=True), 0)
    assert group.deadline_ms == 10000 and group.delete() is Error.NONE
    assert group.expire(10000) == [] and group.deadline_ms is None


def test_a_stable_group_knows_what_it_consumes() -> None:
    group = stable("a", "b")
    assert group.subscribes("a")
    assert not group.subscribes("c")


def test_offsets_of_a_simple_group_expire_after_their_commit() -> None:
    group = Group("g", Limits(), 0)
    assert group.expired_offsets({("a", 0): 100, ("a", 1): 101}, 1100, 1000) == [("a", 0)]


def test_a_stable_group_loses_only_what_it_no_longer_consumes() -> None:
    group = stable("a")
    assert group.expired_offsets({("a", 0): 0, ("b", 0): 0, ("b", 1): 900}, 1500, 1000) == [("b", 0)]


def test_an_empty_group_keeps_its_offsets_from_the_time_it_became_empty() -> None:
    group = stable("a")
    group.leave("l", [("c-1", None, None)], 500)
    assert group.state is State.EMPTY
    assert group.expired_offsets({("a", 0): 0}, 1499, 1000) == []
    assert group.expired_offsets({("a", 0): 0}, 1500, 1000) == [("a", 0)]


def test_an_offset_set_by_hand_in_an_empty_group_counts_from_then() -> None:
    group = stable("a")
    group.leave("l", [("c-1", None, None)], 500)
    assert group.expired_offsets({("a", 0): 1200}, 1500, 1000) == []


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_calls_are_answered_and_time_brings_rest(seed: int) -> None:
    """Random inputs: no call is answered twice, and once everybody is silent nobody waits any more."""
    rng = random.Random(seed)
    group, now = Group("g", Limits(max_size=4), 0), 0
    waiting: set[int] = set()
    tickets: list[int] = []
    ids: list[str] = [""]

    def take(effects: list[object]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                tickets.append(effect.ticket)
                assert read_group_value(group_value(effect.value)) == effect.value
            else:
                waiting.remove(effect.token)
                if isinstance(effect, Joined):
                    ids.append(effect.member_id)

    for tokens in range(400):
        now += rng.choice((0, 10, 1000, 8000))
        take(group.expire(now))
        member, instance = rng.choice(ids[-8:]), rng.choice((None, None, "i1", "i2"))
        generation = group.generation - rng.choice((0, 0, 0, 1))
        kind = rng.choice(("join", "join", "sync", "sync", "heartbeat", "commit", "leave", "persisted"))
        if kind == "join":
            waiting.add(tokens)
            protocols = rng.choice(((("a", b"1"),), (("a", b"2"), ("b", b"3")), (("b", b""),)))
            joining = Joining(
                member, instance, "c", "/h", 10000, 20000, "t", protocols, str(tokens), rng.random() < 0.5, True
            )
            take(group.join(tokens, joining, now))
        elif kind == "sync":
            waiting.add(tokens)
            take(group.sync(tokens, generation, member, instance, None, None, {member: b"x"}, now))
        elif kind == "leave":
            waiting.add(tokens)
            take(group.leave(tokens, [(member, instance, None)], now))
        elif kind == "persisted" and tickets:
            take(group.persisted(tickets.pop(0), rng.choice((Error.NONE, Error.NOT_COORDINATOR)), now))
        elif kind == "heartbeat":
            assert group.heartbeat(generation, member, instance, now) in Error
        else:
            assert group.commit(generation, member, instance, now) in Error
        holders = [each for each in group.members.values() if each.joining is not None or each.syncing is not None]
        assert len(waiting) >= len(holders)
        assert group._joining == sum(each.joining is not None for each in group.members.values())
        assert group.members._holders == {
            each.instance_id: key for key, each in group.members.items() if each.instance_id
        }
        assert (group.leader is None) == (not group.members)
        assert group.leader is None or group.leader in group.members
    for _ in range(1000):
        while tickets:
            take(group.persisted(tickets.pop(0), Error.NONE, now))
        if group.deadline_ms is None:
            break
        now = max(now, group.deadline_ms)
        take(group.expire(now))
    assert group.state is State.EMPTY
    assert waiting == set()
