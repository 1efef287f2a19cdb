"""What goes wrong: at random times something of a kind that the options have, for a random while.

Recovery stays possible: a machine loses what its disk had not written (or all of it) only while no other replica of
its partitions has yet to get back what it lost, and only where min.insync.replicas is at least 2. That is the promise:
one loss at a time costs nothing that was acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kafkalike.cluster.znodes.admin import DeleteTopicNode, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.protocol.messages import delete_records
from tests.simulation.disk import Key
from tests.simulation.group_members import LEAVE_S, Member
from tests.simulation.invariants import NO_LEADER
from tests.simulation.machine import Host
from zk.client import Create

if TYPE_CHECKING:
    from tests.simulation.run import Run

SPARE = "s"  # the topic that comes and goes


class Nemesis:
    """Makes all faults of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.world = run.world
        self.random = run.world.random
        self.active = False
        self.done: dict[str, int] = {}
        self.kinds: dict[str, Callable[[], None]] = {
            name: getattr(self, "_" + name) for name in sorted(run.options.faults) if hasattr(self, "_" + name)
        }

    def start(self) -> None:
        """Faults happen from now on."""
        self.active = True
        self._plan()

    def stop(self) -> None:
        """Everything is healed, and stays so."""
        self.active = False
        run = self.run
        run.network.heal()
        run.network.spike = 0.0
        run.zookeeper.lose_reply = 0.0
        for host in run.hosts.values():
            if host.paused:
                host.resume()
            if not host.running:
                self.world.at(0.1, self._start, host)
        for member in run.members:
            if member.paused:
                member.resume()
            # Some members leave for good, but never the first of a group.
            if member.name.endswith(".0") or self.random.random() < 0.7:
                self.world.at(0.1 + 2 * self.random.random(), self._revive, member)

    def _plan(self) -> None:
        self.world.at(self.random.expovariate(1 / self.run.options.interval_s), self._strike)

    def _strike(self) -> None:
        if not self.active:
            return
        if self.kinds:
            name = self.random.choice(list(self.kinds))
            self.kinds[name]()
        self._plan()

    def _note(self, name: str, text: str, *args: object) -> None:
        self.done[name] = self.done.get(name, 0) + 1
        self.world.note("FAULT " + name + ": " + text, *args)

    def _host(self) -> Host:
        """Any, a little more often a controller."""
        hosts = list(self.run.hosts.values())
        if self.random.random() < 0.2:
            hosts = [host for host in hosts if host.started and host.broker.controller.active] or hosts
        return hosts[self.random.randrange(len(hosts))]

    def _while(self) -> float:
        """How long something lasts: often shorter than a session, sometimes much longer."""
        times = (0.5, 2.0, 8.0, 70.0) if self.run.options.lasting else (0.05, 0.5, 2.0, 8.0)
        return self.random.choice(times) * (0.5 + self.random.random())

    def _later(self, call: Callable[..., None], *args: object) -> None:
        self.world.at(self._while(), self._if_active, call, *args)

    def _if_active(self, call: Callable[..., None], *args: object) -> None:
        if self.active:
            call(*args)

    def _start(self, host: Host) -> None:
        if not host.running:
            self.run.watcher.restarted(host)
            host.start()

    # Machines.

    def _kill(self) -> None:
        host = self._host()
        if host.running:
            self._note("kill", host.name)
            host.kill()
            self._later(self._start, host)

    def crash(self, host: Host, where: str) -> None:
        """Kills a broker at a step."""
        if self.active and host.running and self.random.random() < 0.05:
            self._note("crash", "%s at %s", host.name, where)
            host.kill()
            self._later(self._start, host)

    def _stop(self) -> None:
        host = self._host()
        if host.running and host.started and not host.paused:
            self._note("stop", host.name)
            host.stop()
            # At the end of the run no more steps are counted.
            self.world.at(10 + self._while(), self._kill_stopping, host, host.life)
            self._await_end(host, host.life)

    def _await_end(self, host: Host, life: int) -> None:
        if host.life != life:
            if self.active:
                self._later(self._start, host)
            else:
                self._start(host)
        else:
            self.world.at(0.5, self._await_end, host, life)

    def _kill_stopping(self, host: Host, life: int) -> None:
        if host.life == life:
            host.kill()

    def _may_lose(self, host: Host) -> bool:
        run = self.run
        for key, truth in run.watcher.current.items():
            if host.broker_id not in truth.replicas:
                continue
            if min(run.options.min_isr, run.options.replication) < 2:
                return False
            if any(broker_id != host.broker_id for broker_id in run.watcher.still_damaged(key)):
                return False
        return True

    def _victim(self) -> Host:
        """Often one that is alone in an ISR, which is where a loss hurts."""
        truths = self.run.watcher.current.values()
        alone = sorted({truth.node.isr[0] for truth in truths if truth.node is not None and len(truth.node.isr) == 1})
        if alone and self.random.random() < 0.5:
            return self.run.hosts[self.random.choice(alone)]
        return self._host()

    def _power(self) -> None:
        host = self._victim()
        if self._may_lose(host):
            lost = host.lose_power()
            self._note("power", "%s loses %s", host.name, lost)
            self.run.watcher.lost(host, lost, "lost power")
            self._later(self._start, host)

    def _wipe(self) -> None:
        host = self._victim()
        if self._may_lose(host):
            keys = list(host.disk.stores)
            self._note("wipe", host.name)
            host.lose_power()
            host.disk.wipe()
            self.run.watcher.lost(host, keys, "was wiped")
            self._later(self._start, host)

    def _pause(self) -> None:
        host = self._host()
        if host.running and not host.paused:
            self._note("pause", host.name)
            host.pause()
            self._later(self._resume, host, host.life)

    def _resume(self, host: Host, life: int) -> None:
        if host.life == life and host.paused:
            self.world.note("%s goes on", host.name)
            host.resume()

    # Members of groups.

    def _member(self) -> Member:
        return self.random.choice(self.run.members)

    def _leave(self) -> None:
        member = self._member()
        if member.running and not member.paused:
            self._note("leave", member.name)
            member.leave()
            self._later(self._revive, member)

    def _die(self) -> None:
        member = self._member()
        if member.running:
            self._note("die", member.name)
            member.die(self.random.random() < 0.3)
            self._later(self._revive, member)

    def _revive(self, member: Member) -> None:
        if not member.running:
            self.world.note("%s is back", member.name)
            member.start()
        elif member.leaving:
            self.world.at(LEAVE_S, self._revive, member)

    def _hang(self) -> None:
        member = self._member()
        if member.running and not member.paused:
            self._note("hang", member.name)
            member.pause()
            self._later(self._awake, member, member.life)

    def _awake(self, member: Member, life: int) -> None:
        if member.life == life and member.paused:
            self.world.note("%s goes on", member.name)
            member.resume()

    # Operations.

    def _move(self) -> None:
        """To and fro between two, so quickly that one leads again before it has followed; often they are cut off from
        each other, so that it cannot. Meanwhile somebody writes much, with acks=1."""
        key = self.random.choice(self.run.all_keys)
        truth = self.run.watcher.truth(key)
        node = truth.node
        others = [broker_id for broker_id in node.isr if broker_id != node.leader] if node is not None else []
        # Both brokers must hear the controller.
        hosts = self.run.hosts
        others = [i for i in others if not (hosts[i].started and hosts[i].broker.controller.active)] or others
        if node is None or node.leader not in hosts or not others or truth.moving:
            return
        pair = node.leader, self.random.choice(others)
        self._note("move", "%s-%d between %d and %d", *key, *pair)
        time = 0.0
        for turn in range(self.random.randint(3, 6)):
            self.world.at(time, self._prefer, key, pair[1 - turn % 2])
            time += 0.02 + self.random.random() * self.random.choice((0.1, 0.5))
            self.world.at(time, self._ask, PreferredElectionNode.path(), PreferredElectionNode.encode([key]))
            time += self.random.random() * self.random.choice((0.1, 0.6))
        if key in self.run.keys:
            self.world.at(time, self.run.hush, self.run.burst(key))
        if self.random.random() < 0.8:
            names = hosts[pair[0]].name, hosts[pair[1]].name
            for one, other in (names, names[::-1]):
                self.run.network.cut(one, other)
            self.world.at(time, self._if_active, self._unblock, [names, names[::-1]])

    def _prefer(self, key: Key, first: int) -> None:
        """Reassigns a partition so that this broker comes first among the replicas."""
        truth = self.run.watcher.truth(key)
        if not truth.moving and first in truth.replicas:
            wanted = (first, *(broker_id for broker_id in truth.replicas if broker_id != first))
            self._ask(ReassignNode.path(), ReassignNode.encode({key: wanted}))

    def _reassign(self) -> None:
        key = self.random.choice(self.run.all_keys)
        wanted = tuple(self.random.sample(list(self.run.hosts), self.run.options.replication))
        self._note("reassign", "%s-%d to %s", *key, wanted)
        self._ask(ReassignNode.path(), ReassignNode.encode({key: wanted}))

    def _delete_records(self) -> None:
        """Deletes the records before an offset, often all committed ones."""
        key = self.random.choice(self.run.keys)
        truth = self.run.watcher.truth(key)
        client = self.random.choice(self.run.producers)
        if truth.node is None or truth.node.leader == NO_LEADER:
            return
        offset = self.random.choice((-1, truth.end, truth.end + 2, self.random.randint(0, truth.end)))
        self._note("delete_records", "%s-%d up to %d", *key, offset)
        partition = delete_records.DeleteRecordsPartition(partition_index=key[1], offset=offset)
        topic = delete_records.DeleteRecordsTopic(name=key[0], partitions=[partition])
        request = delete_records.Request(topics=[topic], timeout_ms=1000)
        answer = client.peer(truth.node.leader).request(delete_records, delete_records.VERSIONS[1], request)
        answer.addBoth(lambda _: None)

    def _recreate(self) -> None:
        """Deletion waits for who is down, unless the topic has left him before: then he has it still, and is to have
        another by that name when he is back."""
        keys = [key for key in self.run.all_keys if key[0] == SPARE]
        moved = {}
        for key in keys:
            replicas = self.run.watcher.truth(key).replicas
            up = tuple(broker_id for broker_id in replicas if self.run.hosts[broker_id].running)
            if up and up != replicas:
                moved[key] = up
        if moved:
            self._ask(ReassignNode.path(), ReassignNode.encode(moved))
        self.world.at(self.random.choice((0.0, 0.2, 1.0)) if moved else 0.0, self._delete)

    def _delete(self) -> None:
        nodes = self.run.zookeeper.head.nodes
        if self.active and TopicNode.path(SPARE) in nodes and DeleteTopicNode.path(SPARE) not in nodes:
            self._note("recreate", SPARE)
            self._ask(DeleteTopicNode.path(SPARE), b"")
            self._remake()

    def _remake(self) -> None:
        """Creates the topic again as soon as it is gone, or a little later; also when all faults are healed."""
        nodes = self.run.zookeeper.head.nodes
        if TopicNode.path(SPARE) in nodes or DeleteTopicNode.path(SPARE) in nodes:
            self.world.at(0.1 * self.random.random(), self._remake)
        else:
            self.world.at(self.random.choice((0.0, 0.5)) * self.random.random(), self.run.create_spare)

    def _ask(self, path: str, data: bytes) -> None:
        """Writes a request znode as the old tools do; does nothing while an earlier one is still there."""
        if self.active:
            self.run.zookeeper.decide([Create(path, data)], None)

    # The network.

    def _names(self) -> list[str]:
        return list(self.run.network.hosts)

    def _cut(self) -> None:
        names = self._names()
        one, other = self.random.choice(names), self.random.choice(names)
        if one != other:
            self._note("cut", "%s and %s", one, other)
            self._block([(one, other), (other, one)])

    def _one_way(self) -> None:
        names = self._names()
        one, other = self.random.choice(names), self.random.choice(names)
        if one != other:
            self._note("one_way", "%s to %s", one, other)
            self._block([(one, other)])

    def _isolate(self) -> None:
        host = self._host()
        self._note("isolate", host.name)
        others = [name for name in self._names() if name != host.name]
        if self.random.random() < 0.5:
            # The broker is cut off from other brokers, but not from ZooKeeper.
            others = [name for name in others if not name.startswith("z")]
        self._block([(host.name, other) for other in others] + [(other, host.name) for other in others])

    def _away(self) -> None:
        host = self._host()
        self._note("away", host.name)
        servers = [name for name in self._names() if name.startswith("z")]
        self._block([(host.name, server) for server in servers] + [(server, host.name) for server in servers])

    def _outage(self) -> None:
        """Cuts all brokers off from ZooKeeper."""
        names = self._names()
        servers = [name for name in names if name.startswith("z")]
        self._note("outage", "%s", servers)
        self._block([pair for host in self.run.hosts.values() for server in servers
                     for pair in ((host.name, server), (server, host.name))])  # fmt: skip

    def _block(self, pairs: list[tuple[str, str]]) -> None:
        for pair in pairs:
            self.run.network.cut(*pair)
        self._later(self._unblock, pairs)

    def _unblock(self, pairs: list[tuple[str, str]]) -> None:
        for pair in pairs:
            self.run.network.heal(*pair)

    def _break(self) -> None:
        wires = [wire for wire in self.run.network.wires[self._host()] if wire.open]
        if wires:
            wire = self.random.choice(wires)
            self._note("break", "%s to %s", wire.machines[0].name, wire.machines[1].name)
            wire.snap()

    # ZooKeeper.

    def _expire(self) -> None:
        sessions = [session for session in self.run.zookeeper.sessions.values() if not session.expired]
        if sessions:
            session = self.random.choice(sessions)
            self._note("expire", "0x%x", session.id)
            self.run.zookeeper.expire(session)
