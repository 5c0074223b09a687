# SPDX-License-Identifier: Apache-2.0
"""Do the workflow files fit the components that will read them?

What a trainer (or a model persistor) expects in ``config_train.json`` is stated by its
plugin in ``extras``: ``train_schema``, a JSON Schema, and ``train_parts``, component
kinds by JSON pointer pattern, such as ``{"/train/metrics/*": "metric"}``; for
``config_validation.json`` likewise, in ``validation_schema`` and ``validation_parts``.
The files of a trainer that is not installed are checked by the general schemas only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.elsewhere import elsewhere
from mmar_runner.mmar.checks.needs import check_needs
from mmar_runner.mmar.checks.packages import check_packages
from mmar_runner.mmar.checks.places import is_reference, places
from mmar_runner.mmar.components.resolving import NOTHING
from mmar_runner.mmar.sources.configuration import TRAIN, VALIDATION, check_shape

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved, Resolver
    from mmar_runner.mmar.document import Document


def check_train(look: Look) -> None:
    """Check training and validation files."""
    for reader in readers(look):
        _check_for(look, reader)


def bring_up_to_date(look: Look) -> None:
    """Bring older arguments in training and validation files up to date, as `check_train` does."""
    files = {"train": look.files.train, "validation": look.files.validation}
    for reader in readers(look):
        for what, document in files.items():
            if document is not None:
                resolve_parts(look.resolver, document, reader, what)


def readers(look: Look) -> list[ComponentDescription]:
    """Return what is known of every component that may read the workflow files."""
    every = (*look.server_parts.every(), *look.client_parts.every())
    return [part.description for part in every if part.description is not None]


def _check_for(look: Look, reader: ComponentDescription) -> None:
    if look.files.train is not None:
        _check_file(look, look.files.train, reader, "train")
    elif {"train_schema", "train_parts"} & reader.extras.keys():
        _missing(look, reader)
    if look.files.validation is not None:
        _check_file(look, look.files.validation, reader, "validation")
    elif reader.kind is ComponentKind.MODEL_VALIDATOR:
        _missing_section(look, reader)


def _check_file(look: Look, document: Document, reader: ComponentDescription, what: str) -> None:
    schema = reader.extras.get(f"{what}_schema")
    if schema:
        check_shape(document, schema, look.findings)
    parts = resolve_parts(look.resolver, document, reader, what)
    for path, _ in parts:
        if is_off(document.get(path)) and required(schema, path):
            _switched_off(look, document, path, reader)
    check_needs(look, document, reader.extras.get(f"{what}_needs", ()), parts)
    check_packages(look, document, parts)


def resolve_parts(
    resolver: Resolver, document: Document, reader: ComponentDescription, what: str
) -> list[tuple[JsonPath, Resolved]]:
    """Resolve the parts of a workflow file; older arguments in it are brought up to date.

    Args:
        resolver: Resolves them.
        document: The file.
        reader: Who reads it, and states what stands where.
        what: ``train`` or ``validation``.
    """
    names = reader.extras.get("part_names", {})
    return [
        (path, resolver.resolve(document, path, ComponentKind(kind), names.get(kind, {})))
        for pattern, kind in reader.extras.get(f"{what}_parts", {}).items()
        for path in places(document.value, pattern)
        if not is_reference(document.get(path))
    ]


def resolve_part(
    resolver: Resolver, document: Document, path: JsonPath, kind: ComponentKind
) -> Resolved:
    """Resolve a part of a workflow file; a reference is nothing by itself."""
    found = document.get(path)
    return NOTHING if is_reference(found) else resolver.resolve(document, path, kind)


def _switched_off(
    look: Look, document: Document, path: JsonPath, reader: ComponentDescription
) -> None:
    if not isinstance(document.get(path), dict):
        return  # whose type is wrong, which was said
    message = f"'{path[-1]}' is empty or switched off, and '{reader.name}' needs it."
    look.findings.at(document, path, "MMAR516", message, hint="Declare it.")


def required(schema: Any, path: JsonPath) -> bool:
    """Return True if a schema requires the last key of a path."""
    for part in path[:-1]:
        schema = (schema or {}).get("properties", {}).get(part)
    return path[-1] in (schema or {}).get("required", ())


def _missing_section(look: Look, reader: ComponentDescription) -> None:
    """A validator without a file of its own reads the section of the training file."""
    train = look.files.train
    keys = reader.extras.get("validation_schema", {}).get("required", ())
    if train is None or VALIDATION in look.folder.files:
        return
    for key in keys:
        if key not in train.value:
            message = f"'{reader.name}' needs '{key}', and there is no {VALIDATION}."
            hint = f"Add {VALIDATION}, or '{key}' to {TRAIN}."
            look.findings.at(train, (), "MMAR609", message, hint=hint)


def _missing(look: Look, reader: ComponentDescription) -> None:
    if TRAIN in look.folder.files or look.findings.mentions(TRAIN):
        return  # it is there and could not be read, which was said
    message = f"'{reader.name}' needs {TRAIN}, which is missing."
    look.findings.add(
        "MMAR609", message, file=TRAIN, hint=elsewhere(look, TRAIN) or "Add the file."
    )
