# SPDX-License-Identifier: Apache-2.0
"""Takes values out of texts that leave a site: the level ``values`` of its redaction.

Hidden are numbers, quoted texts, paths, e-mail addresses, long hexadecimal words and network
addresses. Plain words stay, exception types among them, and so do places in the code of the
MMAR, which the server knows: a file that is there, and a line that it has. In doubt, more is
hidden.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from mmar_runner.security.redaction import LINE_LETTERS
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: What stands in place of a value.
HIDDEN: Final = "<...>"
#: The largest file of an MMAR whose lines are counted, in bytes.
_SOURCE_BYTES: Final = 1 << 20

_FRAME: Final = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d{1,6})\b')
_PLACE: Final = re.compile(r"(?<![\w./~-])(?P<path>[\w./-]+\.\w+):(?P<line>\d{1,6})\b")
#: The first of the signs that stand for places while everything else is hidden: private letters,
#: which no text that comes in still holds.
_SIGN: Final = 0xE000

_QUOTE: Final = re.compile(
    "[\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u300c\u300d]"
)
_STRAIGHT: Final = "\"'`"
#: An apostrophe within a word is none: "can't".
_APOSTROPHE: Final = re.compile(r"(?<=[^\W\d_]{2})['\u2019](?=(?:s|t|d|m|re|ve|ll)(?!\w))")
_FILE: Final = re.compile(
    r"\.(?:dcm|nii|gz|csv|tsv|jsonl?|xml|ya?ml|txt|log|html?|pdf|docx?|xlsx?|db|sqlite|npy|npz|"
    r"pth?|h5|hdf5|mat|mha|mhd|nrrd|png|jpe?g|bmp|gif|tiff?|svs|zip|tar|bin|dat)(?!\w)",
    re.IGNORECASE,
)
_KNOWN_WORD: Final = re.compile(r"(?:[a-z]+\.)*(?:b?float|u?int)(?:8|16|32|64)[.,:;]?")
_WORD: Final = re.compile(r"\S+")
_PART: Final = re.compile(r"[\w.,:;+%#-]+")
_DIGIT: Final = re.compile(r"\d")
_HEX: Final = re.compile(r"(?<!\w)(?:[0-9a-fA-F]{8,}(?!\w)|[0-9a-fA-F]{0,4}::[0-9a-fA-F:]*)")


def without_values(lines: Iterable[str], root: Path) -> list[str]:
    """Return lines without values.

    A quoted text that goes on in the next line is hidden with all its lines.

    Args:
        lines: What was said, the oldest first.
        root: The MMAR's folder.
    """
    places = _Places(root)
    found: list[str] = []
    in_quotes = False
    for line in lines:
        text, kept = places.taken_out(_plain(line))
        odd = _has_open_quote(text)
        if in_quotes and kept and not odd:
            in_quotes = False  # a frame of a traceback: what was quoted before is over
        found.append(HIDDEN if odd or in_quotes else places.put_back(_hidden(text), kept))
        in_quotes ^= odd
    return found


def _has_open_quote(text: str) -> bool:
    """Return True if quotes of one kind do not come in pairs; those that bend are one kind."""
    quotes = _QUOTE.findall(text)
    kinds = [quotes.count(kind) for kind in _STRAIGHT]
    return any(count % 2 for count in (*kinds, len(quotes) - sum(kinds)))


def _plain(line: str) -> str:
    """Return a line in which a sign that looks like another is that one, and none is invisible.

    The end of a line that is too long is left out, with the word that was cut in two.
    """
    text = unicodedata.normalize("NFKC", line[:LINE_LETTERS])
    if len(line) > LINE_LETTERS:
        text = text.rpartition(" ")[0]
    return _APOSTROPHE.sub("", "".join(map(_letter, text)))


def _letter(letter: str) -> str:
    """Return a letter; a number of another script as a digit, an invisible sign as a space."""
    if not letter.isascii() and letter.isnumeric():
        return "0"
    return letter if letter.isprintable() else " "


def _hidden(text: str) -> str:
    """Return a text with every value hidden, each step in time proportional to its length."""
    if quotes := list(_QUOTE.finditer(text)):
        text = f"{text[: quotes[0].start()]}{HIDDEN}{text[quotes[-1].end() :]}"
    text = _without_paths(text)
    text = _WORD.sub(lambda found: _without_numbers(found[0]), text)
    return _HEX.sub(HIDDEN, text)


def _without_paths(text: str) -> str:
    """Hide from the first word with a slash to the last: names of folders may have spaces."""
    slashes = [found for found in _WORD.finditer(text) if re.search(r"[\\/\u2044\u2215]", found[0])]
    if not slashes:
        return text
    return f"{text[: slashes[0].start()]}{HIDDEN}{text[slashes[-1].end() :]}"


def _without_numbers(word: str) -> str:
    """Return a word without numbers; nothing of an e-mail address, or of a file's name."""
    if "@" in word or _FILE.search(word):
        return HIDDEN
    return _PART.sub(lambda found: _without_number(found[0]), word)


def _without_number(part: str) -> str:
    return HIDDEN if _DIGIT.search(part) and not _KNOWN_WORD.fullmatch(part) else part


class _Places:
    """Knows which files and lines of an MMAR there are."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lines: dict[str, int] = {}

    def taken_out(self, text: str) -> tuple[str, list[str]]:
        """Return a text with a sign for every place of the MMAR's, and these places."""
        kept: list[str] = []

        def take(found: re.Match[str]) -> str:
            name, number = self._name(found["path"]), int(found["line"])
            if name is None or not 1 <= number <= self._count(name):
                return found[0]
            quoted = found[0].startswith("File ")
            kept.append(f'File "{name}", line {number}' if quoted else f"{name}:{number}")
            return chr(_SIGN + len(kept) - 1)

        return _PLACE.sub(take, _FRAME.sub(take, text)), kept

    def put_back(self, text: str, kept: list[str]) -> str:
        """Return a text with its places, where none of them was hidden with something else."""
        for index, place in enumerate(kept):
            text = text.replace(chr(_SIGN + index), place)
        return text

    def _name(self, path: str) -> str | None:
        """Return the name of a file within the MMAR; None if it is none of its."""
        prefix = f"{self._root}/"
        name = path.removeprefix(prefix)
        parts = name.split("/")
        outside = name.startswith("/") or ".." in parts or "" in parts
        return None if outside else name

    def _count(self, name: str) -> int:
        """Return how many lines a file of the MMAR has; 0 if it has no such file."""
        if name not in self._lines:
            self._lines[name] = _line_count(self._root / name)
        return self._lines[name]


def _line_count(path: Path) -> int:
    try:
        content = read_bounded(path, _SOURCE_BYTES)
    except (OSError, ValueError):
        return 0
    return 0 if len(content) > _SOURCE_BYTES else len(content.splitlines())
