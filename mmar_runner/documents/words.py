# SPDX-License-Identifier: Apache-2.0
"""Words for sentences: pointers, numbers of things, what is fit to be shown or was meant."""

from __future__ import annotations

import unicodedata
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mmar_runner.documents.json_source import JsonPath

#: How much less alike than the nearest word another suggestion may be.
_AS_NEAR = 0.1
#: Known words that are compared: each costs some 20 microseconds, and a stranger may name many.
_MOST_KNOWN = 500
_KIB = 1024
_MINUTE = 60
_HOUR = 3600
#: The longest time in seconds, and the most bytes, that are put into words.
_LONGEST, _MOST_BYTES = 1e12, 1e18


def pointer_text(path: JsonPath) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the nearest known words, as they may be shown, or None."""
    lowered = {name.lower(): name for name in islice(known, _MOST_KNOWN)}
    near = get_close_matches(word.lower(), lowered, n=3, cutoff=0.6)
    if not near:
        return None
    likeness = {n: SequenceMatcher(None, word.lower(), n).ratio() for n in near}
    least = max(likeness.values()) - _AS_NEAR
    names = [f"'{printable(lowered[name])}'" for name in near if likeness[name] >= least]
    return f"Did you mean {' or '.join(names)}?{strange_letter(word, lowered[near[0]])}"


def strange_letter(word: str, meant: str | None) -> str:
    """Return a sentence, or nothing, about a letter that only looks like the one that was meant.

    Such are letters of other scripts, and characters that nobody sees.
    """
    at = next((i for i, char in enumerate(word) if not char.isascii()), None)
    if at is None or meant is None or not meant.isascii():
        return ""
    pairs = zip(word.lower(), meant.lower(), strict=False)
    replaced = len(word) == len(meant) and all(a == b for a, b in pairs if a.isascii())
    added = "".join(char for char in word if char.isascii()).lower() == meant.lower()
    if not replaced and not added:
        return ""
    name = unicodedata.name(word[at], "")
    shown = f"U+{ord(word[at]):04X}{f' ({name.lower()})' if name else ''}"
    mend = "remove it" if added else f"write '{meant[at]}'"
    return f" Character {at + 1} is {shown}: {mend}."


def printable(text: str) -> str:
    """Return a text as one line that a terminal shows and does not obey.

    Whatever is not printable is escaped: control characters, line breaks of every kind, and
    those that turn the direction of writing or cannot be seen.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: float, noun: str) -> str:
    """Return ``1 client`` or ``3 clients``."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def human_bytes(count: float) -> str:
    """Return a number of bytes in the unit that keeps it short: ``95.4 MiB``."""
    count = max(-_MOST_BYTES, min(count, _MOST_BYTES))  # a stranger may say any number
    if count < _KIB:
        return f"{count:.0f} B"
    unit = "KiB"
    for unit in ("KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the last unit is used below
        count /= _KIB
        if count < _KIB:
            break
    return f"{count:.1f} {unit}"


def human_seconds(seconds: float) -> str:
    """Return a duration as people say it: ``12 ms``, ``3.4 s``, ``2 min 05 s``, ``1 h 02 min``."""
    seconds = max(-_LONGEST, min(seconds, _LONGEST))  # a stranger may say any number
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:02.0f} s"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:02.0f} min"


def some_of(names: Sequence[str], most: int) -> str:
    """Return the first of some names: ``north, south and 3 more``; empty if there is none.

    Args:
        names: All of them, in order.
        most: How many are named.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def same_command(*, new_run: bool) -> str:
    """Say which command resumes a run: the same, but for the word that begins a new one."""
    return "the same command without --new-run" if new_run else "the same command"
