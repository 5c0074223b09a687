# SPDX-License-Identifier: Apache-2.0
"""Do the workflow files fit the components that will read them?

What a trainer (or a model persistor) expects in ``config_train.json`` is stated by its
plugin in ``extras``: ``train_schema``, a JSON Schema, and ``train_parts``, component
kinds by JSON pointer pattern, such as ``{"/train/metrics/*": "metric"}``; for
``config_validation.json`` likewise, in ``validation_schema`` and ``validation_parts``.
The files of a trainer that is not installed are checked by the general schemas only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import did_you_mean
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import is_off
from mmar_runner.mmar.checks.elsewhere import elsewhere
from mmar_runner.mmar.checks.needs import check_needs
from mmar_runner.mmar.checks.packages import check_packages
from mmar_runner.mmar.checks.places import children, is_reference, places
from mmar_runner.mmar.sources.configuration import TRAIN, VALIDATION, check_shape

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved, Resolver
    from mmar_runner.mmar.document import Document


def check_train(look: Look) -> None:
    """Check training and validation files."""
    for reader in _readers(look):
        _check_for(look, reader)
    _references(look)


def bring_up_to_date(look: Look) -> None:
    """Bring older arguments in training and validation files up to date, as `check_train` does."""
    files = {"train": look.files.train, "validation": look.files.validation}
    for reader in _readers(look):
        for what, document in files.items():
            if document is not None:
                resolve_parts(look.resolver, document, reader, what)


def _readers(look: Look) -> list[ComponentDescription]:
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
        if is_off(document.get(path)) and _required(schema, path):
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


def _switched_off(
    look: Look, document: Document, path: JsonPath, reader: ComponentDescription
) -> None:
    if not isinstance(document.get(path), dict):
        return  # whose type is wrong, which was said
    message = f"'{path[-1]}' is empty or switched off, and '{reader.name}' needs it."
    look.findings.at(document, path, "MMAR516", message, hint="Declare it.")


def _required(schema: Any, path: JsonPath) -> bool:
    """Return True if a schema requires the last key of a path."""
    for part in path[:-1]:
        schema = (schema or {}).get("properties", {}).get(part)
    return path[-1] in (schema or {}).get("required", ())


def _missing_section(look: Look, reader: ComponentDescription) -> None:
    """A validator without a file of its own reads the section of the training file."""
    train = look.files.train
    required = reader.extras.get("validation_schema", {}).get("required", ())
    if train is None or VALIDATION in look.folder.files:
        return
    for key in required:
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


def _references(look: Look) -> None:
    """Check every ``{"ref": "Name"}`` against the names and ``Name#Alias`` labels.

    A reference leads to what its own file names, and from the validation file to what the
    training file names too: where a part stands, for nothing else was checked.
    """
    named: dict[str, tuple[Document, JsonPath]] = {}
    files = {"train": look.files.train, "validation": look.files.validation}
    for what, document in files.items():
        if document is None:
            continue
        objects = list(_objects(document.value, ()))
        parts = _places_of_parts(look, document, what)
        for path, item in objects:
            if parts is None or path in parts:
                named.update(dict.fromkeys(_labels(item), (document, (*path, "name"))))
        for path, item in objects:
            reference = item.get("ref")
            if isinstance(reference, str) and is_reference(item):
                _reference(look, document, (*path, "ref"), reference, named)


def _places_of_parts(look: Look, document: Document, what: str) -> set[JsonPath] | None:
    """Return where a file holds parts; None if no reader of it says where they stand."""
    stated = [
        reader.extras[f"{what}_parts"]
        for reader in _readers(look)
        if reader.extras.get(f"{what}_parts")
    ]
    if not stated:
        return None
    return {path for patterns in stated for one in patterns for path in places(document.value, one)}


def _labels(item: Mapping[str, Any]) -> set[str]:
    name = item.get("name")
    if not isinstance(name, str):
        return set()
    base, _, alias = name.partition("#")
    return {name, base, alias} - {""}


def _reference(
    look: Look,
    document: Document,
    path: JsonPath,
    name: str,
    named: Mapping[str, tuple[Document, JsonPath]],
) -> None:
    if name in named or document.is_unresolved(path):
        return
    if look.findings.has_at(document, path[:-1]):
        return  # no reference may stand there at all, which was said
    near = get_close_matches(name, named, n=1)
    if near and look.findings.is_wrong_at(*named[near[0]]):
        return  # it is right, and the name that it means is misspelt, which was said
    hint = did_you_mean(name, named)
    message = f"Nothing is named or labelled '{name}'."
    look.findings.at(document, path, "MMAR517", message, hint=hint)


def _objects(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Mapping[str, Any]]]:
    """Yield every object of a value, with its path."""
    if isinstance(value, dict):
        yield path, value
    for part, child in children(value):
        yield from _objects(child, (*path, part))
