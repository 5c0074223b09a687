# SPDX-License-Identifier: Apache-2.0
"""Every reason id that the code can give, found by reading it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from mmar_runner import errors

PACKAGE = Path(__file__).resolve().parents[2] / "mmar_runner"
REASON_ID = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
#: Names under which modules keep reason ids: one of them, or a table.
CONSTANTS = {"default_reason", "REASON"}
STATUSES = "STATUS_OF_REASON"
CHOICES = "REASON_OF_UNKNOWN"


@functools.cache
def modules() -> list[ast.Module]:
    """Return the whole program, parsed."""
    return [ast.parse(file.read_text(), str(file)) for file in sorted(PACKAGE.rglob("*.py"))]


def position_of_reason(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int | None:
    """Return which positional argument is called ``reason``, ``self`` not counted."""
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return names.index("reason") if "reason" in names else None


def position_of_field(kind: ast.ClassDef) -> int | None:
    """Return which field of a plain record is called ``reason``."""
    fields = [node.target.id for node in kind.body if isinstance(node, ast.AnnAssign)]
    return fields.index("reason") if "reason" in fields else None


def takers(trees: list[ast.Module]) -> dict[str, int]:
    """Return which functions and records take a reason, and as which argument."""
    found = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        position = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            position = position_of_reason(node)
        elif isinstance(node, ast.ClassDef):
            position = position_of_field(node)
        if position is not None:
            found[node.name] = position
    return found


def given(node: ast.Call, positions: dict[str, int]) -> Iterator[ast.expr]:
    """Yield what a call gives as its reason."""
    yield from (keyword.value for keyword in node.keywords if keyword.arg == "reason")
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    position = positions.get(name)
    if position is not None:
        yield from node.args[position : position + 1]


def declared(node: ast.Assign | ast.AnnAssign, *, tables: bool) -> Iterator[ast.expr]:
    """Yield the reason ids that an assignment keeps for later."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    if names & CONSTANTS and node.value is not None:
        yield node.value
    if isinstance(node.value, ast.Dict) and CHOICES in names:
        yield from node.value.values
    if isinstance(node.value, ast.Dict) and STATUSES in names and tables:
        yield from (key for key in node.value.keys if key is not None)


def unpacked(function: ast.AST) -> Iterator[ast.expr]:
    """Yield what a function writes where it later reads a ``reason`` out of a pair."""
    nodes = list(ast.walk(function))
    pairs = [node for node in nodes if isinstance(node, ast.Tuple)]
    places = {
        place
        for pair in pairs
        for place, name in enumerate(pair.elts)
        if isinstance(name, ast.Name) and name.id == "reason" and isinstance(name.ctx, ast.Store)
    }
    yield from (pair.elts[place] for place in places for pair in pairs if place < len(pair.elts))


def kept(function: ast.AST) -> Iterator[ast.expr]:
    """Yield what a function first calls ``reason`` and then gives, and what it falls back to."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "reason" for target in node.targets
        ):
            yield node.value


def expressions(trees: list[ast.Module], *, tables: bool) -> Iterator[ast.expr]:
    """Yield everything that is given, or kept to be given, as a reason."""
    positions = takers(trees)
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call):
            yield from given(node, positions)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from declared(node, tables=tables)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from unpacked(node)
            yield from kept(node)


def reason_ids(trees: list[ast.Module] | None = None, *, tables: bool = True) -> set[str]:
    """Return every reason id that code can give.

    Args:
        trees: The code; the whole program if nothing is given.
        tables: Whether the table of gRPC statuses counts.
    """
    return {
        part.value
        for expression in expressions(trees or modules(), tables=tables)
        for part in ast.walk(expression)
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and REASON_ID.fullmatch(part.value)
    }


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module keeps under a name."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def exit_codes() -> dict[str, int]:
    """Return the exit code of every reason that is raised with another than 1."""
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and getattr(kind, "exit_code", 1) != 1
    }
    found = {kind.default_reason: kind.exit_code for kind in classes.values()}
    for tree in modules():
        names = constants(tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kind = classes.get(getattr(call.func, "id", ""))
            values = [given.value for given in call.keywords if given.arg == "reason"]
            for value in values if kind is not None else ():
                reason = getattr(value, "value", names.get(getattr(value, "id", "")))
                if reason is not None:
                    found[reason] = kind.exit_code
    return found
