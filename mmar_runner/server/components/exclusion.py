# SPDX-License-Identifier: Apache-2.0
"""Which tensors a run leaves as they are, found out before anybody waits for it.

An MMAR's regular expression may take for ever, and a process that looks for one does nothing
else meanwhile. So every expression that the server will look for in the names of tensors is
looked for once in a child, which has little time: a name never changes during a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildSpec
from mmar_runner.errors import RunFailedError, TaskTimeoutError
from mmar_runner.interfaces.nested import nested_places, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mmar_runner.interfaces.catalog import ComponentCatalog, ComponentKind

#: Time for one expression and all names of a model: an honest one takes milliseconds.
_SECONDS: Final = 2.0
#: Letters of an expression that a sentence repeats.
_SHOWN: Final = 80


async def excluded_names(
    declared: str | None, others: Iterable[str], names: Iterable[str], log: Path
) -> frozenset[str]:
    """Return the names in which an MMAR's ``exclude_vars`` is found.

    Args:
        declared: That expression, or None.
        others: Expressions that components will look for in the same names.
        names: Of all tensors of the model.
        log: The log of the child.

    Raises:
        RunFailedError: EXPRESSION_TOO_SLOW, it is one that takes too long.
        TaskError: The child failed otherwise.
    """
    wanted = [] if declared is None else [declared]
    expressions = [*wanted, *others]
    if not expressions:
        return frozenset()
    child = await ChildProcess.start(ChildSpec(role="expression"), log=log)
    try:
        found = [await _found(child, expression, list(names)) for expression in expressions]
    finally:
        await child.close()
    return found[0] if wanted else frozenset()


async def _found(child: ChildProcess, expression: str, names: list[str]) -> frozenset[str]:
    asked = {"expression": expression, "texts": names}
    try:
        answer = await child.request("search", asked, timeout=_SECONDS)
    except TaskTimeoutError as error:
        shown = expression if len(expression) <= _SHOWN else f"{expression[:_SHOWN]}..."
        msg = f"the regular expression {shown!r} takes too long for the names of the tensors"
        hint = "write it without repetitions or alternatives within a repetition"
        raise RunFailedError(msg, hint=hint, reason="EXPRESSION_TOO_SLOW") from error
    return frozenset(answer["found"])


def expressions(
    catalog: ComponentCatalog, kind: ComponentKind, declaration: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the regular expressions in a component's arguments, as their schemas say."""
    found = catalog.find(kind, str(declaration.get("path") or declaration.get("name")))
    if found is None:
        return
    args, properties = declaration.get("args", {}), found.args_schema.get("properties", {})
    for key, value in args.items():
        if isinstance(value, str) and value and properties.get(key, {}).get("format") == "regex":
            yield value
    for place, inner in nested_places(found.args_schema, args):
        yield from expressions(catalog, inner, value_at(args, place))
