"""The gates that every request passes, a function each, in this order:

    principal   who is calling
    access      whether they may, by the table ACCESS of the API's module
    quota       how long the client is to be held back
    (the API's handler)
    throttle    holds the client back, and says so in the answer

Which gates there are is decided once, when the broker is built (`configured`). Without any, dispatch makes plain calls,
and no request pays for a gate. With some it makes `Gated` calls, and the fast path is not taken, for they look at the
decoded request. What a request takes is no gate's matter: each is measured, in line (request_metrics.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from kafkalike.broker.access import (
    ANONYMOUS,
    CLUSTER_NAME,
    REFUSED,
    Access,
    Authorizer,
    Operation,
    Resource,
    refusals,
)
from kafkalike.broker.request import NO_RESPONSE, Call, Client
from kafkalike.errors import KafkaError
from kafkalike.protocol.schema import Message


class Quotas(Protocol):
    """Counts what clients use, and says how long they are throttled."""

    def throttle_ms(self, call: Gated) -> int:
        """Counts this request; how long its client has to be held back for all that it used."""

    def mute(self, connection: Client, throttle_ms: int) -> None:
        """Nothing more is read from this client for so long."""


class Gates(NamedTuple):
    """The functions of the configured gates, by where they stand."""

    before: tuple[Callable[[Gated], None], ...] = ()  # a KafkaError refuses the request
    after: tuple[Callable[[Gated, Any], None], ...] = ()  # with the response, or None


NO_GATES = Gates()


def configured(authorizer: Authorizer | None = None, quotas: Quotas | None = None) -> Gates:
    """The gates for what there is."""
    before: list[Callable[[Gated], None]] = []
    after: list[Callable[[Gated, Any], None]] = []
    if authorizer is not None or quotas is not None:
        before.append(principal)
    if authorizer is not None:
        before.append(access(authorizer))
        after.append(refused)
    if quotas is not None:
        before.append(quota(quotas))
    if quotas is not None:
        after.append(throttle(quotas))
    return Gates(tuple(before), tuple(after))


# The gates


def principal(call: Gated) -> None:
    """The principal that the connection has authenticated."""
    call.principal = getattr(call.connection, "principal", ANONYMOUS)


def access(authorizer: Authorizer) -> Callable[[Gated], None]:
    """Refuses what the authorizer does not allow: the request, or elements of it, which the handler does not see."""

    def may(call: Gated, operation: Operation, resource: Resource, name: str | None) -> bool:
        return name is None or authorizer.allows(call.principal, call.connection.peer, operation, resource, name)

    def gate(call: Gated) -> None:
        for row in call.api.access:
            if not row.counts(call.version, call.request):
                continue
            if row.or_cluster is not None and may(call, row.or_cluster, Resource.CLUSTER, CLUSTER_NAME):
                continue
            if row.each:
                elements = getattr(call.request, row.each) or []
                verdicts = [
                    (row.which is not None and not row.which(each))
                    or may(call, row.operation, row.resource, _name(call, row, each))
                    for each in elements
                ]
                if not all(verdicts):
                    _set_aside(call, row, list(zip(elements, verdicts, strict=True)))
            elif not may(call, row.operation, row.resource, _name(call, row, call.request)):
                raise KafkaError(REFUSED[row.resource])

    return gate


def quota(quotas: Quotas) -> Callable[[Gated], None]:
    """Counts the request for its client."""

    def gate(call: Gated) -> None:
        call.throttle_ms = quotas.throttle_ms(call)

    return gate


def refused(call: Gated, response: Any) -> None:
    """Joins the refusals of single elements to the response for the others; a client that expects none is told by the
    end of its connection, as it is of every error."""
    parts, call.refusals = call.refusals, []
    if response is None:
        if parts:
            call.connection.close()
        return
    for part in parts:
        for field in type(response).fields:
            if field.many and getattr(part, field.name):
                getattr(response, field.name).extend(getattr(part, field.name))


def throttle(quotas: Quotas) -> Callable[[Gated, Any], None]:
    """Tells the client how long it is held back, and holds it back."""

    def gate(call: Gated, response: Any) -> None:
        if call.throttle_ms > 0:
            if response is not None:
                response.throttle_time_ms = max(response.throttle_time_ms, call.throttle_ms)
            quotas.mute(call.connection, call.throttle_ms)

    return gate


def _name(call: Gated, row: Access, holder: Any) -> str | None:
    """The name of the resource; None when there is none, as with an unknown topic id."""
    if row.resource is Resource.CLUSTER:
        return CLUSTER_NAME
    name: str | None = getattr(holder, row.name) if row.name else holder
    if not name and row.resource is Resource.TOPIC and hasattr(holder, "topic_id"):
        name = call.broker.metadata.image.names.get(bytes(holder.topic_id))
    return name


def _set_aside(call: Gated, row: Access, verdicts: list[tuple[Any, bool]]) -> None:
    """Takes the elements that are refused out of the request, and has their part of the response made."""
    error = REFUSED[row.resource]
    denied = [element for element, allowed in verdicts if not allowed]
    whole, rest = call.request, copy.copy(call.request)
    setattr(rest, row.each, [element for element, allowed in verdicts if allowed])
    if call.api.failed is None:
        call.refusals.append(refusals(call.api.response, call.version, denied, error))
    else:
        call.request = copy.copy(whole)
        setattr(call.request, row.each, denied)
        call.refusals.append(call.api.failed(call, KafkaError(error)))
    call.request = rest


class Gated(Call[Any]):
    """A request that passes gates, and what they know of it."""

    gates: Gates

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        self.principal = ANONYMOUS
        self.throttle_ms = 0
        self.refusals: list[
            Message
        ] = []  # responses for elements that are refused, until they are joined to the response

    def run(self) -> None:
        """Passes the gates before the handler, and the handler."""
        try:
            for gate in self.gates.before:
                gate(self)
        except Exception as problem:
            self._fail(problem)
            return
        super().run()

    def _answer(self, response: Any) -> None:
        if response is not NO_RESPONSE:
            for gate in self.gates.after:
                gate(self, response)
        super()._answer(response)

    def _answer_nothing(self) -> None:
        for gate in self.gates.after:
            gate(self, None)
        super()._answer_nothing()


def call_class(gates: Gates) -> type[Call[Any]]:
    """What dispatch makes of frames: calls that pass these gates; plain ones when there are none."""
    return Call if gates == NO_GATES else type("GatedCall", (Gated,), {"gates": gates})
