# SPDX-License-Identifier: Apache-2.0
"""New folders from the templates that ship with the program.

A template is a folder of ``*.tmpl`` files. In their names and their text, ``@key@`` is
replaced; there is nothing else to it. A plugin is made from two: what every plugin has, and
what one of its kind has beside that, where ``about.json`` holds values for the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import mmar_runner
from mmar_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUFFIX: Final = ".tmpl"
_KINDS: Final = "plugin_kinds"


def template_folder() -> Path:
    """Return the folder that holds the templates, in the wheel and in the repository."""
    return Path(mmar_runner.__file__).parent / "_data" / "templates"


def template_text(name: str) -> str:
    """Return the text of one template in which nothing is replaced."""
    return (template_folder() / f"{name}{_SUFFIX}").read_text("utf-8")


def plugin_kinds() -> Sequence[str]:
    """Return the kinds of components of which a plugin can be begun, sorted."""
    return sorted(path.name for path in (template_folder() / _KINDS).iterdir())


def write_plugin(kind: str, destination: Path, values: Mapping[str, str]) -> Sequence[Path]:
    """Write a plugin with a component of a kind into a new folder and return the files, sorted.

    Args:
        kind: One of `plugin_kinds`.
        destination: The folder; it must not be there, or be empty.
        values: What replaces ``@key@``, beside what is said of the kind.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
    """
    template = f"{_KINDS}/{kind}"
    about = json.loads((template_folder() / template / "about.json").read_text("utf-8"))
    # What is said of the kind holds keys of the other values.
    return write_template(("plugin", template), destination, {**about, **values})


def write_template(
    templates: Sequence[str], destination: Path, values: Mapping[str, str]
) -> Sequence[Path]:
    """Write templates into a new folder and return the files, sorted.

    Args:
        templates: Their names; no two have the same file.
        destination: The folder; it must not be there, or be empty.
        values: What replaces ``@key@``, one after the other.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        message = f"{destination} exists and is not an empty folder"
        raise UsageError(message, hint="choose another name, or move it away")
    written = []
    for source in (template_folder() / template for template in templates):
        for path in source.rglob(f"*{_SUFFIX}"):
            name = _filled(str(path.relative_to(source)).removesuffix(_SUFFIX), values)
            written.append(_write(destination / name, _filled(path.read_text("utf-8"), values)))
    return sorted(written)


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
