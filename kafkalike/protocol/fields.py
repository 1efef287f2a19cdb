"""What the fields of a declared message are, for those who declare them (schema.py) and for the compiler.

A field says
    versions   where it exists; elsewhere it reads as its default
    nullable   the versions in which None may be sent
    default    what an unset field holds; for numbers 0, strings "", arrays [], records None, a nested struct itself
    ignorable  a version without the field may drop a value; otherwise encoding it raises UNSUPPORTED_VERSION
    tag        it travels in the tagged section, and only when it differs from its default
"""

from __future__ import annotations

from typing import Any

# The first flexible version of a message that has none.
NEVER = 32767

Range = tuple[int, int]


def parse_range(text: str) -> Range:
    """ "3+", "3" or "3-5" as (first, last)."""
    if text.endswith("+"):
        return int(text[:-1]), NEVER
    first, _, last = text.partition("-")
    return int(first), int(last or first)


class Field:
    """One line of a declaration; `of` is a Kind or a struct class, `many` says that it is an array of those."""

    __slots__ = ("default", "ignorable", "many", "name", "nullable", "of", "tag", "versions")

    def __init__(
        self, of: Any, many: bool, versions: str, nullable: str | None, default: Any, ignorable: bool, tag: int | None
    ) -> None:
        self.name = ""
        self.of = of
        self.many = many
        self.versions = parse_range(versions)
        self.nullable = parse_range(nullable) if nullable else None
        self.default = default
        self.ignorable = ignorable
        self.tag = tag

    @property
    def is_struct(self) -> bool:
        return not isinstance(self.of, Kind)

    def exists_in(self, version: int) -> bool:
        return self.versions[0] <= version <= self.versions[1]

    def nullable_in(self, version: int) -> bool:
        return self.nullable is not None and self.nullable[0] <= version <= self.nullable[1]


class Kind:
    """A scalar type; called, it declares a field of that type. `form` is its struct format, "" for variable length."""

    __slots__ = ("default", "form", "name", "size")

    def __init__(self, name: str, form: str, size: int, default: Any) -> None:
        self.name = name
        self.form = form
        self.size = size
        self.default = default

    def __call__(
        self,
        versions: str = "0+",
        *,
        nullable: str | None = None,
        default: Any = ...,
        ignorable: bool = False,
        tag: int | None = None,
    ) -> Any:
        return Field(self, False, versions, nullable, self.default if default is ... else default, ignorable, tag)


class StructType(type):
    """Makes a declaration into a slotted class with `fields`."""

    fields: tuple[Field, ...]
    # Messages also have the name that errors call them by, and their first flexible version.
    title: str
    flexible: int

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any], **options: Any) -> StructType:
        fields = []
        for key, field in list(members.items()):
            if isinstance(field, Field):
                field.name = key
                fields.append(field)
                del members[key]
        members["__slots__"] = tuple(field.name for field in fields)
        cls = super().__new__(mcs, name, bases, members, **options)
        cls.fields = tuple(fields)
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, members)
