# SPDX-License-Identifier: Apache-2.0
"""A class of an installed package that is named by its path: is it there, and what does it take?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.code.installed_names import absence, definition, is_module
from mmar_runner.mmar.components.own_code import check_arguments

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentDescription, ComponentKind
    from mmar_runner.mmar.components.absent import Absent
    from mmar_runner.mmar.document import Document


def is_not_there(
    document: Document,
    where: JsonPath,
    found: ComponentDescription,
    dotted: str,
    absent: Absent,
) -> bool:
    """Return True, and say so, if an allowed package has no such class, or none that fits."""
    unfit = found.extras.get("unfit", {}).get(dotted)
    if unfit:
        message = f"'{dotted}' cannot be used here: {unfit}."
        hint = absent.available(found.kind)
        absent.findings.at(document, where, "MMAR503", message, hint=hint)
        return True
    lost = absence(dotted)
    if lost is None:
        return False
    module, name, there = lost
    hint = did_you_mean(name, there) or absent.available(found.kind)
    message = f"The installed {module} has no '{name}'."
    absent.findings.at(document, where, "MMAR503", message, hint=hint)
    return True


def is_constructed(
    document: Document,
    path: JsonPath,
    kind: ComponentKind,
    dotted: str,
    absent: Absent,
) -> bool:
    """Compare the arguments of an installed class with its source; False for a function."""
    source = definition(dotted)
    if source == "function" or (source is None and is_module(dotted)):
        message = f"'{dotted}' is a {source or 'module'}, and a class is needed."
        hint = absent.available(kind)
        absent.findings.at(document, (*path, "path"), "MMAR503", message, hint=hint)
        return False
    if source is not None:
        check_arguments(document, path, kind, source, absent.findings)
    return True
