# SPDX-License-Identifier: Apache-2.0
"""What a policy must know of an MMAR, gathered from its files and never from its word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.checks.outside_arguments import outside_arguments
from mmar_runner.mmar.sources.configuration import CLIENT, SERVER
from mmar_runner.security.decision import Place
from mmar_runner.security.policy.mmar_facts import MmarFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.bundles import BundleFacts
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.checks.entry_points import Commands
    from mmar_runner.mmar.document import Document

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
#: Last parts of a dotted text that name a file rather than a class.
_FILE_SUFFIXES: Final = frozenset(
    {"csv", "gz", "h5", "jpg", "json", "nii", "npy", "npz", "pb", "png", "pt", "tsv", "txt"}
    | {"ckpt", "config", "log", "md", "onnx", "parquet", "safetensors", "ts", "yaml", "yml"}
)


def gather_facts(look: Look, digest: str, bundles: BundleFacts, commands: Commands) -> MmarFacts:
    """Return what a policy must know, as far as the side in question uses it.

    Args:
        look: The MMAR, after every check.
        digest: sha256 over all its files.
        bundles: What the bundles in it ask for.
        commands: Every command that it declares: text and place.
    """
    documents = [d for d in look.files.documents() if d.file not in _of_others(look)]
    named = [(dotted, place_of(d, path)) for d, path, dotted in look.resolver.paths]
    for document in documents:
        named += _unchecked_paths(look, document)
    outside = [
        (text, place_of(document, path))
        for document, path, text in outside_arguments(look.files, documents)
    ]
    judged_as_code = {*bundles.expressions, *(one for one in outside if _in(one[1], commands))}
    return MmarFacts(
        name=look.folder.root.name,
        digest=digest,
        code=tuple(look.byoc.code_files),
        datalists=tuple(
            Place(f.file, f.line, f.column, f.pointer) for f in look.findings.with_code("MMAR615")
        ),
        # Some are looked at twice.
        class_paths=tuple(dict.fromkeys([*named, *bundles.class_paths])),
        path_arguments=(
            *(one for one in outside if one not in judged_as_code),
            *bundles.path_arguments,
        ),
        expressions=tuple(bundles.expressions),
        commands=commands,
    )


def place_of(document: Document, path: JsonPath) -> Place:
    """Return where a present value stands in its file as it is on disk."""
    origin = document.origin(path)
    line, column = document.source.locate(origin)
    return Place(document.file, line, column, pointer_text(origin))


def _in(place: Place, commands: Commands) -> bool:
    """Return True for a place in a command: the whole of it, or one of its words."""
    return any(
        place.file == of.file and f"{place.pointer}/".startswith(f"{of.pointer}/")
        for _, of in commands
    )


def _of_others(look: Look) -> set[str]:
    return {"server": {CLIENT}, "client": {SERVER}}.get(look.side, set())


def _unchecked_paths(look: Look, document: Document) -> Iterator[tuple[str, Place]]:
    """Yield class paths where nothing is known of a declaration, such as a trainer's own keys.

    A trainer may build whatever looks like a declaration, so it counts as one.
    """
    known = {path for other, path, _ in look.resolver.paths if other is document}
    for path, text in _paths(document.value, ()):
        if path in known or not _DOTTED.fullmatch(text):
            continue
        if text.rpartition(".")[2].lower() in _FILE_SUFFIXES or look.resolver.knows(text):
            continue
        if look.byoc.problem(text) is not None:
            yield text, place_of(document, path)


def _paths(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Yield the text of every key ``path`` at any depth."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "path" and isinstance(child, str):
                yield (*path, key), child
            else:
                yield from _paths(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _paths(child, (*path, index))
