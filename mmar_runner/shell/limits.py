# SPDX-License-Identifier: Apache-2.0
"""How much one shell command takes, looks at and gives."""

from __future__ import annotations

from typing import Final

#: Words of one command, its name among them, and letters of one word.
MOST_WORDS: Final = 64
WORD_LETTERS: Final = 4096
#: Folders that a path may lead through, and that ``ls -R`` goes down.
DEPTH: Final = 32
#: Bytes of an output, its last lines about what was left out among them.
OUTPUT_BYTES: Final = 262_144
#: Bytes of an output that are kept for those lines, how many they are, and letters of one.
NOTE_BYTES: Final = 4096
NOTES: Final = 3
NOTE_LETTERS: Final = 250
#: Bytes of a file that are looked at, and lines: a file of empty ones takes a second or two.
LOOKED_AT_BYTES: Final = 67_108_864
LOOKED_AT_LINES: Final = 2_000_000
#: Bytes of a file among which no NUL may be if it is to count as text.
TEXT_BYTES: Final = 8192
#: Bytes that are read at once, and of a line those among which ``grep`` looks.
PIECE_BYTES: Final = 65_536
#: Entries that ``ls`` lists.
ENTRIES: Final = 10_000
