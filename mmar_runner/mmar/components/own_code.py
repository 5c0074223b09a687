# SPDX-License-Identifier: Apache-2.0
"""Does a class fit its slot and its arguments, as its source says that is never run?"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.code.module_source import ClassSource
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

#: The interface of a kind that clients build, and where it stands.
_INTERFACES: Final = MappingProxyType(
    {
        ComponentKind.CLIENT_TRAINER: ("mmar_runner.interfaces.client_trainer", "ClientTrainer"),
        ComponentKind.FILTER: ("mmar_runner.interfaces.filter", "Filter"),
        ComponentKind.MODEL_VALIDATOR: ("mmar_runner.interfaces.model_validator", "ModelValidator"),
    }
)
#: By one of these a data set gives what it holds.
_GIVES_ITEMS: Final = frozenset({"__getitem__", "__iter__"})
#: How many arguments a kind is built with before those that are declared.
_GIVEN: Final = MappingProxyType({ComponentKind.OPTIMIZER: 1, ComponentKind.LR_SCHEDULER: 1})


def check_own_class(
    document: Document,
    path: JsonPath,
    kind: ComponentKind,
    source: ClassSource | None,
    findings: Findings,
) -> None:
    """Check a declared class of the MMAR's own code.

    Args:
        document: The file that declares it.
        path: The declaration.
        kind: What it is to be.
        source: What its source says; None if that is not known.
        findings: Gets what is wrong.
    """
    if source is None:
        return
    lack = _lack(kind, source)
    if lack is not None:
        message, hint = lack
        findings.at(document, (*path, "path"), "MMAR521", message, hint=hint)
        return
    plain = source.required is None and _has_no_constructor(kind, source)
    known = replace(source, required=(), accepted=frozenset()) if plain else source
    check_arguments(document, path, kind, known, findings)


def _lack(kind: ComponentKind, source: ClassSource) -> tuple[str, str] | None:
    if kind is ComponentKind.DATASET and source.plain and not source.methods & _GIVES_ITEMS:
        message = "The class is no data set: it lacks __getitem__."
        return message, "Define __getitem__(self, index), which gives one case, and __len__."
    if kind not in _INTERFACES:
        return None
    module, name = _INTERFACES[kind]
    if not source.bases or source.bases == ("object",):
        return f"The class is no {name}.", f"Derive it from {module}.{name}."
    if {base.rpartition(".")[2] for base in source.bases} != {name}:
        return None  # what a base of its own brings is not known
    wanted = getattr(import_module(module), name).__abstractmethods__
    missing = sorted(wanted - source.methods)
    if not missing:
        return None
    return f"The class lacks {', '.join(missing)}.", f"Define what {module}.{name} asks for."


def check_arguments(
    document: Document, path: JsonPath, kind: ComponentKind, source: ClassSource, findings: Findings
) -> None:
    """Compare declared arguments with those that a class's constructor takes, if it is known."""
    args = document.get((*path, "args"), {})
    given, accepted = _GIVEN.get(kind, 0), source.accepted
    missing = [f"'{name}'" for name in (source.required or ())[given:] if name not in args]
    if missing:
        where = (*path, "args") if "args" in document.get(path) else path
        message = f"The constructor of the class needs {' and '.join(missing)}."
        hint = "Add it." if len(missing) == 1 else "Add them."
        findings.at(document, where, "MMAR511", message, hint=hint)
    if source.required is None or accepted is None:
        return
    for name in args:
        if name not in accepted:
            message = f"The constructor of the class takes no '{name}'."
            hint = did_you_mean(name, accepted) or _known(accepted)
            findings.at(document, (*path, "args", name), "MMAR512", message, hint=hint, key=True)


def _has_no_constructor(kind: ComponentKind, source: ClassSource) -> bool:
    """Return True if none of the bases of a class has a constructor that takes arguments."""
    plain = {"object", *(name for k, (_, name) in _INTERFACES.items() if k is kind)}
    return all(base.rpartition(".")[2] in plain for base in source.bases)


def _known(accepted: frozenset[str]) -> str:
    return f"It takes: {', '.join(sorted(accepted))}." if accepted else "It takes none: remove it."
