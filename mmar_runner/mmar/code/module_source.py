# SPDX-License-Identifier: Apache-2.0
"""What the source of a Python module says, without running it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import decode_source
from typing import Final

_ENDLESS_NAME: Final = re.compile(r"\b(?:\w++\s*+\.\s*+){300}")
_BLOCKS: Final = (ast.If, ast.Try, ast.With, ast.For, ast.While)


class NotInItsEncodingError(SyntaxError):
    """A module holds a byte that is not in the encoding that it says, or in UTF-8."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What the source says of a method that is called with arguments by position.

    Attributes:
        written: Its arguments as they are written, ``self`` first.
        least: How many must be given, without ``self``.
        most: How many may be; None for any number.
        line: Where it is defined.
    """

    written: str
    least: int
    most: int | None
    line: int

    def takes(self, count: int) -> bool:
        """Return True if so many may be given."""
        return self.least <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True, slots=True)
class ClassSource:
    """What the source says of a class.

    Attributes:
        bases: Names of its bases, as they are written; empty if there are none.
        methods: Names that its body defines.
        required: Arguments that its constructor needs, without ``self``; None if the class
            has no constructor of its own.
        accepted: Arguments that may be given by name; None for any.
        plain: True if it has what its body defines and nothing else: neither bases, nor a
            metaclass, nor a decorator.
        signatures: Of its methods, those that nothing decorates.
    """

    bases: tuple[str, ...]
    methods: frozenset[str]
    required: tuple[str, ...] | None = None
    accepted: frozenset[str] | None = None
    plain: bool = False
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """What the source says of a module.

    Attributes:
        names: Every name that it binds at its top level.
        classes: The classes among them.
        functions: The functions among them.
        origins: Names that it takes from another module: that one, relative with leading
            dots, and the name there.
        values: Names that are bound to a literal: no classes.
        all_of: Modules all of whose names it takes, relative ones with leading dots.
        lines: The lines in which it takes those of them that it cannot do without.
        imports: Top packages that it cannot do without, with the line that imports them.
        makes_names: True if it gives names only when asked (``__getattr__``).
        asked: Names that it asks of those which it takes from another module, outside of ``try``:
            the one that is asked, the name, the line.
    """

    names: frozenset[str] = frozenset()
    classes: dict[str, ClassSource] = field(default_factory=dict)
    functions: frozenset[str] = frozenset()
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    values: frozenset[str] = frozenset()
    all_of: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    imports: dict[str, int] = field(default_factory=dict)
    makes_names: bool = False
    asked: tuple[tuple[str, str, int], ...] = ()


def parse_module(source: bytes, *, deeply: bool = False) -> ModuleSource:
    """Read a module.

    Args:
        source: Its bytes.
        deeply: Whether to look into its functions too, for what they ask of imported names.

    Raises:
        SyntaxError: It is not Python (or not in the encoding that it says).
        ValueError: It holds a zero byte, or is nested too deeply.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the source, which is not ours
        try:
            tree = ast.parse(_decoded(source))
        except (RecursionError, MemoryError) as error:
            raise ValueError("it is nested too deeply") from error
    reader = _Reader()
    for statement in _statements(tree.body):
        reader.take(statement)
    imports: dict[str, int] = {}
    lines: dict[str, int] = {}
    for statement in tree.body:  # what stands in a block may be left out
        imports.update(dict.fromkeys(_packages(statement), statement.lineno))
        if isinstance(statement, ast.ImportFrom):
            names = [alias.asname or alias.name for alias in statement.names if alias.name != "*"]
            lines.update(dict.fromkeys(names, statement.lineno))
    return ModuleSource(
        frozenset(reader.names),
        reader.classes,
        frozenset(reader.functions),
        reader.origins,
        frozenset(reader.values),
        tuple(reader.all_of),
        lines,
        imports,
        "__getattr__" in reader.names or "globals" in reader.calls,
        tuple(_asked(tree, frozenset(lines))) if deeply else (),
    )


def _asked(node: ast.AST, names: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    """Yield the attributes of some names that are read below a node, but for those in a try."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try):
            continue
        if (
            isinstance(child, ast.Attribute)
            and isinstance(child.ctx, ast.Load)
            and isinstance(child.value, ast.Name)
            and child.value.id in names
        ):
            yield child.value.id, child.attr, child.lineno
        yield from _asked(child, names)


def _decoded(source: bytes) -> str:
    """Return the text of a module.

    Raises:
        NotInItsEncodingError: It is not in the encoding that it says.
        SyntaxError: That is none of text.
        ValueError: A name in it has parts without an end: to parse it takes as long as their
            number, squared.
    """
    try:
        text = decode_source(source)
    except LookupError as error:
        raise SyntaxError(str(error)) from error
    except (SyntaxError, UnicodeDecodeError):
        _require_utf8(source)
        raise
    if _ENDLESS_NAME.search(text):
        raise ValueError("a name in it has hundreds of parts")
    return text


def _require_utf8(source: bytes) -> None:
    """Say where a module that cannot be decoded is not UTF-8.

    Raises:
        NotInItsEncodingError: It is not.
    """
    try:
        source.decode()
    except UnicodeDecodeError as error:
        before = source[: error.start].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{source[error.start]:02x} is not UTF-8"
        raise NotInItsEncodingError(message, (None, line, column, None)) from error


class _Reader:
    """Gathers what statements bind."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.classes: dict[str, ClassSource] = {}
        self.functions: set[str] = set()
        self.origins: dict[str, tuple[str, str]] = {}
        self.values: set[str] = set()
        self.all_of: list[str] = []
        self.calls: set[str] = set()

    def take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ClassDef):
            self.names.add(statement.name)
            self.classes[statement.name] = _class(statement)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.names.add(statement.name)
            self.functions.add(statement.name)
        elif isinstance(statement, ast.Import):
            self.names.update(a.asname or a.name.split(".")[0] for a in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            self._import_from(statement)
        else:
            self._bind(statement)

    def _import_from(self, statement: ast.ImportFrom) -> None:
        module = "." * statement.level + (statement.module or "")
        for alias in statement.names:
            if alias.name == "*":
                self.all_of.append(module)
            else:
                self.names.add(alias.asname or alias.name)
                self.origins[alias.asname or alias.name] = (module, alias.name)

    def _bind(self, statement: ast.stmt) -> None:
        bound = {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.names |= bound
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            self.values |= bound
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                self.calls.add(node.func.id)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield every statement of a module's top level, those in blocks too."""
    for statement in body:
        yield statement
        if isinstance(statement, _BLOCKS):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def _packages(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name.split(".")[0] for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and not statement.level and statement.module:
        return [statement.module.split(".")[0]]
    return []


def _class(statement: ast.ClassDef) -> ClassSource:
    bases = tuple(ast.unparse(base) for base in statement.bases)
    plain = bases in {(), ("object",)} and not (statement.keywords or statement.decorator_list)
    reader = _Reader()
    for inner in _statements(statement.body):
        reader.take(inner)
    signatures = {
        one.name: _signature(one)
        for one in statement.body
        if isinstance(one, ast.FunctionDef) and not one.decorator_list
    }
    constructor = next(
        (s for s in statement.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None
    )
    if constructor is None:
        return ClassSource(bases, frozenset(reader.names), plain=plain, signatures=signatures)
    given = constructor.args
    named = [*given.posonlyargs, *given.args][1:]
    needed = named[: len(named) - len(given.defaults)] if given.defaults else named
    required = [a.arg for a in needed]
    required += [
        a.arg for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d is None
    ]
    accepted = frozenset(a.arg for a in (*named, *given.kwonlyargs))
    takes = None if given.kwarg else accepted
    return ClassSource(bases, frozenset(reader.names), tuple(required), takes, plain, signatures)


def _signature(method: ast.FunctionDef) -> Signature:
    given = method.args
    most = max(len(given.posonlyargs) + len(given.args) - 1, 0)
    return Signature(
        ast.unparse(given),
        max(most - len(given.defaults), 0),
        None if given.vararg else most,
        method.lineno,
    )
