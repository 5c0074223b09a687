# SPDX-License-Identifier: Apache-2.0
"""What a command says: bounded, and fit for any terminal."""

from __future__ import annotations

from dataclasses import dataclass

from mmar_runner.documents.words import printable
from mmar_runner.shell.limits import NOTE_BYTES, NOTE_LETTERS, NOTES, OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class ShellOutput:
    """The whole output of one command.

    Attributes:
        text: Lines; tabs and line breaks aside, nothing that a terminal would obey. At most
            256 KiB in UTF-8.
        truncated: Whether something was left out; the text's last lines say what.
    """

    text: str
    truncated: bool = False


class Page:
    """What a command has written so far.

    Attributes:
        limit: The most bytes that are kept, in UTF-8; what comes after is counted.
    """

    def __init__(self, limit: int = OUTPUT_BYTES - NOTE_BYTES) -> None:
        self.limit = limit
        self._parts: list[str] = []
        self._size = 0
        self._left_out = 0
        self._notes: dict[str, None] = {}  # the same is said once

    @property
    def full(self) -> bool:
        """Whether nothing more is kept."""
        return self._size >= self.limit or self._left_out > 0

    def write(self, text: str) -> None:
        """Add a text, or as much of it as there is room for."""
        data = shown(text).encode()
        kept = b"" if self._left_out else data[: self.limit - self._size]
        # A letter that is cut through is left out whole.
        letters = kept.decode(errors="ignore")
        self._parts.append(letters)
        self._size += len(kept)
        self._left_out += len(data) - len(kept)

    def write_end(self, text: str) -> None:
        """Add a text, or as much of its end as there is room for."""
        data = shown(text).encode()
        most = self.limit - self._size
        if len(data) > most:
            self.note(f"the first {len(data) - most} bytes of this were left out")
            data = data[len(data) - most :]
        self.write(data.decode(errors="ignore"))

    def leave_out(self, size: int) -> None:
        """Count bytes that would have come, had there been room."""
        self._left_out += size

    def note(self, sentence: str) -> None:
        """Say at the end what else is missing."""
        line = printable(sentence)
        self._notes[line if len(line) <= NOTE_LETTERS else f"{line[: NOTE_LETTERS - 1]}…"] = None

    def finished(self) -> ShellOutput:
        """Return the whole."""
        notes = list(self._notes)
        if len(notes) > NOTES:
            notes[NOTES:] = [f"and {len(notes) - NOTES} more such notes"]
        if self._left_out:
            notes.insert(0, f"cut here: {counted_bytes(self._left_out)} more were left out")
        text = "".join(self._parts)
        if notes and text and not text.endswith("\n"):
            text += "\n"
        return ShellOutput(text + "".join(f"[{note}]\n" for note in notes), bool(notes))


def shown(text: str) -> str:
    """Return a text that a terminal shows and does not obey; tabs and line breaks stay."""
    if text.isprintable():
        return text
    lines = (line.split("\t") for line in text.split("\n"))
    return "\n".join("\t".join(map(printable, parts)) for parts in lines)


def counted_bytes(size: int) -> str:
    """Return ``1 byte`` or ``3000000 bytes``."""
    return f"{size} byte" if size == 1 else f"{size} bytes"
