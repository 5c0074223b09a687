# SPDX-License-Identifier: Apache-2.0
"""Writing an upgraded MMAR: a new folder, whole or not at all, and never the old one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import MmarInvalidError, UsageError
from mmar_runner.mmar.checks.secrets import holds_key
from mmar_runner.mmar.reports.as_json import finding_json
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.packages.sink import whole_folder
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

_MODELS: Final = "models/"
_FOLDER_MODE: Final = 0o755
#: There is more than is looked at: what was listed is not the archive.
_TOO_MUCH: Final = "MMAR106"


def require_free(out: Path, source: Path) -> None:
    """Refuse a folder that holds something, and one within the archive.

    Raises:
        UsageError: It does.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        hint = "choose another name, or move it away"
        raise UsageError(f"{out} exists and is not an empty folder", hint=hint)
    if out.resolve().is_relative_to(source):
        raise UsageError(f"{out} lies within the archive", hint="name a folder outside it")


def unlisted(survey: Findings) -> dict[str, str]:
    """Return what of an archive is not looked at and so not copied, each with the reason.

    Raises:
        MmarInvalidError: That is not known, since there is too much.
    """
    for finding in survey.with_code(_TOO_MUCH):
        raise MmarInvalidError(finding.message, hint=finding.hint, findings=[finding_json(finding)])
    return {finding.file: finding.message for finding in survey.result(strict=False)}


def write_upgraded(
    folder: MmarFolder, texts: Mapping[str, str], out: Path, *, models: bool
) -> dict[str, str]:
    """Write a folder's files into another one, some of them anew.

    Args:
        folder: The archive.
        texts: New content by file.
        out: The new folder: not there, or empty.
        models: Whether what lies in ``models/`` is copied.

    Returns:
        What was left out, each with the reason.

    Raises:
        StorageError: It cannot be written.
    """
    left_out: dict[str, str] = {}
    if os.path.lexists(folder.root / SIGNATURE_FILE):
        left_out[SIGNATURE_FILE] = "it is of the files as they were"
    with translated(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
    with whole_folder(out) as new, translated(out):
        new.chmod(_FOLDER_MODE)
        for file in folder.contents:
            reason = _reason(folder, file, models=models)
            if reason is not None:
                left_out[file] = reason
                continue
            target = new / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in texts:
                target.write_text(texts[file], "utf-8")
            else:
                _copy(folder, file, target)
    return left_out


def _reason(folder: MmarFolder, file: str, *, models: bool) -> str | None:
    """Return why a file is left out, or None."""
    if file.startswith(_MODELS) and not models:
        return "models were not asked for"
    return "it holds a private key" if holds_key(folder, file) else None


def _copy(folder: MmarFolder, file: str, target: Path) -> None:
    """Copy a file's content, and whether it may be executed."""
    with folder.open(file) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    target.chmod((folder.root / file).stat().st_mode & 0o755 | 0o600)
