# SPDX-License-Identifier: Apache-2.0
"""Whose word a text is: the MMAR's, or that of the site that gave a setting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mmar_runner.security.policy.path_arguments import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.mmar.document import TextPart

#: A setting that may be a folder: not empty, not the root, no half of an address.
_FOLDER: Final = re.compile(r".*[^/:\s]/*", re.DOTALL)


def mmar_leaves(text: str, parts: Iterable[TextPart] = ()) -> bool:
    """Return True if an MMAR names something outside itself by a text.

    Args:
        text: The text, its variables replaced.
        parts: What it was put together from, if a setting of the site is among it.
    """
    return leaves_folder(text) and not _is_the_sites(text, [part for part in parts if part.text])


def lies_below(text: str, folder: str) -> bool:
    """Return True if a text is another one, or that and an ordinary path in it."""
    below = text[len(folder) :]
    joined = not below or folder.endswith("/") or below.startswith("/")
    return text.startswith(folder) and joined and not leaves_folder(below.lstrip("/"))


def _is_the_sites(text: str, parts: list[TextPart]) -> bool:
    """Return True for a folder that the site gave, and for what lies in it."""
    if not parts or not parts[0].of_site or "".join(part.text for part in parts) != text:
        return False
    folder = parts[0].text
    return text == folder or (_FOLDER.fullmatch(folder) is not None and lies_below(text, folder))
