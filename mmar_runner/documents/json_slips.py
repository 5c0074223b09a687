# SPDX-License-Identifier: Apache-2.0
"""Usual slips in JSON that people write by hand, and what was meant by them."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import Final

#: What people write where something was left out.
LEFT_OUT: Final = "..."
#: What programs leave in a file that they did not finish.
NUL: Final = "\0"
NUL_MEND: Final = "Remove the NUL byte; few editors show it."
#: What else may be the mend where the file ends too early.
CUT_OFF: Final = ", or take the whole file anew, if it was cut off"
#: Quotes that text programs make of plain ones.
TYPOGRAPHIC: Final = "\u201c\u201d\u201e\u201f\u2018\u2019\u00ab\u00bb"
#: A string in such quotes, which often end with a plain one.
TYPOGRAPHIC_STRING: Final = rf"[{TYPOGRAPHIC}]([^{TYPOGRAPHIC}\"\n]*)[{TYPOGRAPHIC}\"]"
#: The literals as other languages write them.
LITERAL_SLIPS: Final = MappingProxyType(
    {
        "True": True,
        "False": False,
        "None": None,
        "TRUE": True,
        "FALSE": False,
        "NULL": None,
    }
)
_MERGE_MARK: Final = r"^[ \t]*(?:<{7} |={7}$|>{7} )"
_SPACES: Final = frozenset("\u200b\u200c\u200d\u2060\ufeff")
_BASES: Final = MappingProxyType({"0x": 16, "0o": 8, "0b": 2})


def merge_mark(text: str) -> int | None:
    """Return where the first mark of an unfinished merge stands, or None."""
    if "<<<<<<< " not in text and ">>>>>>> " not in text:
        return None
    found = re.search(_MERGE_MARK, text, re.MULTILINE)
    return None if found is None else found.start()


def strange_space(char: str) -> str | None:
    """Return the name of a character that looks like a space and is none in JSON, or None."""
    if not (char in _SPACES or char.isspace()):
        return None
    return unicodedata.name(char, f"character U+{ord(char):04X}").lower()


def strange_spaces(text: str, at: int) -> int:
    """Return where a row of such characters ends."""
    while text[at : at + 1] and strange_space(text[at]) is not None:
        at += 1
    return at


def number_hint(word: str) -> str:
    """Return how a number is written in JSON that was written as elsewhere."""
    plain = word.lstrip("+").replace("_", "")
    base = _BASES.get(plain[:2].lower())
    try:
        if base is not None:
            return f"Write {int(plain, base)}."
        if re.fullmatch(r"-?0[0-9]+", plain):
            return f"Write {int(plain)}."
        if re.fullmatch(r"-?[0-9]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?", plain):
            return (
                f"Write {float(plain)!r}."
                if "." in plain or "e" in plain.lower()
                else f"Write {plain}."
            )
    except ValueError:
        pass
    return "Write digits, or put quotes around it if it is text."
