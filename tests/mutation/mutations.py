# SPDX-License-Identifier: Apache-2.0
"""Small faults put into a module's syntax tree, one at a time.

Left alone, because no test should hold them: annotations, decorators, docstrings, what only
type checkers read, sentences, and bounds in bytes that are written as a product. A text is a
sentence if it has a blank in it or is part of an f-string; what is left are ids, keys and names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLS: Final = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "partition": "rpartition",
    "rpartition": "partition",
    "startswith": "endswith",
    "endswith": "startswith",
    "strip": "lstrip",
    "lower": "upper",
}
#: Ending in one of these, a call only tells somebody what happens.
_TOLD: Final = frozenset({"debug", "info", "warning"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault in one place.

    Attributes:
        path: The module's file.
        line: Where the fault is; the first line is 1.
        lines: First and last line of the statement that it is in; of a compound one, its head.
        text: That line, without the blanks around it.
        change: What was put in place of what, as code.
        function: Whether it is in the body of a function.
        before: The module's whole text, without the fault.
    """

    path: Path
    line: int
    lines: tuple[int, int]
    text: str
    change: str
    function: bool
    before: str
    _tree: ast.Module
    _node: ast.AST
    _changed: ast.AST

    @property
    def module(self) -> str:
        """The module's name within the package, such as ``federation.plan``."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[len(parts) - parts[::-1].index("mmar_runner") :])

    def put_in(self) -> ast.Module:
        """Return the whole module with the fault; nothing takes it out of this process again."""
        return ast.fix_missing_locations(_Replace(self._node, self._changed).visit(self._tree))


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, changed: ast.AST) -> None:
        self._node = node
        self._changed = changed

    def visit(self, node: ast.AST) -> ast.AST:
        return self._changed if node is self._node else self.generic_visit(node)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its text."""
    text = path.read_text()
    lines = text.splitlines()
    tree = ast.parse(text)
    for statement, function in _statements(tree.body, function=False):
        for node in _head(statement):
            for bare in _changes(node):
                changed = ast.copy_location(bare, node)
                line = getattr(node, "lineno", statement.lineno)
                yield Mutant(
                    path,
                    line,
                    _lines(statement),
                    lines[line - 1].strip(),
                    f"{_short(node)} -> {_short(changed)}",
                    function,
                    text,
                    tree,
                    node,
                    changed,
                )


def _lines(statement: ast.stmt) -> tuple[int, int]:
    inner = [part for part in getattr(statement, "body", []) if isinstance(part, ast.stmt)]
    last = min([part.lineno for part in inner], default=0) - 1
    return statement.lineno, last if last >= statement.lineno else statement.end_lineno or 0


def _short(node: ast.AST) -> str:
    shown = f"if {ast.unparse(node.test)}" if isinstance(node, ast.If) else ast.unparse(node)
    return " ".join(shown.split())[:120]


def _statements(body: list[ast.stmt], *, function: bool) -> Iterator[tuple[ast.stmt, bool]]:
    for statement in body:
        if _is_for_type_checkers(statement):
            continue
        yield statement, function
        inside = function or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []), function=inside)
        for part in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from _statements(part.body, function=inside)


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.AnnAssign(annotation=ast.Name("TypeAlias")):
            return True
        case ast.Assign(value=ast.Subscript(ast.Name("Literal"))):
            return True
        case ast.Expr(ast.Constant()):  # a docstring, or three dots
            return True
    return False


def _head(statement: ast.stmt) -> list[ast.AST]:
    """Return a statement and its expressions, without those of statements within it."""
    found: list[ast.AST] = []
    _gather(statement, found)
    return found


def _gather(node: ast.AST, found: list[ast.AST]) -> None:
    if _is_size(node):
        return
    found.append(node)
    if isinstance(node, ast.JoinedStr):
        children = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        # How much of a text a sentence quotes.
        children = [c.value if isinstance(c, ast.Subscript) else c for c in children]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
        children = node.args[1:]
    else:
        children = [c for name, c in _fields(node) if name not in _LEFT_ALONE]
    for child in children:
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            _gather(child, found)


_LEFT_ALONE: Final = frozenset({"annotation", "returns", "decorator_list", "ctx", "op", "ops"})


def _fields(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield name, child


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of one node."""
    match node:
        case ast.Constant(value):
            yield from map(ast.Constant, _values(value))
        case ast.Call(ast.Name(name), arguments, keywords) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), arguments, keywords)
        case ast.Call(ast.Attribute(value, name), arguments, keywords) if name in _CALLS:
            yield ast.Call(ast.Attribute(value, _CALLS[name], ast.Load()), arguments, keywords)
        case ast.IfExp(test, body, orelse) if _is_plain(test):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.comprehension(target, iterable, tests) if tests:
            yield ast.comprehension(target, iterable, [], node.is_async)
        case ast.stmt():
            yield from _statement_changes(node)
        case _:
            yield from _operator_changes(node)


def _operator_changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, operators, values):
            for index, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    changed = [*operators[:index], other(), *operators[index + 1 :]]
                    yield ast.Compare(left, changed, values)
        case ast.BoolOp(ast.And(), values):
            yield ast.BoolOp(ast.Or(), values)
        case ast.BoolOp(ast.Or(), values):
            yield ast.BoolOp(ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            if not _is_text(left) and not _is_text(right):
                yield ast.BinOp(left, _OPERATORS[type(operator)](), right)


def _statement_changes(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test, body, orelse) if _is_plain(test):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Expr(ast.Call(ast.Attribute(_, name))) if name in _TOLD:
            return
        case ast.Expr(ast.Call() | ast.Await()) | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.AugAssign(target, _, value):
            yield ast.Assign([target], value)
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Assign([ast.Attribute()] as targets, value) if not isinstance(value, ast.Constant):
            yield ast.Assign(targets, ast.Constant(None))


def _values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str) and not any(map(str.isspace, value)):
        yield f"X{value}"


def _is_plain(test: ast.expr) -> bool:
    """Return True for a condition that no other change turns round."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)


def _is_size(node: ast.AST) -> bool:
    """Return True for a bound in bytes, such as ``64 * 1024`` or ``1 << 20``."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult | ast.LShift):
        return False
    sides = (node.left, node.right)
    return all(isinstance(side, ast.Constant) or _is_size(side) for side in sides)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
