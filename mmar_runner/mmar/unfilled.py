# SPDX-License-Identifier: Apache-2.0
"""What a run still lacks: texts that are nothing but a variable that nobody defines.

Whoever checks a folder may leave such a variable to the sites; whoever runs it may not:
a component would get the text ``{DATA_ROOT}`` for a folder, and fail in the first round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.sources import CLIENT, SERVER, TRAIN

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.look import Look
    from mmar_runner.mmar.sources import Side

#: The files that a side builds its components from.
_FILES: Final[dict[Side, frozenset[str]]] = {
    "server": frozenset({SERVER}),
    "client": frozenset({CLIENT, TRAIN}),
    "all": frozenset({SERVER, CLIENT, TRAIN}),
}


def unfilled(look: Look) -> tuple[Finding, ...]:
    """Return what was found of undefined variables that are a whole text of this side.

    Those that are errors of the MMAR itself are not among them. A variable within a longer
    text is left alone: braces may stand there for something else.
    """
    places = {
        (document.file, pointer_text(path))
        for document in look.files.documents()
        if document.file in _FILES[look.side]
        for path in document.unresolved & document.substituted.keys()
    }
    return tuple(
        found
        for found in look.findings.with_code("MMAR301")
        if found.severity is Severity.WARNING and (found.file, found.pointer) in places
    )
