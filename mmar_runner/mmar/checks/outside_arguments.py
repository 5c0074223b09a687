# SPDX-License-Identifier: Apache-2.0
"""Arguments of an MMAR that name something outside it.

Judged is every text, keys too, as it is handed over: its variables replaced by the same
means and from the same values. What a site gives by ``--set`` is the site's own word, as
far as it names a folder and the MMAR something in it; all else is the MMAR's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.mmar.sources.configuration import CLIENT, ENVIRONMENT, SERVER
from mmar_runner.mmar.sources.site_text import lies_below, mmar_leaves
from mmar_runner.mmar.sources.substitution import with_parts

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.sources.configuration import Sources

#: What nobody is handed of the federated files: the server's address, which a start-up kit
#: gives, and a pattern of tensor names that the server itself reads.
_NO_ARGUMENT: Final = {SERVER: ("servers", "exclude_vars"), CLIENT: ("servers",)}
#: Text that adds nothing but a folder to one variable.
_BELOW: Final = re.compile(r"\{(\w+)\}(/[^{}]*)?")


def outside_arguments(
    files: Sources, documents: list[Document]
) -> Iterator[tuple[Document, JsonPath, str]]:
    """Yield document, place and text of every argument that leaves the MMAR.

    Args:
        files: All files, for what they say of variables.
        documents: Those whose arguments are asked for.
    """
    told = dict(_in_environment(files))
    for name, text in told.items():
        yield files.parsed[ENVIRONMENT], (name,), text
    for document in documents:
        for path, text in _texts(document.value, (), _NO_ARGUMENT.get(document.file, ())):
            origin = document.origin(path)
            if not mmar_leaves(text, document.site_parts.get(origin, ())):
                continue
            written = files.parsed[document.file].get(origin)
            replaced = len(origin) == 1 and told.get(str(origin[0])) == text
            if not replaced and not _was_told(text, written, told):
                yield document, path, text


def _in_environment(files: Sources) -> Iterator[tuple[str, str]]:
    """Yield name and text of every variable of the MMAR's that is handed over and leaves."""
    variables = files.variables
    for name, (value, parts) in with_parts(variables).items():
        theirs = name in variables.environment and name not in variables.settings
        if theirs and isinstance(value, str) and mmar_leaves(value, parts):
            yield name, value


def _was_told(text: str, written: Any, told: Mapping[str, str]) -> bool:
    """Return True if a text only adds to a variable of which it was said that it leaves."""
    below = _BELOW.fullmatch(written) if isinstance(written, str) else None
    folder = told.get(below[1]) if below else None
    return folder is not None and lies_below(text, folder)


def _texts(value: Any, path: JsonPath, left_out: Container[str]) -> Iterator[tuple[JsonPath, str]]:
    """Yield every text and every key, but what is left out at the top."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            if key in left_out:
                continue
            yield (*path, key), key
            yield from _texts(child, (*path, key), ())
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*path, index), ())
