# SPDX-License-Identifier: Apache-2.0
"""Where a file of ``config/`` lies that is not where it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import did_you_mean
from mmar_runner.mmar.sources.configuration import (
    CLIENT,
    ENVIRONMENT,
    SERVER,
    TRAIN,
    VALIDATION,
    VALIDATION_CKPT,
)

if TYPE_CHECKING:
    from mmar_runner.mmar.checks.case import Look

#: The files of ``config/`` that somebody reads.
KNOWN: Final = frozenset({CLIENT, ENVIRONMENT, SERVER, TRAIN, VALIDATION, VALIDATION_CKPT})


def elsewhere(look: Look, file: str) -> str | None:
    """Return a hint if a file seems to lie in a wrong place or to have a misspelt name."""
    name = file.rpartition("/")[2]
    found = [f for f in look.folder.files if f.rpartition("/")[2] == name]
    if found:
        return f"Move {found[0]} to config/."
    if (look.folder.root / file).is_dir():
        return f"{file} is a folder; put the file there in its place."
    strange = [f for f in look.folder.files if f.startswith("config/") and f not in KNOWN]
    near = did_you_mean(name, [f.rpartition("/")[2] for f in strange])
    return f"{near} Rename it." if near else None
