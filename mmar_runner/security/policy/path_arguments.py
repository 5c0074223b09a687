# SPDX-License-Identifier: Apache-2.0
"""Arguments that name files: which leave the MMAR, and which of those a site allows."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESS: Final = re.compile(r"://|^\s*(?:file|data|javascript|jar|zip)\s*:", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[/\\]")
#: Drive letters and UNC names; a regular expression may begin with one backslash.
_WINDOWS: Final = re.compile(r"^\s*(?:[A-Za-z]:[\\/]|\\\\)")
#: What a shell, or a careful library, turns into a folder of the site.
_EXPANDED: Final = re.compile(r"^\s*(?:~[\w.-]*(?:/|$)|\$\{?\w+\}?(?:/|$)|%\w+%)")


def leaves_folder(text: str) -> bool:
    """Return True if a text names something outside the MMAR and the run, or may do so."""
    return (
        "\0" in text
        or text.lstrip().startswith("/")
        or ".." in _SEPARATORS.split(text.strip())
        or any(form.search(text) for form in (_ADDRESS, _WINDOWS, _EXPANDED))
    )


def allowed_argument(text: str, data_folders: Iterable[str]) -> bool:
    """Return True if what `leaves_folder` found is in one of a site's folders after all.

    Args:
        text: The argument.
        data_folders: Absolute folders.
    """
    if "\0" in text or "\\" in text or text != text.strip() or _ADDRESS.search(text):
        return False
    plain = posixpath.normpath(text)
    if not posixpath.isabs(text):
        inside = plain != ".." and not plain.startswith("../")
        return inside and not _EXPANDED.search(text)
    return any(_within(plain, posixpath.normpath(folder)) for folder in data_folders)


def _within(path: str, folder: str) -> bool:
    # normpath keeps two leading slashes, as POSIX allows; here they are one.
    path, folder = (f"/{text.lstrip('/')}" for text in (path, folder))
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
