# SPDX-License-Identifier: Apache-2.0
"""Writing an upgraded MMAR: a new folder, whole or not at all, and never the old one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import UsageError
from mmar_runner.mmar.checks.secrets import holds_key
from mmar_runner.security.packages.sink import whole_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.mmar.folder import MmarFolder

_MODELS: Final = "models/"
_FOLDER_MODE: Final = 0o755


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
        What was left out, each with the reason. A signature is never among the files that are
        looked at: it would be of other content.

    Raises:
        StorageError: It cannot be written.
    """
    left_out = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        out.rmdir()
    with whole_folder(out) as new:
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
