# SPDX-License-Identifier: Apache-2.0
r"""Arguments that name files: which leave the MMAR, and which of those a site allows.

What counts is not only what the operating system would make of a text, but also what a
library may: it may strip it, expand it, decode it, or take it for a list. Of a text that is
read in some other way nothing is known; what a plugin makes of its own arguments is its
own responsibility.
"""

from __future__ import annotations

import json
import posixpath
import re
import unicodedata
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESS: Final = re.compile(r"://|^(?:file|data|javascript|jar|zip)\s*:", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[/\\]")
#: Drive letters and UNC names; a regular expression may begin with one backslash.
_WINDOWS: Final = re.compile(r"^(?:[A-Za-z]:[\\/]|\\\\)")
#: What a shell, or a careful library, turns into a folder of the site.
_EXPANDED: Final = re.compile(r"^~[\w.-]*(?:/|$)|\$\{|\$\w|%[A-Za-z_]\w+%|^%\w+%")
#: A path within a longer text: an item of a list, an option's value, something quoted.
_WITHIN: Final = re.compile(
    r"[\s,;:=|\"'`<>&@(\[{](?:/(?=[^\W\d]|[._~-])|~(?:[A-Za-z_][\w.-]*)?/|\.\.[/\\])"
    r"|[/\\]\.\.(?=[\s,;:=|\"'`<>&@)\]}])"
)
#: A dot or a separator as the source of a program would write it.
_ESCAPED: Final = re.compile(r"\\(?:x(?:2[eEfF]|5[cC])|u00(?:2[eEfF]|5[cC])|0?(?:56|57|134)|N\{)")
#: What looks like a slash, and that a library may take for one.
_SLASHES: Final = str.maketrans(dict.fromkeys("\u2044\u2215\u29f8\uff0f", "/"))
_BACKSLASHES: Final = str.maketrans(dict.fromkeys("\u2216\u29f5\u29f9\uff3c", "\\"))
#: Control characters and the space.
_ASCII_BLANK: Final = "".join(map(chr, (*range(33), 127)))
#: Texts within texts, and encodings of encodings; nobody who is honest nests them deeper.
_NESTING: Final = 8


def leaves_folder(text: str) -> bool:
    """Return True if a text names something outside the MMAR and the run, or may do so."""
    return _leaves(text, _NESTING)


def _leaves(text: str, depth: int) -> bool:
    if text.isalnum() and text.isascii():
        return False
    plain = text if text.isascii() else _as_seen(text)
    bare = stripped(plain)
    return (
        "\0" in text
        or bare.startswith("/")
        or any(_climbs(part) for part in _SEPARATORS.split(bare))
        or any(form.search(bare) for form in (_ADDRESS, _WINDOWS, _EXPANDED, _WITHIN, _ESCAPED))
        or (bare[:1] in {"[", "{", '"'} and _json_leaves(bare, depth))
        or ("%" in bare and _decoded_leaves(bare, depth))
    )


def _as_seen(text: str) -> str:
    """Return a text with what only looks different from a dot or a separator."""
    return unicodedata.normalize("NFKC", text).translate(_SLASHES).translate(_BACKSLASHES)


def stripped(text: str) -> str:
    """Return a text without spaces and invisible characters at its ends."""
    if text.isascii():
        return text.strip(_ASCII_BLANK)
    end = "".join(dropwhile(_is_blank, reversed(text)))
    return "".join(dropwhile(_is_blank, reversed(end)))


def _is_blank(character: str) -> bool:
    return unicodedata.category(character)[0] in "CZ"


def _climbs(part: str) -> bool:
    """Return True if a part of a path is ``..``, or becomes it when tidied."""
    return "." in part and "".join(c for c in part if not _is_blank(c)) == ".."


def _decoded_leaves(text: str, depth: int) -> bool:
    """Return True if a text leaves when it is decoded as in an address, once or again."""
    decoded = unquote(text)
    return decoded != text and (depth == 0 or _leaves(decoded, depth - 1))


def _json_leaves(text: str, depth: int) -> bool:
    """Return True if a text is JSON that holds a text that leaves."""
    try:
        value = json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return depth == 0 or any(_leaves(inner, depth - 1) for inner in _texts(value))


def _texts(value: Any) -> Iterable[str]:
    """Yield every key and every text of a JSON value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list):
            pending += item


def allowed_argument(text: str, data_folders: Iterable[str]) -> bool:
    """Return True if what `leaves_folder` found is in one of a site's folders after all.

    Args:
        text: The argument.
        data_folders: Absolute folders.
    """
    if text != stripped(text) or "\\" in text or not _only_climbs(text.lstrip("/")):
        return False  # a backslash is a name here, and a separator to a library
    plain = posixpath.normpath(text)
    if not posixpath.isabs(text):
        return plain != ".." and not plain.startswith("../")
    if ".." in text.split("/"):
        return False  # behind a link in a site's folder it leads who knows where
    return any(_within(plain, posixpath.normpath(folder)) for folder in data_folders)


def _only_climbs(text: str) -> bool:
    """Return True for a relative path of which nothing but ``..`` may lead out."""
    return not leaves_folder("/".join("x" if part == ".." else part for part in text.split("/")))


def _within(path: str, folder: str) -> bool:
    # normpath keeps two leading slashes, as POSIX allows; here they are one.
    path, folder = (f"/{text.lstrip('/')}" for text in (path, folder))
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
