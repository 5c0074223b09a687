# SPDX-License-Identifier: Apache-2.0
"""Calling components by the names that they have today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import nested_places
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.train import resolve_parts
from mmar_runner.mmar.older.entry import class_of
from mmar_runner.mmar.older.federated import FEDERATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.components.resolving import Resolver
    from mmar_runner.mmar.document import Document

#: Where components stand in the federated files of both sides, in their accepted places.
SERVER: Final[Mapping[str, ComponentKind]] = {
    "/aggregator": ComponentKind.AGGREGATOR,
    "/workflow": ComponentKind.WORKFLOW,
    "/model_persistor": ComponentKind.MODEL_PERSISTOR,
    "/model_validator": ComponentKind.MODEL_VALIDATOR,
    "/inbound_filters/*": ComponentKind.FILTER,
    "/outbound_filters/*": ComponentKind.FILTER,
    "/handlers/*": ComponentKind.HANDLER,
    "/result_processors/*": ComponentKind.RESULT_PROCESSOR,
}
CLIENT: Final[Mapping[str, ComponentKind]] = {
    "/client_trainer": ComponentKind.CLIENT_TRAINER,
    "/model_validator": ComponentKind.MODEL_VALIDATOR,
    "/handlers/*": ComponentKind.HANDLER,
    "/cross_site_validation/model_validator": ComponentKind.MODEL_VALIDATOR,
    **{
        f"{section}/{key}/*": ComponentKind.FILTER
        for section in ("", "/client", "/cross_site_validation")
        for key in ("inbound_filters", "outbound_filters")
    },
}


def renamed(
    document: Document, where: Mapping[str, ComponentKind], resolver: Resolver
) -> list[ComponentDescription]:
    """Call every component of a document by its name of today.

    Args:
        document: Changed in place.
        where: Kinds by JSON pointer pattern.
        resolver: Knows the components; its findings say what was renamed.

    Returns:
        What is said of those that were found.
    """
    found = []
    for pattern, kind in where.items():
        for path in places(document.value, pattern):
            description = resolver.resolve(document, path, kind).description
            if description is not None:
                _rename(document, path, description, resolver)
                found.append(description)
    return found


def renamed_parts(
    document: Document, reader: ComponentDescription, what: str, resolver: Resolver
) -> None:
    """Call the parts of a workflow file by their names of today, for whoever reads it.

    Args:
        document: Changed in place.
        reader: States what stands where.
        what: ``train`` or ``validation``.
        resolver: Knows the components; its findings say what was renamed.
    """
    for path, found in resolve_parts(resolver, document, reader, what):
        if found.description is not None:
            _rename(document, path, found.description, resolver)


def _rename(
    document: Document, path: JsonPath, description: ComponentDescription, resolver: Resolver
) -> None:
    """Call a component, and what its arguments declare, by the names of today.

    Resolving it brought its arguments up to date already.
    """
    declared = document.get(path)
    args = declared.get("args", {})
    for place, inner in nested_places(description.args_schema, args):
        where = (*path, "args", *place)
        found = resolver.resolve(document, where, inner).description
        if found is not None:
            _rename(document, where, found, resolver)
    if _is_older(declared, description):
        _call(document, path, description.name)


def _is_older(declared: Mapping[str, Any], description: ComponentDescription) -> bool:
    """Return True if a declaration names a component by what an older system called it."""
    if "path" in declared:
        path = declared["path"]
        return path in description.aliases or class_of(path) in FEDERATED
    return str(declared["name"]).partition("#")[0] in description.aliases


def _call(document: Document, path: JsonPath, name: str) -> None:
    """Give a declaration a name in place of its older name or path."""
    declared = document.get(path)
    key = "path" if "path" in declared else "name"
    origin = document.origin((*path, key))
    _, mark, label = str(declared[key]).partition("#")
    declared.pop("path", None)
    declared["name"] = f"{name}{mark}{label}"
    document.moves[(*path, "name")] = origin
