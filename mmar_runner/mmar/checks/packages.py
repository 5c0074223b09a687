# SPDX-License-Identifier: Apache-2.0
"""Are the packages installed that a part needs, and that its own distribution does not bring?

A part states them in ``extras`` as ``packages``: ``module``, what is imported, and ``project``,
what is installed; with ``if`` and ``is`` only where an argument has a value, or holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.code.installed_names import is_installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document


def check_packages(
    look: Look, document: Document, parts: Sequence[tuple[JsonPath, Resolved]]
) -> None:
    """Say of the parts of a workflow file which packages they need that are not here.

    Args:
        look: Where to say it.
        document: The file.
        parts: Its parts, resolved, with their places.
    """
    for path, part in parts:
        if part.spec is None or part.description is None:
            continue
        for needed in part.description.extras.get("packages", ()):
            if _is_used(needed, part.spec.args) and not is_installed(needed["module"]):
                project = needed["project"]
                message = f"'{part.spec.name}' needs {project}, which is not installed here."
                hint = f"Install it where it is to run: pip install {project}"
                look.findings.at(document, path, "MMAR522", message, hint=hint)


def _is_used(needed: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    if "if" not in needed:
        return True
    value = args.get(needed["if"])
    return needed["is"] in (value if isinstance(value, list) else [value])
