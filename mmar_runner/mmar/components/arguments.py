# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a component's arguments, by the schema that its plugin gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.schema_check import faults

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.documents.schema_check import Fault
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

#: The fact that names an argument which no JSON value gives, and what to use instead.
UNDECLARABLE: Final = "undeclarable"
_CODES: Final = {
    "required": "MMAR511",
    "unknown": "MMAR512",
    "type": "MMAR513",
    "value": "MMAR514",
}


def arguments_fit(
    document: Document, path: JsonPath, found: ComponentDescription, findings: Findings
) -> bool:
    """Return True if a declaration's arguments are what its component takes.

    Args:
        document: Where it is declared.
        path: The place of the declaration.
        found: What the catalog says of the component.
        findings: Gets what is wrong with them.
    """
    if UNDECLARABLE in found.extras:
        _say_undeclarable(document, path, found, findings)
        return False
    wrong = faults(found.args_schema, document.get(path, {}).get("args", {}))
    for fault in wrong:
        where = (*path, "args", *fault.path)
        if document.is_unresolved(where):
            findings.raise_severity(document, where, "MMAR301")
        else:
            _say(document, path, found, fault, findings)
    return not wrong


def _say_undeclarable(
    document: Document, path: JsonPath, found: ComponentDescription, findings: Findings
) -> None:
    stated = found.extras[UNDECLARABLE]
    message = f"'{found.name}' needs '{stated['argument']}', which cannot be written in JSON."
    where = (*path, "path" if "path" in document.get(path, {}) else "name")
    findings.at(document, where, "MMAR524", message, hint=stated["instead"])


def _say(
    document: Document,
    path: JsonPath,
    found: ComponentDescription,
    fault: Fault,
    findings: Findings,
) -> None:
    where = (*path, "args", *fault.path)
    if fault.kind == "required" and "args" not in document.get(path, {}):
        where = path
    lead = argument_sentence(found, fault)
    code = _CODES[fault.kind]
    # A key is wrong whatever its value came from.
    of_type = fault.kind == "type"
    told = document.explain(where, fault.hint, of_type=of_type)
    hint = _namesake(document, path, found, fault) or (fault.hint if fault.at_key else told)
    variable = None if fault.at_key else document.variable_at(where)
    cause = None if variable is None else (variable, fault.message)
    findings.at(document, where, code, lead, hint=hint, key=fault.at_key, cause=cause)


def _namesake(
    document: Document, path: JsonPath, found: ComponentDescription, fault: Fault
) -> str | None:
    """Return a mend where arguments are those of another class of the same name."""
    declared = document.get(path, {})
    given = declared.get("args") or {}
    if fault.kind not in {"required", "unknown"} or "path" in declared:
        return None
    for dotted, names in found.extras.get("namesakes", {}).items():
        if not given.keys().isdisjoint(names):
            meant = ", ".join(f"'{name}'" for name in names if name in given)
            return f'{meant}: of the class "path": "{dotted}", which replaces "name" here.'
    return None


def argument_sentence(found: ComponentDescription, fault: Fault) -> str:
    """Return what is wrong with a component's arguments, and whose they are."""
    name = f"{found.name} ({found.origin})".replace(" ()", "")
    inner = "/".join(str(part) for part in fault.path)
    if fault.member is not None:
        return f"{name}: argument {fault.message}"
    argument = f"argument '{inner}': " if inner else ""
    return f"{name}: {argument}{fault.message}"
