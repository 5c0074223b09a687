# SPDX-License-Identifier: Apache-2.0
"""The shape of a component declaration: its keys, its switch, its name or path."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from mmar_runner.documents.words import did_you_mean
from mmar_runner.interfaces.catalog import TRAINER_PARTS
from mmar_runner.mmar.sources.keys import COMMENT, KEYS, PART_KEYS

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentKind
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_RENAMED = frozenset({"path2", "name2", "args2", "regular_name", "regular_path", "change_args"})


def is_switched_off(document: Document, path: JsonPath, findings: Findings) -> bool:
    """Return True if the declaration at a place says ``"disabled": true``."""
    declaration = document.get(path)
    switch = declaration.get("disabled", False)
    if not isinstance(switch, bool):
        where = (*path, "disabled")
        if document.is_unresolved(where):
            findings.raise_severity(document, where, "MMAR301")
        else:
            hint = "Write true or false without quotes."
            message = "'disabled' must be true or false."
            findings.at(document, where, "MMAR402", message, hint=hint)
    return switch is True


def check_keys(document: Document, path: JsonPath, kind: ComponentKind, findings: Findings) -> None:
    """Say which keys of a declaration mean nothing."""
    declaration = document.get(path)
    extra = PART_KEYS if kind in TRAINER_PARTS else frozenset()
    for key in declaration:
        if key in KEYS or key in extra or key.startswith(COMMENT):
            continue
        where = (*path, key)
        if key in _RENAMED:
            message = f"'{key}' looks like a key that was switched off by renaming it."
            hint = 'Remove it; "disabled": true switches a component off.'
            findings.at(document, where, "MMAR506", message, hint=hint, key=True)
        else:
            hint = did_you_mean(key, (*KEYS, *extra)) or _has(extra)
            message = f"A component has no key '{key}'."
            findings.at(document, where, "MMAR507", message, hint=hint, key=True)
    if "name" in declaration and "path" in declaration:
        message = "'name' and 'path' are both given; the path counts."
        hint = "Remove one of them."
        where = (*path, "name")
        findings.at(document, where, "MMAR505", message, hint=hint, key=True)


def _has(extra: frozenset[str]) -> str:
    further = f"; for whoever reads it {', '.join(sorted(extra))}" if extra else ""
    return f"A component has name or path, args, disabled{further}."


def has_identity(document: Document, path: JsonPath, findings: Findings) -> bool:
    """Return True if a declaration has a name or a path that can be looked up."""
    declaration = document.get(path)
    key = "path" if "path" in declaration else "name"
    if key not in declaration:
        _nameless(document, path, findings)
        return False
    where = (*path, key)
    if document.is_unresolved(where):
        findings.raise_severity(document, where, "MMAR301")
        return False
    if not isinstance(declaration[key], str) or not declaration[key]:
        message = f"'{key}' must be text."
        findings.at(document, where, "MMAR402", message)
        return False
    return True


def _nameless(document: Document, path: JsonPath, findings: Findings) -> None:
    """Report a declaration without name and path, at the key that was meant as one."""
    message = "The component has neither 'name' nor 'path'."
    for key in document.get(path):
        near = get_close_matches(key, ("name", "path", "class_path"), n=1)
        if near:
            meant = "path" if near[0] == "class_path" else near[0]
            hint = f"Did you mean '{meant}' by '{key}'?"
            findings.at(document, (*path, key), "MMAR504", message, hint=hint, key=True)
            return
    findings.at(document, path, "MMAR504", message, hint="Name it, or write {} for none.")
