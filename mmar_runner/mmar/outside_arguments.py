# SPDX-License-Identifier: Apache-2.0
"""Arguments of an MMAR that name something outside it.

What a site gives by ``--set`` is the site's own word and no argument of the MMAR; what
the MMAR's environment.json gives is the MMAR's, as soon as an argument uses it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.mmar.declarations import is_off
from mmar_runner.mmar.sources import ENVIRONMENT
from mmar_runner.mmar.variables import VARIABLE
from mmar_runner.security.policy.path_arguments import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.sources import Sources

_COMMENT: Final = ("_", "//", "#", "comment")
#: Keys whose text is no argument: addresses and certificates, which the start-up kit
#: gives, and patterns of tensor names.
_NO_ARGUMENT: Final = re.compile(r"servers|ssl_.*|exclude_vars")
#: Text that adds nothing but a folder to one variable.
_BELOW: Final = re.compile(r"\{(\w+)\}(/[^{}]*)?")
#: What stands for a folder of the site's.
_HERE: Final = "."
#: Variables within variables; more of them are a circle, which is a finding of its own.
_DEPTH: Final = 16


def outside_arguments(
    files: Sources, documents: list[Document]
) -> Iterator[tuple[Document, JsonPath, str]]:
    """Yield document, place and text of every argument that leaves the MMAR.

    Args:
        files: All files, for what they say of variables.
        documents: Those whose arguments are asked for.
    """
    told: set[str] = set()
    environment = files.parsed.get(ENVIRONMENT)
    if environment is not None:
        for name in sorted(files.variables.used - files.variables.settings.keys()):
            value = environment.value.get(name)
            if isinstance(value, str) and leaves_folder(value):
                told.add(name)
                yield environment, (name,), value
    for document in documents:
        yield from _in_document(files, document, told)


def _in_document(
    files: Sources, document: Document, told: set[str]
) -> Iterator[tuple[Document, JsonPath, str]]:
    raw = files.parsed[document.file]
    scope = {k: v for k, v in raw.value.items() if isinstance(v, str)}
    scope |= {k: v for k, v in files.variables.environment.items() if isinstance(v, str)}
    scope |= dict.fromkeys(files.variables.settings, _HERE)
    for path, text in _strings(document.value, ()):
        if not leaves_folder(text):
            continue
        origin = document.origin(path)
        written = raw.get(origin)
        if not isinstance(written, str):
            written = text
        if len(origin) == 1 and origin[0] in files.variables.settings:
            continue  # a value of the file's own that the site replaced
        below = _BELOW.fullmatch(written)
        if below and below[1] in told and ".." not in (below[2] or ""):
            continue  # said where the variable is defined
        if leaves_folder(_replaced(written, scope)):
            yield document, path, text


def _replaced(text: str, scope: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with the MMAR's own variables; those of the site are one folder."""
    if depth > _DEPTH:
        return text
    return VARIABLE.sub(
        lambda m: _replaced(scope[m[1]], scope, depth + 1) if m[1] in scope else m[0], text
    )


def _strings(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Yield every text that may be an argument, but what is switched off."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        if value and is_off(value):
            return
        for key, child in value.items():
            if not key.startswith(_COMMENT) and not _NO_ARGUMENT.fullmatch(key):
                yield from _strings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*path, index))
