"""What a request needs to be allowed: the table ACCESS that each module of `broker/apis/` declares.

A row names an operation and a kind of resource, in Kafka's words and with Kafka's codes, and says where the request has
the resource's name. The gate `access` (gates.py) asks the authorizer row by row. A row about the cluster or about one
resource refuses the whole request; a row about each element of a list refuses the elements by themselves, and the
others are served.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from kafkalike.errors import Error
from kafkalike.protocol.schema import Message, Struct, string

CLUSTER_NAME = "kafka-cluster"  # the name of the one resource of the kind CLUSTER
ANONYMOUS = "User:ANONYMOUS"  # the principal of a connection that has not said who it is
LAST_VERSION = 32767


class Operation(IntEnum):
    """What a principal may be allowed to do."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Resource(IntEnum):
    """A resource of a request: its type and name."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


# The error of a request, or of an element, that is refused.
REFUSED = {
    Resource.TOPIC: Error.TOPIC_AUTHORIZATION_FAILED,
    Resource.GROUP: Error.GROUP_AUTHORIZATION_FAILED,
    Resource.CLUSTER: Error.CLUSTER_AUTHORIZATION_FAILED,
    Resource.TRANSACTIONAL_ID: Error.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


class Access(NamedTuple):
    """One row of the table: an operation on a resource. Without `name` and `each` the resource is the cluster."""

    operation: Operation
    resource: Resource = Resource.CLUSTER
    name: str = ""  # the field that has the resource's name: of the request, or of an element of `each`
    each: str = ""  # the request's list of which each element is allowed or refused; without `name` it lists the names
    versions: tuple[int, int] = (0, LAST_VERSION)  # of the API, in which the row counts
    when: Callable[[Any], bool] | None = None  # whether the row counts for this request
    which: Callable[[Any], bool] | None = None  # the elements of `each` that the row is about, when not all
    or_cluster: Operation | None = None  # who may do this with the cluster needs no leave for the resource

    def counts(self, version: int, request: Any) -> bool:
        """Whether the row is about this request."""
        first, last = self.versions
        return first <= version <= last and (self.when is None or self.when(request))


def refusals(response: type[Message], version: int, elements: Sequence[Any], error: Error) -> Message:
    """The part of a response that tells an error for each of these elements of a request, and for each partition that
    an element names: as the two messages are declared, for an API whose module does not say it (`failed`)."""
    answer = response()
    lists = (field for field in response.fields if field.many and field.is_struct)
    field = next(field for field in lists if field.exists_in(version))
    setattr(answer, field.name, [_refusal(field.of, element, error) for element in elements])
    return answer


def _refusal(struct: type[Struct], element: Any, error: Error) -> Struct:
    row = struct()
    for field in struct.fields:
        if isinstance(element, Struct) and hasattr(element, field.name) and not field.is_struct:
            setattr(row, field.name, getattr(element, field.name))
    if isinstance(element, str):
        setattr(row, next(field.name for field in struct.fields if field.of is string), element)
    index = element if isinstance(element, int) else getattr(element, "partition", None)
    for name in ("partition_index", "partition"):
        if index is not None and hasattr(row, name):
            setattr(row, name, index)
    if hasattr(row, "error_code"):
        row.error_code = int(error)
    else:
        deeper = next(field for field in struct.fields if field.many and field.is_struct)
        named = next(field.name for field in type(element).fields if field.many)
        setattr(row, deeper.name, [_refusal(deeper.of, each, error) for each in getattr(element, named) or ()])
    return row


class Authorizer(Protocol):
    """Decides what a principal is allowed."""

    def allows(self, principal: str, host: str, operation: Operation, resource: Resource, name: str) -> bool:
        """Whether `principal` on `host` may do this with the resource."""
