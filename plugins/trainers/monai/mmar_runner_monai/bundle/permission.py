# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle may be read by MONAI here: looked at as text, in the trainer's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ComponentNotFoundError, NotAuthorizedError, TaskFailedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.mmar.bundle.reading import read_configurations
from mmar_runner.mmar.bundle.standing import BundleFact, Standing, asking, is_own_class, known_class
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import survey
from mmar_runner_monai.bundle.callables import BUNDLE_FACT
from mmar_runner_monai.bundle.guard import HINT, REASON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainerContext

_FACT: Final = BundleFact.of({"bundle": BUNDLE_FACT}) or BundleFact("bundle_root")
_SHOWN: Final = 120


def require_permission(context: TrainerContext, root: Path, args: Mapping[str, Any]) -> None:
    """Refuse a bundle that asks for more than this site allows.

    Args:
        context: What the site allows.
        root: The bundle's folder.
        args: What the algorithm is built with.

    Raises:
        NotAuthorizedError: EXPRESSIONS_NOT_ALLOWED, or COMPONENT_NOT_ALLOWED, it does.
        TaskFailedError: A configuration cannot be read as plain data.
    """
    if context.expressions:
        return
    findings = Findings()
    documents = read_configurations(survey(root, findings), "", findings)
    values = {"the algorithm's arguments": dict(args), **{d.file: d.value for d in documents}}
    for fault in findings.result(strict=True):
        if fault.severity == "error":
            place = f"{fault.file}:{fault.line}"
            raise TaskFailedError(f"the bundle cannot be read: {place}: {fault.message}")
    for file, value in values.items():
        for use, standing in asking(value, lambda name: _standing(context, name)):
            if standing is Standing.UNKNOWN:
                message = f"the site lets no bundle ask for {use.text[:_SHOWN]!a} ({file})"
                raise NotAuthorizedError(message, hint=HINT, reason=REASON)


def _standing(context: TrainerContext, name: str) -> Standing:
    if name in _FACT.callables:
        return Standing.FREE
    if "." not in name:
        return Standing.FREE if is_own_class(_FACT, name) else Standing.UNKNOWN
    if own_class(context, name):
        return Standing.FREE
    found = known_class(_FACT, name)
    if found is Standing.CLASS_PATH:
        _require_path(context, name)
    return found


def own_class(context: TrainerContext, name: str) -> bool:
    """Return True if a dotted name leads into the MMAR's own code, which was accepted."""
    top = context.mmar / "custom" / name.partition(".")[0]
    return top.with_suffix(".py").is_file() or top.is_dir()


def _require_path(context: TrainerContext, name: str) -> None:
    try:
        context.blueprint(ComponentKind.MODEL, {"path": name})
    except ComponentNotFoundError:
        return  # no part of that kind, but a path that nobody refuses
