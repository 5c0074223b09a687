# SPDX-License-Identifier: Apache-2.0
"""Where parts of a workflow may write: below the client's workspace, and nowhere else.

Archives name folders relative to themselves, such as ``models``. Whatever is written there
belongs to one run at one site, and never into the MMAR. A site's data are named to an archive
too, by variables, so that it can read them: nothing that it declares may lead there to write.
One function decides, for parts of every kind and for what a bundle calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmar_runner.errors import TaskFailedError

#: Arguments of MONAI's and Ignite's parts that name a folder to write to.
FOLDERS: Final = (
    *("save_dir", "log_dir", "logdir", "output_dir", "cache_dir", "dirname", "folder_path"),
    *("work_dir", "algo_path", "save_handler"),
)
#: Those that name a file to be written by its whole path, or the beginning of such a path.
PATHS: Final = ("mapping_file_path", "output_path", "base_path", "plan_path")
#: Those that name a file in a folder that another argument names.
FILES: Final = ("filename", "final_filename", "key_metric_filename", "filename_pattern")
#: Those that become a part of a file's name.
PIECES: Final = (
    *("file_prefix", "filename_prefix", "filename_suffix", "output_postfix", "output_ext"),
    *("output_format", "key_metric_name", "score_name", "comment", "postfix", "extension"),
)
#: By which suffixes a file is data: nothing imports it, or runs it, by its name.
SUFFIXES: Final = (
    *("bmp", "ckpt", "csv", "dcm", "gz", "jpeg", "jpg", "json", "jsonl", "log", "mha", "mhd"),
    *("nii", "npy", "npz", "nrrd", "plan", "png", "pt", "safetensors", "tif", "tiff", "tsv"),
    *("txt", "yaml", "yml"),
)
_SUFFIX: Final = "|".join(SUFFIXES)
#: The same as regular expressions of JSON Schema, by which a name is found before it is used.
_LETTERS: Final = r"[^/\\\u0000-\u001f]"
_NO_WAY_UP: Final = r"^(?!(.*/)?\.\.(/|$))[^\u0000-\u001f]*"
PIECE_PATTERN: Final = rf"^{_LETTERS}*$"
FILE_PATTERN: Final = rf"^(?!\.){_LETTERS}+\.({_SUFFIX}|\{{ext\}})$"
LABEL_PATTERN: Final = rf"^(?!\.){_LETTERS}+$"
EXTENSION_PATTERN: Final = rf"^\.?(nii\.gz|{_SUFFIX})?$"
FOLDER_PATTERN: Final = rf"{_NO_WAY_UP}$"
PATH_PATTERN: Final = rf"{_NO_WAY_UP}\.({_SUFFIX})$"
PATTERNS: Final[Mapping[str, str]] = {
    **dict.fromkeys(FOLDERS, FOLDER_PATTERN),
    **dict.fromkeys(FILES, FILE_PATTERN),
    **dict.fromkeys(PIECES, PIECE_PATTERN),
    **dict.fromkeys(("output_ext", "output_format", "extension"), EXTENSION_PATTERN),
    **dict.fromkeys(PATHS, PATH_PATTERN),
}
_NAME_HINT: Final = f"write one name without a folder; files end in .{', .'.join(SUFFIXES)}"
_FOLDER_HINT: Final = "name a folder relative to the MMAR, such as MMAR_CKPT_DIR: models"
_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Place:
    """Where something may be written.

    Attributes:
        workspace: The folder of this client and run; the only one.
        mmar: What is written below this folder goes to the same place below the workspace.
    """

    workspace: Path
    mmar: Path | None = None


def writes(arguments: Mapping[str, Any]) -> bool:
    """Return whether a part with such arguments writes files."""
    return any(isinstance(arguments.get(name), str) for name in (*FOLDERS, *PATHS))


def inside_workspace(what: str, arguments: Mapping[str, Any], place: Place) -> dict[str, str]:
    """Return the arguments that say where a part writes, leading into the workspace.

    The folders are made. An argument that is left out means the process's folder, which is the
    workspace.

    Args:
        what: The part's name.
        arguments: Of the part.
        place: Where it may write.

    Raises:
        TaskFailedError: One of them leads elsewhere, or is no plain name.
    """
    for name in (*FOLDERS, *PATHS, *FILES, *PIECES):
        _require_plain(what, name, arguments.get(name))
    found = {name: _path(what, name, arguments, place) for name in (*FOLDERS, *PATHS)}
    return {name: str(path) for name, path in found.items() if path is not None}


def require_plain_label(what: str, label: str) -> None:
    """Refuse a metric's label that is no plain name: handlers name files after it.

    Raises:
        TaskFailedError: It is none.
    """
    if not re.fullmatch(LABEL_PATTERN, label):
        raise TaskFailedError(f"{what} may not be called {_short(label)}", hint=_NAME_HINT)


def close_layouts() -> None:
    """Let images be written nowhere but below the folder that was named for them.

    MONAI puts an image where its input lies relative to ``data_root_dir``; if the input is
    elsewhere, that leads out of the folder, and to the input itself.
    """
    from monai.data import folder_layout  # noqa: PLC0415 - it imports torch

    named = folder_layout.create_file_basename
    if not hasattr(named, "closed"):
        folder_layout.create_file_basename = _Layout(named)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names a file as MONAI does, below its folder."""

    named: Any
    closed: bool = True

    def __call__(self, *, folder_path: Any, makedirs: bool = True, **given: Any) -> Any:
        """Return the name; its folder is made.

        Raises:
            TaskFailedError: It leads out of the folder.
        """
        name = self.named(folder_path=folder_path, makedirs=False, **given)
        if not _real(Path(name)).is_relative_to(_real(Path(folder_path))):
            message = f"an image would be written to {name}, outside {folder_path}"
            raise TaskFailedError(message, hint="leave data_root_dir out")
        return self.named(folder_path=folder_path, makedirs=makedirs, **given)


def _require_plain(what: str, name: str, value: Any) -> None:
    if value is None or (name in {"save_handler", "extension"} and not isinstance(value, str)):
        return
    pattern = PATTERNS[name]
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        names = name in FILES or name in PIECES
        message = f"{what} may not write where '{name}' leads: {_short(value)}"
        if not names and ".." in str(value):
            message = f"{message}, outside the client's workspace"
        raise TaskFailedError(message, hint=_NAME_HINT if names else _FOLDER_HINT)


def _path(what: str, name: str, arguments: Mapping[str, Any], place: Place) -> Path | None:
    written = arguments.get(name)
    if not isinstance(written, str):
        return None
    whole = _inside(f"{what} ('{name}')", written, place)
    (whole if name in FOLDERS else whole.parent).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        if isinstance(arguments.get(file), str) and (whole / arguments[file]).is_symlink():
            raise _elsewhere(what, str(whole / arguments[file]))
    return whole


def _inside(what: str, written: str, place: Place) -> Path:
    path = Path(written)
    if place.mmar is not None and path.is_relative_to(place.mmar):
        path = path.relative_to(place.mmar)
    root = place.workspace.resolve()
    whole = _real(root / path)
    if not whole.is_relative_to(root):
        raise _elsewhere(what, written)
    return whole


def _real(path: Path) -> Path:
    """Return a path with every link followed.

    Raises:
        TaskFailedError: It cannot be, such as one that links to itself.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _elsewhere("a part of the workflow", str(path)) from error


def _elsewhere(what: str, written: str) -> TaskFailedError:
    message = f"{what} would write to {_short(written)}, outside the client's workspace"
    return TaskFailedError(message, hint=_FOLDER_HINT)


def _short(value: object) -> str:
    return ascii(str(value)[:_SHOWN])
