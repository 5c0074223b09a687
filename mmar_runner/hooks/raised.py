# SPDX-License-Identifier: Apache-2.0
"""What is told of an exception that a component raised."""

from __future__ import annotations

from pathlib import Path

_WHERE = "a relative path begins in the component's own working folder: give a whole one, from /"


def told(error: BaseException) -> str:
    """Return an exception's type and sentence.

    A file that is looked for by a relative path is not where whoever wrote the path stood:
    that is said, since the bare message names a file that is there.
    """
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    file = error.filename if isinstance(error, FileNotFoundError) else None
    if isinstance(file, str) and file and not Path(file).is_absolute():
        return f"{said}; {_WHERE}"
    return said
