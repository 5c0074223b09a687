# SPDX-License-Identifier: Apache-2.0
"""The folder in which an algorithm works: a copy of the MMAR that it may write to.

An MMAR as it was accepted is read-only. Algorithms save beside what they read, and what they
saved is still there when their process is started again in the same run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from mmar_runner.storage.atomic import translated

_NAME: Final = "app"
#: What of an MMAR no algorithm reads; checkpoints are large.
_LEFT_OUT: Final = frozenset({"models"})


def app_folder(mmar: Path, workspace: Path) -> Path:
    """Return the folder; it is made if it is not there.

    Args:
        mmar: The MMAR's root.
        workspace: The folder of this client and run.

    Raises:
        StorageError: It cannot be written.
    """
    folder = workspace / _NAME
    if folder.is_dir():
        return folder
    partial = workspace / f"{_NAME}.part"
    with translated(partial):
        if partial.exists():
            shutil.rmtree(partial)
        _copy(mmar, partial)
        partial.replace(folder)
    return folder


def _copy(source: Path, destination: Path) -> None:
    # Not copytree: it would copy the modes, by which nothing could be written.
    for place, folders, files in os.walk(source):
        below = Path(place).relative_to(source)
        if place == str(source):
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
        folders[:] = [name for name in folders if not (Path(place) / name).is_symlink()]
        (destination / below).mkdir(parents=True, exist_ok=True)
        for name in files:
            if (Path(place) / name).is_file():
                shutil.copyfile(Path(place) / name, destination / below / name)
