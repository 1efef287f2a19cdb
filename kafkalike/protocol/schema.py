"""How a message is declared: structs whose fields have version ranges.

    class FetchPartition(Struct):
        partition = int32()
        current_leader_epoch = int32("9+", default=-1, ignorable=True)
        fetch_offset = int64()

    class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
        topics = array(FetchTopic)

The order of the fields is their order on the wire; fields.py says what a field can say. A declared class is an
ordinary slotted value: keyword constructor, equality, repr. One object stands for every version; `compiler.py` turns
the declaration into a reader and a writer per (message, version) when that version is first met.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error as StructError
from typing import Any, ClassVar, TypeVar

from kafkalike.errors import ProtocolError
from kafkalike.protocol.compiler import compile_constructor, compile_reader, compile_writer
from kafkalike.protocol.fields import NEVER, Field, Kind, Range, StructType

boolean = Kind("boolean", "?", 1, False)
int8 = Kind("int8", "b", 1, 0)
int16 = Kind("int16", "h", 2, 0)
uint16 = Kind("uint16", "H", 2, 0)
int32 = Kind("int32", "i", 4, 0)
uint32 = Kind("uint32", "I", 4, 0)
int64 = Kind("int64", "q", 8, 0)
float64 = Kind("float64", "d", 8, 0.0)
uuid = Kind("uuid", "16s", 16, bytes(16))
string = Kind("string", "", 0, "")
binary = Kind("binary", "", 0, b"")
records = Kind("records", "", 0, None)


def array(
    of: Kind | type[Struct],
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: Any = ...,
    ignorable: bool = False,
    tag: int | None = None,
) -> Any:
    """A field that holds a list; its default is an empty one, or None."""
    return Field(of, True, versions, nullable, default, ignorable, tag)


def nested(
    of: type[Struct],
    versions: str = "0+",
    *,
    nullable: str | None = None,
    default: Any = ...,
    ignorable: bool = False,
    tag: int | None = None,
) -> Any:
    """A field that holds one struct; its default is that struct with its own defaults, or None."""
    return Field(of, False, versions, nullable, default, ignorable, tag)


S = TypeVar("S", bound="Struct")
M = TypeVar("M", bound="Message")


class Struct(metaclass=StructType):
    """The values that travel: base of every declared struct."""

    def __init__(self, **values: Any) -> None:
        # The constructor is generated when a class is first used: most structs of a module are never built.
        cls = type(self)
        cls.__init__ = compile_constructor(cls)  # type: ignore[method-assign]
        self.__init__(**values)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in type(self).fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Shows the fields that differ from their defaults."""
        default = type(self)()
        values = [(field.name, getattr(self, field.name)) for field in type(self).fields]
        shown = [f"{name}={value!r}" for name, value in values if value != getattr(default, name)]
        return f"{type(self).__name__}({', '.join(shown)})"


class _ByVersion(dict[int, Any]):
    """Generated functions of one message, made when first asked for."""

    __slots__ = ("compile", "message")

    def __init__(self, message: type[Message], compile: Callable[[type[Message], int], Any]) -> None:
        self.message = message
        self.compile = compile

    def __missing__(self, version: int) -> Any:
        first, last = self.message.versions
        if not first <= version <= last:
            raise ProtocolError(f"{self.message.title} has no version {version}")
        made = self[version] = self.compile(self.message, version)
        return made


class Message(Struct):
    """A struct that travels on its own, in `versions`; from version `flexible` on in compact form with tags."""

    versions: ClassVar[Range]
    flexible: ClassVar[int]
    title: ClassVar[str]
    _readers: ClassVar[_ByVersion]
    _writers: ClassVar[_ByVersion]

    def __init_subclass__(cls, versions: Range, flexible: int = NEVER) -> None:
        cls.versions = versions
        cls.flexible = flexible
        cls.title = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
        cls._readers = _ByVersion(cls, compile_reader)
        cls._writers = _ByVersion(cls, compile_writer)

    @classmethod
    def decode(cls: type[M], version: int, buf: bytes | memoryview, pos: int = 0, exact: bool = True) -> M:
        """The message that fills `buf` from `pos` to its end; ProtocolError if there is less, and, when `exact`,
        if there is more."""
        end = len(buf)
        try:
            message, pos = cls._readers[version](buf, pos, end)
        except (ValueError, IndexError, StructError) as why:
            raise ProtocolError(f"{cls.title} v{version}: {why}") from why
        if exact and pos != end:
            raise ProtocolError(f"{cls.title} v{version}: {end - pos} bytes too many")
        return message  # type: ignore[no-any-return]

    def encode(self, version: int) -> bytes:
        """The body, without any header; KafkaError(UNSUPPORTED_VERSION) if `version` cannot carry a value."""
        return b"".join(self._writers[version](self, []))

    def encode_chunks(self, version: int) -> list[Any]:
        """Like encode, but a `records` value that is no bytes, only has a `.size`, stays itself in the list."""
        apart: list[int] = []
        pieces = self._writers[version](self, apart)
        if not apart:
            return [b"".join(pieces)]
        chunks = []
        start = 0
        for at in apart:
            chunks += [b"".join(pieces[start:at]), pieces[at]]
            start = at + 1
        if start < len(pieces):
            chunks.append(b"".join(pieces[start:]))
        return chunks
