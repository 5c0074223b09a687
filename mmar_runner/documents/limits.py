# SPDX-License-Identifier: Apache-2.0
"""What an MMAR may cost to read, as named values."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Ceilings on what is read from a folder that somebody else wrote.

    Attributes:
        json_bytes: Size of one JSON file.
        text_bytes: Size of one other text file that is looked into.
        file_bytes: Size of any one file outside ``models/``.
        total_bytes: Size of all files together, ``models/`` left out.
        files: Number of files, ``models/`` and hidden ones too.
        folder_depth: Levels of folders below the root.
        json_depth: Levels of nesting in one JSON file.
        json_values: Values (of any type) in one JSON file.
        number_digits: Characters of one JSON number.
        syntax_errors: Syntax errors reported for one JSON file.
    """

    json_bytes: int = 8 * _MIB
    text_bytes: int = 1 * _MIB
    file_bytes: int = 512 * _MIB
    total_bytes: int = 2048 * _MIB
    files: int = 10_000
    folder_depth: int = 16
    json_depth: int = 64
    json_values: int = 500_000
    number_digits: int = 300
    syntax_errors: int = 20


DEFAULT_LIMITS = ReadingLimits()
