"""Turns the declarations of `schema.py` into Python functions, one reader and one writer per (message, version).

The generated source is straight-line: nested structs are inlined, every run of fields of fixed size, with the length
that ends it, is one call of a precompiled `struct`, and what a version lacks is set to its default. Reading a produce
request this way takes about three microseconds; walking the declaration at run time would take thirty.

A reader trusts nothing: a count is compared with the bytes left, divided by the least size of an element, before
anything is allocated; a length with the bytes left; a tagged field must fill its size exactly. It raises ValueError,
IndexError or struct.error, which Message.decode translates.

To see what is generated: `print(reader_source(Request, 12)[0])`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import Struct as Form
from typing import Any, NoReturn

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.fields import Field, StructType
from kafkalike.protocol.primitives import LENIENT, read_uvarint, write_uvarint

UNSET = object()


def compile_constructor(cls: StructType) -> Callable[..., None]:
    """`__init__` with one keyword argument per field."""
    source = _Source(0, False)
    source.names.update(UNSET=UNSET, new=object.__new__)
    arguments = ["self"]
    for field in cls.fields:
        if field.default is ...:
            arguments.append(f"{field.name}=UNSET")
            with source.block(f"if {field.name} is UNSET:"):
                source.default(field, f"self.{field.name}")
            source.emit(f"else: self.{field.name} = {field.name}")
        else:
            arguments.append(f"{field.name}={field.default!r}")
            source.emit(f"self.{field.name} = {field.name}")
    if cls.fields:
        arguments.insert(1, "*")
    text = f"def __init__({', '.join(arguments)}):\n" + "\n".join(source.lines or ["    pass"])
    exec(compile(text, f"<{cls.__module__}.{cls.__name__}>", "exec"), source.names)
    return source.names["__init__"]  # type: ignore[no-any-return]


def compile_reader(message: StructType, version: int) -> Callable[[Any, int, int], tuple[Any, int]]:
    """read(buf, pos, end) -> (object, pos)"""
    source, names = reader_source(message, version)
    exec(compile(source, f"<read {message.title} v{version}>", "exec"), names)
    return names["read"]  # type: ignore[no-any-return]


def compile_writer(message: StructType, version: int) -> Callable[[Any, list[int]], list[Any]]:
    """write(object, apart) -> pieces; `apart` is filled with the indexes of pieces that are no bytes"""
    source, names = writer_source(message, version)
    exec(compile(source, f"<write {message.title} v{version}>", "exec"), names)
    return names["write"]  # type: ignore[no-any-return]


def least_size(field: Field, version: int, flexible: bool) -> int:
    """The fewest bytes that one element of the field's type can take."""
    if field.is_struct:
        inside = (f for f in field.of.fields if f.exists_in(version) and f.tag is None)
        return sum(_least_field(f, version, flexible) for f in inside) + flexible
    if field.of.form:
        return int(field.of.size)
    if flexible:
        return 1
    return 2 if field.of.name == "string" else 4


def _least_field(field: Field, version: int, flexible: bool) -> int:
    if field.many:
        return 1 if flexible else 4
    if field.is_struct and field.nullable_in(version):
        return 1
    return least_size(field, version, flexible)


class _Run(dict[int, Any]):
    """The struct methods for arrays of numbers, one for each length, which are kept for short arrays."""

    __slots__ = ("form", "head", "verb")

    def __init__(self, verb: str, head: str, form: str) -> None:
        self.verb, self.head, self.form = verb, head, form

    def __missing__(self, count: int) -> Any:
        form = self.form * count if len(self.form) > 1 else f"{count}{self.form}"
        made = getattr(Form(">" + self.head + form), self.verb)
        if count <= 64:
            self[count] = made
        return made


class _Source:
    """Lines under construction, the objects they refer to, and the run of fixed-size values not yet emitted."""

    def __init__(self, version: int, flexible: bool) -> None:
        self.version = version
        self.flexible = flexible
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.depth = 1
        self.counter = 0
        self.pending: list[tuple[str, str]] = []

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.emit(head)
        self.depth += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.emit("pass")
        self.depth -= 1

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    def known(self, prefix: str, value: Any, key: str) -> str:
        """A global name for `value`."""
        name = f"{prefix}_{key}"
        self.names[name] = value
        return name

    def default(self, field: Field, target: str) -> None:
        if field.default is not ...:
            self.emit(f"{target} = {field.default!r}")
        elif field.many:
            self.emit(f"{target} = []")
        else:
            variable = self.fresh("o")
            self.emit(f"{target} = {variable} = new({self.known('class', field.of, field.of.__name__)})")
            for inner in field.of.fields:
                self.default(inner, f"{variable}.{inner.name}")

    def form(self, verb: str, form: str) -> str:
        return self.known(verb, getattr(Form(">" + form), verb), form.replace("?", "o"))

    def run(self, verb: str, head: str, form: str) -> str:
        return self.known("run_" + verb, _Run(verb, head, form), f"{head}_{form.replace('?', 'o')}")

    def take(self) -> list[tuple[str, str]]:
        pending, self.pending = self.pending, []
        return pending


# Reading


def reader_source(message: StructType, version: int) -> tuple[str, dict[str, Any]]:
    source = _Reader(version, version >= message.flexible)
    source.names.update(new=object.__new__, uvarint=read_uvarint, short=_short, null=_null)
    source.emit("view = memoryview(buf)")
    source.struct(message, "o")
    source.flush()
    source.emit("return o, pos")
    return "def read(buf, pos, end):\n" + "\n".join(source.lines) + "\n", source.names


def _short(what: str) -> NoReturn:
    raise ValueError(f"{what} exceeds the message")


def _null(what: str) -> NoReturn:
    raise ValueError(f"{what} is null")


class _Reader(_Source):
    def flush(self) -> None:
        pending = self.take()
        if len(pending) == 1 and pending[0][1] == "B":
            self.emit(f"{pending[0][0]} = buf[pos]")
            self.emit("pos += 1")
        elif pending:
            form = "".join(form for _, form in pending)
            targets = ", ".join(target for target, _ in pending) + ("," if len(pending) == 1 else "")
            self.emit(f"{targets} = {self.form('unpack_from', form)}(buf, pos)")
            self.emit(f"pos += {Form('>' + form).size}")

    def struct(self, cls: StructType, target: str) -> None:
        """Reads a struct into a new variable or attribute."""
        variable = target if target.isidentifier() else self.fresh("o")
        self.emit(f"{variable} = new({self.known('class', cls, cls.__name__)})")
        if variable != target:
            self.emit(f"{target} = {variable}")
        for field in cls.fields:
            if not field.exists_in(self.version) or field.tag is not None:
                self.default(field, f"{variable}.{field.name}")
            else:
                self.field(field, f"{variable}.{field.name}")
        if self.flexible:
            self.tags(cls, variable)

    def field(self, field: Field, target: str) -> None:
        nullable = field.nullable_in(self.version)
        if field.many:
            self.array(field, target, nullable)
        elif field.is_struct:
            if nullable:
                self.pending.append((present := self.fresh("n"), "b"))
                self.flush()
                with self.block(f"if {present} < 0:"):
                    self.emit(f"{target} = None")
                with self.block("else:"):
                    self.struct(field.of, target)
                    self.flush()
            else:
                self.struct(field.of, target)
        elif field.of.form:
            self.pending.append((target, field.of.form))
        else:
            self.blob(field.of.name, field.name, target, nullable)

    def length(self, classic: str) -> str:
        """Reads a length or count into a variable: -1 or less for null."""
        count = self.fresh("n")
        self.pending.append((count, "B" if self.flexible else classic))
        self.flush()
        if self.flexible:
            with self.block(f"if {count} > 127:"):
                self.emit(f"{count}, pos = uvarint(buf, pos - 1)")
            self.emit(f"{count} -= 1")
        return count

    def null(self, name: str, target: str, nullable: bool, count: str) -> None:
        with self.block(f"if {count} < 0:"):
            if nullable and not self.flexible:
                self.emit(f"if {count} != -1: short({name!r})")
            self.emit(f"{target} = None" if nullable else f"null({name!r})")

    def blob(self, kind: str, name: str, target: str, nullable: bool) -> None:
        count = self.length("h" if kind == "string" else "i")
        self.null(name, target, nullable, count)
        with self.block("else:"):
            self.emit(f"stop = pos + {count}")
            self.emit(f"if stop > end: short({name!r})")
            if kind == "string":
                self.emit(f"{target} = str(buf[pos:stop], 'utf-8', {LENIENT!r})")
            else:
                self.emit(f"{target} = view[pos:stop]")
            self.emit("pos = stop")

    def array(self, field: Field, target: str, nullable: bool) -> None:
        count = self.length("i")
        self.null(field.name, target, nullable, count)
        with self.block("else:"):
            least = least_size(field, self.version, self.flexible)
            assert least > 0, field.name
            if not field.is_struct and field.of.form:
                self.emit(f"stop = pos + {count} * {least}")
                self.emit(f"if stop > end: short({field.name!r})")
                self.emit(f"{target} = list({self.run('unpack_from', '', field.of.form)}[{count}](buf, pos))")
                self.emit("pos = stop")
                return
            items = self.fresh("a")
            self.emit(f"if {count} * {least} > end - pos: short({field.name!r})")
            self.emit(f"{target} = {items} = []")
            with self.block(f"for _ in range({count}):"):
                item = self.fresh("o")
                if field.is_struct:
                    self.struct(field.of, item)
                    self.flush()
                else:
                    self.blob(field.of.name, field.name, item, False)
                self.emit(f"{items}.append({item})")

    def tags(self, cls: StructType, variable: str) -> None:
        """The tagged section: known tags are read, unknown ones skipped."""
        known = [f for f in cls.fields if f.tag is not None and f.exists_in(self.version)]
        count, tag, size, stop = self.fresh("n"), self.fresh("tag"), self.fresh("size"), self.fresh("stop")
        self.pending.append((count, "B"))
        self.flush()
        with self.block(f"if {count}:"):
            self.emit(f"if {count} > 127: {count}, pos = uvarint(buf, pos - 1)")
            with self.block(f"for _ in range({count}):"):
                self.emit(f"{tag}, pos = uvarint(buf, pos)")
                self.emit(f"{size}, pos = uvarint(buf, pos)")
                self.emit(f"{stop} = pos + {size}")
                self.emit(f"if {stop} > end: short('a tagged field')")
                word = "if"
                for field in known:
                    with self.block(f"{word} {tag} == {field.tag}:"):
                        self.field(field, f"{variable}.{field.name}")
                        self.flush()
                        self.emit(f"if pos != {stop}: short({field.name!r})")
                    word = "elif"
                self.emit(f"pos = {stop}")


# Writing


def writer_source(message: StructType, version: int) -> tuple[str, dict[str, Any]]:
    source = _Writer(version, version >= message.flexible)

    def lost(name: str) -> NoReturn:
        raise KafkaError(Error.UNSUPPORTED_VERSION, f"{message.title} v{version} cannot carry {name}")

    source.names.update(uvarint=write_uvarint, lost=lost)
    source.emit("out = []")
    source.emit("w = out.append")
    source.struct(message, "o")
    source.flush()
    source.emit("return out")
    return "def write(o, apart):\n" + "\n".join(source.lines) + "\n", source.names


class _Writer(_Source):
    def flush(self) -> None:
        if pending := self.take():
            self.emit(f"w({self.packed(pending)})")

    def packed(self, pending: list[tuple[str, str]]) -> str:
        """An expression for the bytes of fixed-size values; format x, a zero byte, takes no value."""
        form = "".join(form for _, form in pending)
        values = [value for value, form in pending if form != "x"]
        return f"{self.form('pack', form)}({', '.join(values)})" if values else repr(bytes(len(form)))

    def struct(self, cls: StructType, value: str) -> None:
        for field in cls.fields:
            if not field.exists_in(self.version):
                if not field.ignorable:
                    self.emit(f"if {self.differs(field, f'{value}.{field.name}')}: lost({field.name!r})")
            elif field.tag is None:
                self.field(field, f"{value}.{field.name}")
        if self.flexible:
            self.tags(cls, value)

    def differs(self, field: Field, value: str) -> str:
        """An expression that is true when the value is not the field's default."""
        if field.default is None:
            return f"{value} is not None"
        if field.default is not ...:
            return f"{value} != {field.default!r}"
        if field.many:
            return f"{value} != []"
        return " or ".join(self.differs(inner, f"{value}.{inner.name}") for inner in field.of.fields)

    def field(self, field: Field, value: str) -> None:
        nullable = field.nullable_in(self.version)
        if field.many:
            self.array(field, value, nullable)
        elif field.is_struct:
            if nullable:
                with self.either(f"{value} is None", [("-1", "b")], [("1", "b")]):
                    self.struct(field.of, value)
                    self.flush()
            else:
                self.struct(field.of, value)
        elif field.of.form:
            self.pending.append((value, field.of.form))
        else:
            self.blob(field.of.name, value, nullable)

    @contextmanager
    def either(self, test: str, yes: list[tuple[str, str]], no: list[tuple[str, str]]) -> Iterator[None]:
        """`if test` writes what is pending and `yes`; else what is pending, `no`, and the body."""
        pending = self.take()
        with self.block(f"if {test}:"):
            self.emit(f"w({self.packed(pending + yes)})")
        with self.block("else:"):
            self.emit(f"w({self.packed(pending + no)})")
            yield

    def length(self, count: str, classic: str) -> None:
        """Writes what is pending and a length; `count` is a variable that in compact form is one more already."""
        pending = self.take()
        if not self.flexible:
            self.emit(f"w({self.packed([*pending, (count, classic)])})")
            return
        self.emit(f"if {count} < 128: w({self.packed([*pending, (count, 'B')])})")
        ahead = f"{self.packed(pending)} + " if pending else ""
        self.emit(f"else: w({ahead}uvarint({count}))")

    def blob(self, kind: str, value: str, nullable: bool) -> None:
        data, count = self.fresh("v"), self.fresh("n")
        more = " + 1" if self.flexible else ""
        null = "0" if self.flexible else "-1"
        classic = "h" if kind == "string" else "i"
        if kind == "string" and not nullable:
            self.emit(f"{data} = {value}.encode()")
            self.emit(f"{count} = len({data}){more}")
        else:
            self.emit(f"{data} = {value}")
            if kind == "string":
                with self.block(f"if {data} is not None:"):
                    self.emit(f"{data} = {data}.encode()")
                    self.emit(f"{count} = len({data}){more}")
                self.emit(f"else: {count} = {null}")
            elif kind == "records":
                self.emit("ranged = False")
                self.emit(f"if {data} is None: {count} = {null}")
                self.emit(f"elif isinstance({data}, (bytes, memoryview, bytearray)): {count} = len({data}){more}")
                self.emit(f"else: {count}, ranged = {data}.size{more}, True")
            elif nullable:
                self.emit(f"{count} = {null} if {data} is None else len({data}){more}")
            else:
                self.emit(f"{count} = len({data}){more}")
        self.length(count, classic)
        if kind == "records":
            with self.block(f"if {data} is not None:"):
                self.emit("if ranged: apart.append(len(out))")
                self.emit(f"w({data})")
        elif nullable:
            self.emit(f"if {data} is not None: w({data})")
        else:
            self.emit(f"w({data})")

    def array(self, field: Field, value: str, nullable: bool) -> None:
        items, count = self.fresh("a"), self.fresh("n")
        more = " + 1" if self.flexible else ""
        self.emit(f"{items} = {value}")
        if nullable:
            self.emit(f"{count} = {0 if self.flexible else -1} if {items} is None else len({items}){more}")
        else:
            self.emit(f"{count} = len({items}){more}")
        if not field.is_struct and field.of.form:
            self.numbers(field.of.form, items, count, nullable)
            return
        self.length(count, "i")
        with self.block(f"for i{items} in {items} or ():" if nullable else f"for i{items} in {items}:"):
            if field.is_struct:
                self.struct(field.of, f"i{items}")
            else:
                self.blob(field.of.name, f"i{items}", False)
            self.flush()

    def numbers(self, form: str, items: str, count: str, nullable: bool) -> None:
        """An array of fixed-size values, with its count, in one pack."""
        self.flush()
        values = f"*({items} or ())" if nullable else f"*{items}"
        if self.flexible:
            size = f"({count} and {count} - 1)" if nullable else f"{count} - 1"
            self.emit(f"if {count} < 128: w({self.run('pack', 'B', form)}[{size}]({count}, {values}))")
            self.emit(f"else: w(uvarint({count}) + {self.run('pack', '', form)}[{count} - 1]({values}))")
        else:
            size = f"max({count}, 0)" if nullable else count
            self.emit(f"w({self.run('pack', 'i', form)}[{size}]({count}, {values}))")

    def tags(self, cls: StructType, value: str) -> None:
        known = sorted(
            (f for f in cls.fields if f.tag is not None and f.exists_in(self.version)), key=lambda f: f.tag or 0
        )
        if not known:
            self.pending.append(("", "x"))
            return
        pending = self.take()
        differs = [self.differs(field, f"{value}.{field.name}") for field in known]
        body, count, mark, rest = (self.fresh(prefix) for prefix in ("body", "n", "mark", "rest"))
        with self.block(f"if {' or '.join(differs)}:"):
            self.emit(f"{body}, {count} = [], 0")
            self.emit(f"{rest}, w = w, {body}.append")
            for field, condition in zip(known, differs, strict=True):
                with self.block(f"if {condition}:"):
                    self.emit(f"{count} += 1")
                    self.emit(f"{mark} = len({body})")
                    self.field(field, f"{value}.{field.name}")
                    self.flush()
                    self.emit(f"data = b''.join({body}[{mark}:])")
                    self.emit(f"{body}[{mark}:] = [uvarint({field.tag}), uvarint(len(data)), data]")
            self.emit(f"w = {rest}")
            self.emit(f"w({self.packed(pending) + ' + ' if pending else ''}uvarint({count}))")
            self.emit(f"w(b''.join({body}))")
        with self.block("else:"):
            self.emit(f"w({self.packed([*pending, ('', 'x')])})")
