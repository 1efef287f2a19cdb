"""Connections between machines, as TCP makes them: in order, delayed, cut one way or both, broken with what they hold.

A cut holds packets back: they go on when it is healed, if both ends still have the connection by then. A process that
dies resets its connections, and so does a machine that is back for those of its life before; one that has lost power
says nothing. A port where nobody listens refuses; a machine that cannot be reached lets the caller wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from kafkalike.broker.request import Call
from kafkalike.errors import Error, ProtocolError
from kafkalike.net.peer import Peer
from tests.simulation.world import Machine, World

CLIENT, SERVER = 0, 1


class Wire:
    """One connection. Each end is an object with `deliver(payload)` and `lost(reason)`."""

    __slots__ = ("network", "machines", "lives", "ends", "open", "closed", "due", "stalled")

    def __init__(self, network: Network, client: Machine, server: Machine) -> None:
        self.network = network
        self.machines = (client, server)
        self.lives = (client.life, server.life)
        self.ends: list[Any] = [None, None]
        self.open = True
        self.closed = [False, False]
        self.due = [0.0, 0.0]
        self.stalled: tuple[deque[Any], deque[Any]] = (deque(), deque())
        network.wires[client][self] = None
        network.wires[server][self] = None

    def send(self, side: int, payload: Any) -> None:
        """Sends a payload from one side to the other."""
        if not self.open or self.closed[side] or self.machines[side].life != self.lives[side]:
            return
        self._carry(side, self._arrive, payload)

    def _carry(self, side: int, call: Callable[..., Any], *args: Any) -> None:
        network = self.network
        if self.machines[1 - side] in network.dark:
            return
        if self.stalled[side] or (self.machines[side].name, self.machines[1 - side].name) in network.cuts:
            self.stalled[side].append((call, args))
            return
        world = network.world
        due = world.now + network.delay()
        if due < self.due[side]:
            due = self.due[side]
        self.due[side] = due
        world.at_time(due, call, 1 - side, *args, machine=self.machines[1 - side])

    def flow(self) -> None:
        """A cut was healed: what it held back goes on."""
        for side in (CLIENT, SERVER):
            if (self.machines[side].name, self.machines[1 - side].name) not in self.network.cuts:
                held = list(self.stalled[side])
                self.stalled[side].clear()
                for call, args in held:
                    self._carry(side, call, *args)

    def _arrive(self, side: int, payload: Any) -> None:
        if self.closed[side]:
            return
        if self.lives[side] != self.machines[side].life:
            # The machine has restarted and does not know the connection.
            self.close(side)
        elif self.open and self.ends[side] is not None:
            self.ends[side].deliver(payload)

    def close(self, side: int) -> None:
        """Ends the connection from one side; the other side hears of it when all that was sent before has arrived."""
        if self.closed[side]:
            return
        self.closed[side] = True
        self._carry(side, self._reset)
        self._forget()

    def _reset(self, side: int) -> None:
        if self.closed[side] or self.lives[side] != self.machines[side].life:
            return
        self.closed[side] = True
        self._forget()
        self._lost(side)

    def _lost(self, side: int) -> None:
        if self.ends[side] is not None:
            self.ends[side].lost(Failure(error.ConnectionLost()))

    def snap(self) -> None:
        """Something between breaks it: what was in it is gone, and both sides hear of that."""
        if not self.open:
            return
        self.open = False
        self.network.broken += 1
        world = self.network.world
        for side in (CLIENT, SERVER):
            if not self.closed[side]:
                world.at(self.network.delay(), self._snapped, side, machine=self.machines[side])

    def _snapped(self, side: int) -> None:
        if not self.closed[side] and self.lives[side] == self.machines[side].life:
            self.closed[side] = True
            self._forget()
            self._lost(side)

    def _forget(self) -> None:
        if self.closed[CLIENT] and self.closed[SERVER]:
            for machine in self.machines:
                self.network.wires[machine].pop(self, None)


class Network:
    """Which machines reach which others, and how fast."""

    def __init__(self, world: World, delay_ms: tuple[float, float], spike: float, spike_ms: float) -> None:
        self.world = world
        self.cuts: set[tuple[str, str]] = set()
        self.wires: dict[Machine, dict[Wire, None]] = {}
        self.listeners: dict[tuple[str, int], Any] = {}
        self.hosts: dict[str, Machine] = {}
        self.dark: set[Machine] = set()  # without power
        self.broken = 0
        self.watcher: Any = None
        self.low, self.spread = delay_ms[0] / 1000, (delay_ms[1] - delay_ms[0]) / 1000
        self.spike, self.spike_s = spike, spike_ms / 1000

    def add(self, machine: Machine) -> None:
        """A machine, known by its name."""
        self.wires[machine] = {}
        self.hosts[machine.name] = machine

    def delay(self) -> float:
        """How long a packet is under way."""
        random = self.world.random.random
        if self.spike and random() < self.spike:
            return self.low + random() * self.spike_s
        return self.low + random() * self.spread

    def cut(self, source: str, target: str) -> None:
        """Nothing gets from `source` to `target` any more."""
        self.cuts.add((source, target))

    def heal(self, source: str | None = None, target: str | None = None) -> None:
        """Ends one cut, or all of them."""
        if source is None or target is None:
            self.cuts.clear()
        else:
            self.cuts.discard((source, target))
        for wires in list(self.wires.values()):
            for wire in list(wires):
                wire.flow()

    def reset(self, machine: Machine) -> None:
        """A process has died: its connections are reset."""
        for wire in list(self.wires[machine]):
            wire.close(0 if wire.machines[0] is machine else 1)

    def go_dark(self, machine: Machine) -> None:
        """Power is lost: nobody is told. The connections end for whoever sends into them once it is back."""
        self.dark.add(machine)

    def connect(self, client: Machine, host: str, port: int, timeout: float, end: Any) -> Deferred[Wire]:
        """A connection to whoever listens there; ConnectionRefusedError, or TimeoutError after `timeout`."""
        answer: Deferred[Wire] = Deferred(lambda _: None)
        server = self.hosts.get(host)
        world = self.world
        alarm = world.at(timeout / client.rate, self._give_up, answer, machine=client)
        if (
            server is None
            or server in self.dark
            or (client.name, host) in self.cuts
            or (host, client.name) in self.cuts
        ):
            return answer
        listener = self.listeners.get((host, port))
        if listener is None:
            world.at(2 * self.delay(), self._refuse, answer, alarm, machine=client)
            return answer
        wire = Wire(self, client, server)
        wire.ends[CLIENT] = end
        wire.ends[SERVER] = listener.end(wire)
        wire.due[CLIENT] = world.now + self.delay()
        wire.due[SERVER] = wire.due[CLIENT] + self.delay()
        world.at_time(wire.due[SERVER], self._connected, answer, alarm, wire, machine=client)
        return answer

    @staticmethod
    def _connected(answer: Deferred[Wire], alarm: Any, wire: Wire) -> None:
        alarm.cancel()
        if answer.called or wire.closed[CLIENT]:
            wire.close(CLIENT)
            if not answer.called:
                answer.errback(error.ConnectionLost())
        else:
            answer.callback(wire)

    @staticmethod
    def _refuse(answer: Deferred[Wire], alarm: Any) -> None:
        alarm.cancel()
        if not answer.called:
            answer.errback(error.ConnectionRefusedError())

    @staticmethod
    def _give_up(answer: Deferred[Wire]) -> None:
        if not answer.called:
            answer.errback(error.TimeoutError())


# Brokers' ends.


class SimPeer(Peer):
    """An outgoing connection of a broker: the real one, but objects travel instead of their bytes."""

    codec = False  # whether what the controller and its brokers say to each other goes through the codec all the same

    def request(self, message: Any, version: int, request: Any) -> Deferred[Any]:
        if self._closed:
            return fail(ConnectionError(f"the connection to {self} is closed"))
        if self.codec and message is not None and _plain(message):
            request = message.Request.decode(version, request.encode(version))
        answer: Deferred[Any] = Deferred()
        number = self._in_flight.add(message, version, answer)
        frame = (number, message, version, self._in_flight.client_id, request)
        self._start_timer()
        if self._connection is not None:
            self._connection.wire.send(CLIENT, frame)
        else:
            self._unsent.append(frame)  # type: ignore[arg-type]
            self._connect()
        return answer

    def deliver(self, payload: Any) -> None:
        """A response has come."""
        number, response = payload
        if not self._in_flight or self._connection is None:
            return
        correlation_id, message, version, answer = self._in_flight.complete_oldest()
        assert number == correlation_id, "answers come in order"
        if self.codec and message is not None and _plain(message):
            response = message.Response.decode(version, response.encode(version))
        self._since = self._reactor.seconds()
        answer.callback(response)

    def _connect(self) -> None:
        if self._connecting is not None:
            return
        machine = self._reactor.machine
        end = _Ended(self)
        connecting = NETWORK[0].connect(machine, self.host, self.port, self._connect_timeout, end)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._refused)

    def _connected(self, wire: Any) -> None:
        self._connecting = None
        transport = _Transport(wire)
        wire.ends[CLIENT].transport = transport
        if self._closed:
            wire.close(CLIENT)
            return
        self._connection = transport
        unsent, self._unsent = self._unsent, []
        for frame in unsent:
            wire.send(CLIENT, frame)


class SimEndpoint:
    """Twisted's HostnameEndpoint, as far as broker/peer_probe.py uses it."""

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = 30, attemptDelay: float = 0.3) -> None:
        self.machine = reactor.machine
        self.host, self.port, self.timeout = host, port, timeout


class _Probe:
    """The end of a connection through which nothing is ever sent."""

    transport: Any = None

    def deliver(self, payload: Any) -> None:
        """Nothing comes."""

    def lost(self, reason: Any) -> None:
        """Does nothing: this end does not listen for the end of its connection."""


def connect_protocol(endpoint: SimEndpoint, _: Any) -> Deferred[Any]:
    """Twisted's connectProtocol, for broker/peer_probe.py."""
    end = _Probe()

    def connected(wire: Wire) -> Any:
        end.transport = _Transport(wire)
        return end

    made = NETWORK[0].connect(endpoint.machine, endpoint.host, endpoint.port, endpoint.timeout, end)
    return made.addCallback(connected)


class _Ended:
    """The client's end of a wire; a peer may have another one by the time this one hears something."""

    __slots__ = ("peer", "transport")

    def __init__(self, peer: SimPeer) -> None:
        self.peer = peer
        self.transport: Any = None

    def deliver(self, payload: Any) -> None:
        if self.peer._connection is self.transport:
            self.peer.deliver(payload)

    def lost(self, reason: Any) -> None:
        if self.transport is not None:
            self.peer.lost(self.transport, reason)


class _Transport:
    """What Peer looks at of its connection."""

    __slots__ = ("wire", "transport")

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.transport = self

    def abortConnection(self) -> None:
        self.abort()

    def abort(self) -> None:
        wire = self.wire
        if not wire.closed[CLIENT]:
            wire.close(CLIENT)
            # As with Twisted, the connection is made after the caller has returned.
            wire.network.world.at(0, wire._lost, CLIENT, machine=wire.machines[CLIENT])


class SimCall(Call):
    """A call whose answer is not encoded."""

    __slots__ = ()

    def _answer(self, response: Any) -> None:
        self.answer = [response]
        self.connection.answered()


class Question:
    """What a client asks a broker outside of Kafka's protocol: a function of the broker."""

    __slots__ = ("connection", "correlation_id", "answer", "_broker", "_look")

    def __init__(self, connection: Any, correlation_id: int, broker: Any, look: Callable[[Any], Any]) -> None:
        self.connection = connection
        self.correlation_id = correlation_id
        self.answer: list[Any] | None = None
        self._broker = broker
        self._look = look

    def run(self) -> None:
        self.answer = [self._look(self._broker)]
        self.connection.answered()


class ServerEnd:
    """An accepted connection. Only produce requests overlap, as in net/connection.py."""

    def __init__(self, server: SimServer, wire: Wire) -> None:
        self.listener = server.listener
        self.received_at = 0.0
        self.peer = wire.machines[CLIENT].name
        self._server = server
        self._wire = wire
        self._waiting: deque[Any] = deque()
        self._running: deque[Any] = deque()
        server.connections[self] = None

    def deliver(self, payload: Any) -> None:
        number, message, version, client_id, request = payload
        broker = self._server.dispatch._broker
        if message is None:
            self._waiting.append(Question(self, number, broker, request))
        else:
            api = self._server.dispatch.apis.get(message.API_KEY)
            if api is None:
                self.close()
                return
            self._waiting.append(SimCall(broker, self, api, version, number, client_id, request))
        if self._server.accepting:
            self.go_on()

    def go_on(self) -> None:
        """Starts what may start."""
        while self._waiting:
            call, running = self._waiting[0], self._running
            if running and not (_produces(call) and _produces(running[-1])):
                return
            running.append(self._waiting.popleft())
            call.run()

    def answered(self) -> None:
        """Sends what is answered, in the order in which it was asked."""
        while self._running and self._running[0].answer is not None:
            call = self._running.popleft()
            if call.answer:
                self._look(call)
                self._wire.send(SERVER, (call.correlation_id, call.answer[0]))
        if not self._running:
            self.go_on()

    def _look(self, call: Any) -> None:
        code = getattr(call.answer[0], "error_code", 0)
        if isinstance(call, SimCall) and call.api.name in ORDERS:
            network = self._wire.network
            network.watcher.ordered(self._wire.machines[SERVER], call.api.name, call.request, code)
        if code == Error.STALE_CONTROLLER_EPOCH:
            self._wire.network.world.meet("order of an old controller refused")
        elif code == Error.STALE_BROKER_EPOCH:
            self._wire.network.world.meet("order for an old life refused")
        elif isinstance(call, SimCall) and call.api.name in WATCHED:
            for partition in WATCHED[call.api.name](call.answer[0]):
                situation = MET.get((call.api.name, partition.error_code))
                if situation is not None:
                    self._wire.network.world.meet(situation)

    def close(self) -> None:
        self._wire.close(SERVER)
        self.lost(None)

    abort = close

    def lost(self, reason: Any) -> None:
        self._server.connections.pop(self, None)
        self._waiting.clear()


class SimServer:
    """net/server.py's Server, as far as the broker looks at it."""

    def __init__(self, listener: str, begin: Callable[..., Any], *_: Any, **__: Any) -> None:
        self.listener = listener
        self.dispatch: Any = begin.__self__  # type: ignore[attr-defined]
        self.accepting = False
        self.connections: dict[ServerEnd, None] = {}

    def abort_all(self) -> None:
        for end in list(self.connections):
            end.abort()

    def abort_senders(self, concerns: Any) -> None:
        """Answers leave at once here: nobody is ever in the middle of sending."""


class SimListener:
    """net/listener.py's Listener."""

    def __init__(self, reactor: Any, server: SimServer, host: str, port: int, *_: Any) -> None:
        self.server = server
        self.host = host
        self.port = port
        self._network = NETWORK[0]

    def listen(self) -> None:
        self._network.listeners[self.host, self.port] = self

    def end(self, wire: Wire) -> ServerEnd:
        """The broker's end of a new connection."""
        return ServerEnd(self.server, wire)

    def accept(self) -> None:
        self.server.accepting = True
        for end in list(self.server.connections):
            end.go_on()

    def close(self) -> None:
        if self._network.listeners.get((self.host, self.port)) is self:
            del self._network.listeners[self.host, self.port]


ORDERS = ("LeaderAndIsr", "UpdateMetadata", "StopReplica")
# Answers that are looked at, and what their errors mean.
WATCHED: dict[str, Callable[[Any], list[Any]]] = {
    "Fetch": lambda response: [p for topic in response.responses for p in topic.partitions],
    "AlterPartition": lambda response: [p for topic in response.topics for p in topic.partitions],
}
MET = {
    ("Fetch", Error.FENCED_LEADER_EPOCH): "deposed leader is told",
    ("Fetch", Error.UNKNOWN_LEADER_EPOCH): "deposed leader is told",
    ("AlterPartition", Error.INELIGIBLE_REPLICA): "expansion refused",
}

# The network of the run that is under way: the product makes connections without being told where it is.
NETWORK: list[Network] = []


def _produces(call: Any) -> bool:
    return isinstance(call, SimCall) and call.api.key == 0


def _plain(message: Any) -> bool:
    """Whether the message carries no records, which here are objects."""
    return message.NAME not in ("Fetch", "Produce")


__all__ = ["CLIENT", "NETWORK", "SERVER", "Network", "ProtocolError", "SimListener", "SimPeer", "SimServer", "Wire"]
