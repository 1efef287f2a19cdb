"""What must hold after every event. The names are those of the TLA+ models of Kafka's replication.

The specification is one log per partition, the *truth*: the batches that some leader has shown below its high
watermark, in order. It only grows, at its end, by what a leader commits; every other log is measured against it.

Cheap enough for every event: an append is compared when it is made (LogMatching by induction: equal batch, equal
predecessor), high watermarks when they move, ISRs when they are written; and only on the machine whose event it was.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import Any

from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.coordinator.internal_topic import partition_of
from kafkalike.errors import Error
from tests.simulation.disk import Batch, Key, ModelLog, fold
from tests.simulation.machine import Host
from tests.simulation.world import Machine, Violation, World

NO_LEADER = -1
STATES = "/brokers/topics/"
BROKERS = "/brokers/ids/"
GROUPS = "/consumers/"
DELETIONS = DeleteTopicNode.directory() + "/"
GROUPS_TOPIC, GROUPS_PARTITIONS = "__consumer_offsets", 2


class Znode:
    """A partition's state as it is in ZooKeeper."""

    __slots__ = ("leader", "leader_epoch", "isr", "controller_epoch", "version", "recovering", "suspects")

    def __init__(self, data: bytes, version: int) -> None:
        node = json.loads(data)
        self.leader: int = node["leader"]
        self.leader_epoch: int = node["leader_epoch"]
        self.isr: tuple[int, ...] = tuple(node["isr"])
        self.controller_epoch: int = node["controller_epoch"]
        self.suspects: tuple[int, ...] = tuple(node.get("suspect_isr", ()))
        self.recovering = bool(node.get("leader_recovery_state", 0))
        self.version = version

    def __repr__(self) -> str:
        return f"leader {self.leader}@{self.leader_epoch} isr {list(self.isr)} v{self.version} c{self.controller_epoch}"


class Truth:
    """The truth about one partition: which records are committed, and which ones a leader has ever appended."""

    def __init__(self, topic_id: bytes | None) -> None:
        self.topic_id = topic_id
        self.batches: list[Batch] = []
        self.bases: list[int] = []
        self.end = 0
        # Where leaders' logs begin. A follower may keep older records, which can't be compared any more and are never
        # read.
        self.start = 0
        self.values: dict[int, int] = {}  # value -> offset
        self.appended: dict[
            tuple[int, int], tuple[Batch, tuple[int, int] | None]
        ] = {}  # (epoch, base) -> , predecessor
        self.leaders: dict[int, int] = {}  # epoch -> leader that was elected
        self.node: Znode | None = None
        self.written = 0.0  # when
        self.replicas: tuple[int, ...] = ()
        self.moving = False  # a reassignment is under way
        # Replicas that lost part of what they had, and how: until they have left the ISR, and until they are back.
        self.poor: dict[int, str] = {}
        self.damaged: dict[int, str] = {}

    def at(self, base: int) -> Batch | None:
        """The committed batch that begins there."""
        place = bisect_left(self.bases, base)
        return self.batches[place] if place < len(self.bases) and self.bases[place] == base else None


class Watcher:
    """Checks all invariants of one run."""

    def __init__(self, world: World, min_isr: int, lag_ms: int) -> None:
        self.world = world
        self.min_isr = min_isr
        self.lag_ms = lag_ms
        self.hosts: dict[int, Host] = {}
        self.ids: dict[str, bytes] = {}  # of the topics that there are
        self.doomed: set[str] = set()  # topics that are to be deleted
        self.truths: dict[tuple[Key, bytes | None], Truth] = {}
        self.controller_epoch = 0
        self.commits = 0
        self.elections = 0
        self.truncations = 0
        self.isr_changes = 0
        self._cuts: dict[tuple[int, Key, bytes | None], tuple[int, int]] = {}
        self.present: set[int] = set()  # who is registered
        self.registered: dict[int, float] = {}  # when each broker was last registered
        self.czxids: dict[int, int] = {}  # of registrations
        self._obeyed: dict[tuple[int, int], int] = {}  # (broker, life) -> the newest controller epoch
        self.lost_at: dict[int, float] = {}  # when its disk last lost something
        self._seen: dict[tuple[int, Key, bytes | None], tuple[Any, ...]] = {}
        self.memberships: dict[str, Any] = {}  # groups with members, who say for themselves what must hold

    def fail(self, name: str, detail: str, *args: Any) -> None:
        """Ends the run."""
        violation = Violation(name, detail % args if args else detail)
        self.world.violation = self.world.violation or violation
        raise violation

    def truth(self, key: Key, topic_id: bytes | None = None) -> Truth:
        """The specification's partition; of the topic that has the name now, unless an earlier one is meant."""
        topic_id = topic_id or self.ids.get(key[0])
        found = self.truths.get((key, topic_id))
        if found is None:
            found = self.truths[key, topic_id] = Truth(topic_id)
        return found

    @property
    def current(self) -> dict[Key, Truth]:
        """Partitions of the topics that there are."""
        return {key: truth for (key, topic_id), truth in self.truths.items() if topic_id == self.ids.get(key[0])}

    # What ZooKeeper decides.

    def znode_written(self, path: str, data: bytes | None, node: Any, writer: Host | None = None) -> None:
        """A change of data has been decided, by a broker or by nobody in particular."""
        if path == "/controller_epoch":
            epoch = int(data or b"0")
            if epoch < self.controller_epoch:
                self.fail("ControllerEpochGrows", "%d after %d", epoch, self.controller_epoch)
            self.controller_epoch = epoch
            if any(
                hosted.partition.leading and hosted.partition.proposal is not None
                for host in self.hosts.values()
                if host.broker is not None and host.broker.replication is not None
                for hosted in host.broker.replication.partitions.hosted.values()
            ):
                self.world.meet("ISR change under way at a fail-over")
        elif path.startswith(BROKERS):
            broker_id = int(path[len(BROKERS) :])
            if node is None:
                self.present.discard(broker_id)
                return
            self.present.add(broker_id)
            self.czxids[broker_id] = node.czxid
            if node.czxid == node.mzxid:
                self.registered[broker_id] = self.world.now
        elif path.startswith(DELETIONS):
            (self.doomed.discard if node is None else self.doomed.add)(path[len(DELETIONS) :])
        elif path.startswith(STATES) and "/" not in path[len(STATES) :]:
            topic = path[len(STATES) :]
            if data is None:
                self.ids.pop(topic, None)
                return
            decoded = TopicNode.decode(data, topic)
            self.ids[topic] = decoded.topic_id
            for index, assignment in decoded.partitions.items():
                truth = self.truth((topic, index))
                truth.replicas = assignment.replicas
                truth.moving = bool(assignment.adding or assignment.removing)
        elif path.startswith(STATES) and path.endswith("/state") and data is not None:
            topic, _, index, _ = path[len(STATES) :].split("/")
            self._state_written((topic, int(index)), Znode(data, node.version), writer)
        elif path.startswith(GROUPS) and writer is not None and data:
            self._offset_written(path, data, writer)

    def _offset_written(self, path: str, data: bytes, writer: Host) -> None:
        """Only a group's coordinator writes its offsets."""
        group, kind, *rest = path[len(GROUPS) :].split("/")
        if kind == "offsets":
            node = self.truth((GROUPS_TOPIC, partition_of(group, GROUPS_PARTITIONS))).node
            if node is None or node.leader != writer.broker_id:
                self.fail(
                    "NoZombieWrites", "%s is written by %d; the coordinator's state is %r", path, writer.broker_id, node
                )
            if group in self.memberships:
                self.memberships[group].written((rest[0], int(rest[1])), int(data))

    def _state_written(self, key: Key, node: Znode, writer: Host | None) -> None:
        truth = self.truth(key)
        old, truth.node = truth.node, node
        truth.written = self.world.now
        self.world.note("znode %s-%d: %r", *key, node)
        if node.controller_epoch != self.controller_epoch:
            self.fail("NoZombieWrites", "%s: %r was written while the epoch is %d", key, node, self.controller_epoch)
        self._count(key, old, node, writer)
        if node.leader != NO_LEADER and node.leader not in node.isr:
            self.fail("LeaderInIsr", "%s: %r", key, node)
        if not node.isr:
            self.fail("IsrNotEmpty", "%s: %r", key, node)
        if old is not None:
            if node.leader_epoch < old.leader_epoch:
                self.fail("LeaderEpochGrows", "%s: %r after %r", key, node, old)
            if node.leader_epoch == old.leader_epoch and node.leader != old.leader:
                self.fail("OneLeaderPerEpoch", "%s: %r after %r", key, node, old)
        if node.leader != NO_LEADER:
            if truth.leaders.setdefault(node.leader_epoch, node.leader) != node.leader:
                self.fail("OneLeaderPerEpoch", "%s: %r, before it was %d", key, node, truth.leaders[node.leader_epoch])
            if old is None or old.leader_epoch != node.leader_epoch:
                self.elections += 1
        for broker_id in list(truth.poor):
            # While the broker's registration is from before its loss, no controller can know of the loss.
            if broker_id not in node.isr and self.registered.get(broker_id, 0.0) > self.lost_at[broker_id]:
                del truth.poor[broker_id]
        if old is None or node.isr != old.isr:
            self.isr_changes += 1
            for broker_id in node.isr:
                if old is None or broker_id not in old.isr:
                    self._check_member(key, truth, broker_id)
                    if old is not None and writer is not None:
                        self._check_joiner(key, node, broker_id, writer)

    def _check_joiner(self, key: Key, node: Znode, broker_id: int, writer: Host) -> None:
        """A broker that enters an ISR is live and is not leaving, as far as the controller knows."""
        context = writer.broker.controller.context
        if context is not None and (broker_id not in context.brokers or broker_id in context.shutting_down):
            self.fail("JoinersStay", "%s: %d enters %r, and is gone or leaving", key, broker_id, node)

    def _count(self, key: Key, old: Znode | None, node: Znode, writer: Host | None) -> None:
        if old is None or old.leader_epoch == node.leader_epoch:
            return
        if old.suspects and node.leader != NO_LEADER:
            self.world.meet("suspects compared")
            context = writer.broker.controller.context if writer is not None else None
            if context is not None and key in context.given_up_waiting:
                self.world.meet("comparison given up")
        host = self.hosts.get(old.leader)
        if host is not None and old.leader != node.leader and host.stopping:
            self.world.meet("leader moved by a controlled stop")
        if host is not None and node.leader != old.leader and not host.running and host.broker_id in self.present:
            self.world.meet("presumed dead")

    def _check_member(self, key: Key, truth: Truth, broker_id: int) -> None:
        """A replica that is in the ISR has all that is committed, unless its disk has lost it since, or the topic goes:
        one replica is deleted after the other, and who leads it may not know."""
        if not truth.batches or broker_id in truth.poor or key[0] in self.doomed or truth is not self.truth(key):
            return
        host = self.hosts[broker_id]
        store = host.disk.stores.get(key)
        last = truth.batches[-1]
        if store is None or store.topic_id != truth.topic_id:
            self.fail("StrongIsr", "%s: %d is in %r and has no log", key, broker_id, truth.node)
            return
        if store.end < truth.end:
            self.fail(
                "LeaderCandidateCompleteness",
                "%s: %d is in %r and ends at %d; committed is up to %d",
                key, broker_id, truth.node, store.end, truth.end,
            )  # fmt: skip
        if max(store.start, truth.start) <= last.base:
            place = bisect_left(store.batches, last.base, key=lambda batch: batch.base)
            mine = store.batches[place] if place < len(store.batches) else None
            if mine is None or mine.identity != last.identity:
                self.fail(
                    "StrongIsr", "%s: %d in %r has %r where %r is committed", key, broker_id, truth.node, mine, last
                )

    def ordered(self, host: Host, name: str, request: Any, code: int) -> None:
        """A broker has answered a request of a controller."""
        if host.broker is None or host.broker.replication is None:
            return
        life = (host.broker_id, host.life)
        newest, epoch = self._obeyed.get(life, 0), request.broker_epoch
        if code == Error.STALE_BROKER_EPOCH:
            if host.broker_id in self.present and epoch == self.czxids[host.broker_id]:
                self.fail("OrdersForThisLife", "%s for %d in its life %d is refused", name, host.broker_id, epoch)
        elif code == Error.NONE:
            # LeaderAndIsr takes its time, in which others may come.
            at_once = name != "LeaderAndIsr"
            if at_once and request.controller_epoch < newest:
                self.fail(
                    "ZombieControllersAreRefused", "%s of controller epoch %d is obeyed by %d, which knows %d",
                    name, request.controller_epoch, host.broker_id, newest,
                )  # fmt: skip
            if at_once and -1 < epoch < host.broker.membership.broker_epoch:
                self.fail("OrdersForThisLife", "%s for an earlier life %d is obeyed by %d", name, epoch, host.broker_id)
            self._obeyed[life] = max(newest, request.controller_epoch)

    # What logs do.

    def opened(self, directory: Any) -> None:
        """A broker has opened its logs."""

    def appended_as_leader(self, log: ModelLog, batch: Batch) -> None:
        """About to be appended."""
        key = (log.topic, log.partition)
        truth = self.truth(key, log.topic_id)
        broker_id = log.machine.broker_id  # type: ignore[attr-defined]
        if truth.leaders.get(batch.epoch) != broker_id:
            self.fail("OneLeaderPerEpoch", "%s: %d appends in epoch %d", key, broker_id, batch.epoch)
        if truth.node is not None and truth.node.leader_epoch > batch.epoch:
            self.world.meet("deposed leader appends")
        before = (log.batches[-1].epoch, log.batches[-1].base) if log.batches else None
        known = truth.appended.setdefault((batch.epoch, batch.base), (batch, before))
        # Before the first batch are no records, or those that retention has removed.
        if known[0].identity != batch.identity or (None not in (known[1], before) and known[1] != before):
            self.fail(
                "LogMatching",
                "%s: %d appends %r after %s; %r after %s was there",
                key,
                broker_id,
                batch,
                before,
                *known,
            )

    def appended_as_follower(self, log: ModelLog, batch: Batch) -> None:
        """About to be appended."""
        key = (log.topic, log.partition)
        known = self.truth(key, log.topic_id).appended.get((batch.epoch, batch.base))
        broker_id = log.machine.broker_id  # type: ignore[attr-defined]
        if known is None or known[0].identity != batch.identity:
            self.fail("LogMatching", "%s: %d appends %r, which no leader appended", key, broker_id, batch)
            return
        before = (log.batches[-1].epoch, log.batches[-1].base) if log.batches else None
        read = before is not None and before[1] >= self.truth(key, log.topic_id).start
        if read and known[1] is not None and before != known[1]:
            self.fail(
                "LogMatching", "%s: %d appends %r after %s; the leader had it after %s",
                key, broker_id, batch, before, known[1],
            )  # fmt: skip

    def cut(self, log: ModelLog, offset: int) -> None:
        """About to be cut."""
        key = (log.topic, log.partition)
        truth = self.truth(key, log.topic_id)
        self.truncations += 1
        broker_id = log.machine.broker_id  # type: ignore[attr-defined]
        epoch = log.machine.broker.replication.partitions.hosted[key].partition.leader_epoch  # type: ignore[attr-defined]
        if offset >= truth.end:
            self.world.meet("uncommitted records cut")
        if self._cuts.get((broker_id, key, log.topic_id)) == (log.machine.life, epoch):
            self.world.meet("cut in two steps")
        self._cuts[broker_id, key, log.topic_id] = (log.machine.life, epoch)
        self.world.note("cuts %s-%d from %d to %d (committed is %d)", *key, log.log_end_offset, offset, truth.end)
        if truth.end <= offset or truth.node is None:
            return
        # A log may be cut below what is committed only where it differs, and such a log is in no ISR; or where a
        # leader has deleted it.
        last = next((b for b in log.batches if b.base >= max(offset, truth.start)), None)
        if last is not None:
            committed = truth.at(last.base)
            same = committed is not None and committed.identity == last.identity
            if same and broker_id in truth.node.isr and broker_id not in truth.poor:
                self.fail(
                    "StrongIsr", "%s: %d in %r cuts at %d what is committed up to %d",
                    key, broker_id, truth.node, offset, truth.end,
                )  # fmt: skip

    def removed(self, log: ModelLog, start: int) -> None:
        """Retention has removed everything before."""
        key = (log.topic, log.partition)
        broker_id = log.machine.broker_id  # type: ignore[attr-defined]
        end = self.truth(key, log.topic_id).end
        self.world.note("removes %s-%d up to %d, committed is %d", *key, start, end)
        if start > end:
            self.fail(
                "RetentionKeepsTheUncommitted", "%s: %d removes up to %d; committed is %d", key, broker_id, start, end
            )

    # What brokers believe.

    def after(self, machine: Machine | None) -> None:
        """Looks at the machine whose event it was."""
        if not isinstance(machine, Host) or machine.broker is None or machine.broker.replication is None:
            return
        broker_id = machine.broker_id
        for key, hosted in machine.broker.replication.partitions.hosted.items():
            partition, log = hosted.partition, hosted.log
            state = (partition.leader_epoch, partition.high_watermark, partition.isr, partition.proposal, log.version)
            before = self._seen.get((broker_id, key, log.topic_id))
            if state == before:
                continue
            self._seen[broker_id, key, log.topic_id] = state
            self._look(broker_id, key, partition, log, before)

    def _look(self, broker_id: int, key: Key, partition: Any, log: ModelLog, before: tuple[Any, ...] | None) -> None:
        mark = partition.high_watermark
        truth = self.truth(key, log.topic_id)
        if before is not None and before[3] is not None and before[0] != partition.leader_epoch:
            self.world.meet("ISR change cut short")
        if not log.log_start_offset <= mark <= log.log_end_offset:
            self.fail(
                "OffsetsInOrder", "%s on %d: start %d, high watermark %d, end %d",
                key, broker_id, log.log_start_offset, mark, log.log_end_offset,
            )  # fmt: skip
        if partition.leading:
            truth.start = max(truth.start, log.log_start_offset)
            if truth.leaders.get(partition.leader_epoch) != broker_id:
                self.fail("OneLeaderPerEpoch", "%s: %d leads epoch %d", key, broker_id, partition.leader_epoch)
            node = truth.node
            if node is not None and node.leader_epoch == partition.leader_epoch:
                missing = set(node.isr) - partition.maximal_isr
                if missing:
                    self.fail(
                        "ReplicationQuorumSuperset", "%s: %d holds %s, the znode has %r",
                        key, broker_id, sorted(partition.maximal_isr), node,
                    )  # fmt: skip
            if before is None or before[0] != partition.leader_epoch:
                self._check_leader(broker_id, key, truth, partition, log)
            elif mark > before[1] and len(partition.isr) < min(self.min_isr, len(partition.replicas)):
                self.fail(
                    "HighWatermarkNeedsMinIsr", "%s: %d moves it to %d with %s", key, broker_id, mark, partition.isr
                )
            elif before[2] != partition.isr and partition.proposal is None:
                self._check_second_look(broker_id, key, partition, log)
        if before is None or mark > before[1]:
            self._check_mark(broker_id, key, truth, partition, log, mark)

    def _check_second_look(self, broker_id: int, key: Key, partition: Any, log: ModelLog) -> None:
        """The ISR has just changed: the high watermark is where it has all that everybody who counts has."""
        if len(partition.isr) < min(self.min_isr, len(partition.replicas)):
            return
        members = [partition.followers[member].log_end_offset for member in partition.isr if member != broker_id]
        now_ms = log.machine.wall() * 1000
        waited = [f.log_end_offset for f in partition.followers.values() if now_ms - f.caught_up_ms <= self.lag_ms + 1]
        mark = min([log.log_end_offset, *members, *waited])
        if partition.high_watermark < mark:
            self.fail(
                "HighWatermarkIsLookedAt", "%s: %d has it at %d, with %s it is %d",
                key, broker_id, partition.high_watermark, partition.isr, mark,
            )  # fmt: skip

    def _check_leader(self, broker_id: int, key: Key, truth: Truth, partition: Any, log: ModelLog) -> None:
        """A broker that begins to lead, in an epoch that is or was its own, has all committed records."""
        self.world.note(
            "leads %s-%d in epoch %d, %d to %d, high watermark %d, isr %s",
            *key, partition.leader_epoch, log.log_start_offset, log.log_end_offset, partition.high_watermark,
            list(partition.isr),
        )  # fmt: skip
        node = truth.node
        if not truth.batches or node is None or node.leader_epoch != partition.leader_epoch:
            return
        last = truth.batches[-1]
        if partition.high_watermark < truth.end:
            self.world.meet("new leader lags behind what is committed")
        if log.log_end_offset < truth.end:
            self.fail(
                "LeaderCompleteness", "%s: %d leads epoch %d up to %d; committed is up to %d%s",
                key, broker_id, partition.leader_epoch, log.log_end_offset, truth.end,
                f" ({truth.poor[broker_id]})" if broker_id in truth.poor else "",
            )  # fmt: skip
        for batch in log.batches:
            committed = truth.at(batch.base)
            shown = log.log_start_offset < batch.next <= truth.end
            if shown and (committed is None or committed.identity != batch.identity):
                self.fail(
                    "ConsistentRead", "%s: %d leads with %r where %r is committed", key, broker_id, batch, committed
                )
        mine = log.batch_at(last.base)
        if last.base >= max(log.log_start_offset, truth.start) and (mine is None or mine.identity != last.identity):
            self.fail("LeaderCompleteness", "%s: %d leads with %r where %r is committed", key, broker_id, mine, last)

    def _check_mark(self, broker_id: int, key: Key, truth: Truth, partition: Any, log: ModelLog, mark: int) -> None:
        """A high watermark moved up: what is below is committed, for good, and the same everywhere."""
        if mark <= truth.end:
            # The last batch below it says it for all before.
            place = bisect_left(log.bases, mark) - 1
            if place >= 0 and log.batches[place].next > max(log.log_start_offset, truth.start):
                mine = log.batches[place]
                committed = truth.at(mine.base)
                if committed is None or committed.identity != mine.identity:
                    self.fail(
                        "ConsistentRead", "%s: %d shows %r where %r is committed", key, broker_id, mine, committed
                    )
            return
        if not partition.leading:
            self.fail(
                "ConsistentRead", "%s: follower %d shows up to %d; committed is %d", key, broker_id, mark, truth.end
            )
        place = bisect_left(log.bases, truth.end)
        if place and truth.batches:
            mine, last = log.batches[place - 1], truth.batches[-1]
            if mine.identity != last.identity and mine.base >= log.log_start_offset:
                self.fail("ConsistentRead", "%s: %d commits after %r; committed is %r", key, broker_id, mine, last)
        for batch in log.batches[place:]:
            if batch.next > mark:
                break
            if batch.base != truth.end:
                self.fail("ConsistentRead", "%s: %d commits %r at %d", key, broker_id, batch, truth.end)
            truth.batches.append(batch)
            truth.bases.append(batch.base)
            truth.end = batch.next
            for at, value in enumerate(batch.values):
                # What retention has removed a producer's state need not tell of.
                if truth.values.get(value, -1) >= log.log_start_offset:
                    self.fail(
                        "NoDuplicates",
                        "%s: value %d is at %d and at %d",
                        key,
                        value,
                        truth.values[value],
                        batch.base + at,
                    )
                truth.values[value] = batch.base + at
        self.commits += 1
        if truth.end != mark:
            self.fail("ConsistentRead", "%s: %d has its high watermark %d inside of a batch", key, broker_id, mark)
        node = truth.node
        if node is not None:
            for member in node.isr:
                self._check_member(key, truth, member)

    # What clients see.

    def acknowledged(self, key: Key, base: int, values: tuple[int, ...]) -> None:
        """A producer was told that these are there, on every in-sync replica."""
        truth = self.truth(key)
        batch = truth.at(base)
        if batch is None or batch.values != values:
            self.fail(
                "NoCommittedRecordLost",
                "%s: %s are acknowledged at %d, where %r is committed",
                key,
                values,
                base,
                batch,
            )

    def consumed(self, key: Key, batches: list[Batch]) -> None:
        """A consumer was given these."""
        truth = self.truth(key)
        for batch in batches:
            committed = truth.at(batch.base)
            if committed is None or committed.identity != batch.identity:
                self.fail("ConsistentRead", "%s: %r was read, %r is committed", key, batch, committed)

    # Losses that a disk may have.

    def lost(self, host: Host, keys: Any, how: str) -> None:
        """Notes that a machine has lost records."""
        self.lost_at[host.broker_id] = self.world.now
        for key in keys:
            truth = self.truth(key)
            if host.broker_id in truth.replicas:
                if how == "was wiped" and truth.node is not None and host.broker_id in truth.node.isr:
                    self.world.meet("wiped while registered")
                elif how != "was wiped" and host.disk.stores[key].end < truth.end:
                    self.world.meet("committed records lost by one")
                truth.poor[host.broker_id] = truth.damaged[host.broker_id] = how
        for seen in [seen for seen in self._seen if seen[0] == host.broker_id]:
            del self._seen[seen]

    def still_damaged(self, key: Key) -> dict[int, str]:
        """Replicas that have lost records and are not yet back among those in sync, with everything."""
        truth = self.truth(key)
        for broker_id in list(truth.damaged):
            if broker_id not in truth.replicas:
                # What it has is not asked for any more; should it come back, it begins with nothing that counts.
                del truth.damaged[broker_id]
                continue
            store, node = self.hosts[broker_id].disk.stores.get(key), truth.node
            if store is not None and store.topic_id != truth.topic_id:
                store = None
            # A deposed leader may still commit what this one had before its loss; so it must have been looked at since.
            known = self.lost_at[broker_id] < self.registered.get(broker_id, 0.0) < truth.written
            trusted = node is not None and broker_id in node.isr and broker_id not in node.suspects
            if known and trusted and store is not None and store.end >= truth.end:
                del truth.damaged[broker_id]
                truth.poor.pop(broker_id, None)
        return truth.damaged

    def restarted(self, host: Host) -> None:
        """Notes that a broker has lost its state in memory."""
        for truth in self.current.values():
            if truth.node is not None and truth.node.isr == (host.broker_id,) and not host.disk.clean:
                self.world.meet("last in-sync replica restarts")
        for seen in [seen for seen in self._seen if seen[0] == host.broker_id]:
            del self._seen[seen]

    # Checks at the end of a run.

    def check_folds(self) -> None:
        """What is derived from a log is what its batches make."""
        for host in self.hosts.values():
            if host.broker is None or host.broker.replication is None:
                continue
            for key, hosted in host.broker.replication.partitions.hosted.items():
                log = hosted.log
                entries, wanted = log.producers.entries, fold(log.store.removed + log.batches).entries
                if entries != wanted:
                    self.fail("ProducersAreAFold", "%s on %d: %s, not %s", key, host.broker_id, entries, wanted)
                start = max(log.log_start_offset, log.store.known_from)
                for batch in log.batches:
                    if batch.next > start and log.epochs.epoch_for(max(batch.base, start)) != batch.epoch:
                        self.fail(
                            "EpochsAreAFold", "%s on %d: %s, but %r", key, host.broker_id, log.epochs.entries, batch
                        )
