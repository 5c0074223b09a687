# SPDX-License-Identifier: Apache-2.0
"""What a run still lacks: values of variables that nobody defines.

Whoever checks a folder may leave such a variable to the sites; whoever runs it may not:
a component would get the text ``{DATA_ROOT}`` for a folder, and fail in the first round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import pointer_text
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.document import VARIABLE
from mmar_runner.mmar.sources.configuration import CLIENT, SERVER, TRAIN

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.sources.configuration import Side

#: The files that a side builds its components from.
_FILES: Final[dict[Side, frozenset[str]]] = {
    "server": frozenset({SERVER}),
    "client": frozenset({CLIENT, TRAIN}),
    "all": frozenset({SERVER, CLIENT, TRAIN}),
}


def unfilled(look: Look) -> tuple[Finding, ...]:
    """Return what was found of undefined variables without which this side cannot work.

    These are texts that are nothing but the variable, and variables in capitals, as a place
    is named in ``{DATA_ROOT}/cases.csv``. Others within a longer text are left alone: braces
    may stand there for something else, as in ``epoch {epoch}``. Errors of the MMAR itself are
    not among them.
    """
    documents = [d for d in look.files.documents() if d.file in _FILES[look.side]]
    unresolved = {(d.file, pointer_text(path)) for d in documents for path in d.unresolved}
    alone = {(d.file, pointer_text(path)) for d in documents for path in d.substituted}
    return tuple(
        found
        for found in look.findings.with_code("MMAR301")
        if found.severity is Severity.WARNING
        and (place := (found.file, found.pointer)) in unresolved
        and (place in alone or _in_capitals(found))
    )


def _in_capitals(found: Finding) -> bool:
    return any(name.isupper() for name in VARIABLE.findall(found.message))
