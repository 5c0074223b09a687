# SPDX-License-Identifier: Apache-2.0
"""The metric that is declared to be the key one decides which model is the best.

Older archives say so where a metric is declared, and their server's handler names none. A handler
that names its metric is right; one that does not gets the name of the key metric.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.nested import is_off

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved

_METRICS = ("validate", "metrics")


def name_key_metric(look: Look) -> None:
    """Give the key metric's name to each handler of the server that reads one and names none."""
    label = _key_label(look)
    handlers = look.server_parts.lists.get(("handlers",), [])
    for index, part in enumerate(handlers if label is not None else ()):
        handlers[index] = _with_metric(part, label)


def _key_label(look: Look) -> str | None:
    """Return under which name the key metric of the training file is reported, if it says so."""
    listed: Any = look.files.train.get(_METRICS) if look.files.train is not None else None
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and not is_off(one) and one.get("is_key_metric") is True:
            label = one.get("log_label")
            return label if isinstance(label, str) else None
    return None


def _with_metric(part: Resolved, label: str | None) -> Resolved:
    argument = part.description.extras.get("reads_metric") if part.description else None
    if argument is None or part.spec is None or part.spec.args.get(argument) is not None:
        return part
    args = {**part.spec.args, argument: label}
    declaration = {**part.spec.declaration, "args": args}
    return replace(part, spec=replace(part.spec, args=args, declaration=declaration))
