# SPDX-License-Identifier: Apache-2.0
"""New folders from the templates that ship with the program.

A template is a folder of ``*.tmpl`` files. In their names and their text, ``@key@`` is
replaced; there is nothing else to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import mmar_runner
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUFFIX: Final = ".tmpl"


def template_folder() -> Path:
    """Return the folder that holds the templates, in the wheel and in the repository."""
    return Path(mmar_runner.__file__).parent / "_data" / "templates"


def write_template(template: str, destination: Path, values: Mapping[str, str]) -> Sequence[Path]:
    """Write a template into a new folder and return the files, sorted.

    Args:
        template: The template's name.
        destination: The folder; it must not be there, or be empty.
        values: What replaces ``@key@``.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        message = f"{destination} exists and is not an empty folder"
        raise UsageError(message, hint="choose another name, or move it away")
    source = template_folder() / template
    written = []
    for path in sorted(source.rglob(f"*{_SUFFIX}")):
        name = _filled(str(path.relative_to(source)).removesuffix(_SUFFIX), values)
        written.append(_write(destination / name, _filled(path.read_text("utf-8"), values)))
    return written


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
