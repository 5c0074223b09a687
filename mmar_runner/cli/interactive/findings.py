# SPDX-License-Identifier: Apache-2.0
"""What a server found wrong with an MMAR that was handed to it, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.cli.output import say

if TYPE_CHECKING:
    from mmar_runner.errors import MmarInvalidError

#: Findings that are shown; ``--json`` has them all.
_MOST: Final = 100


def say_findings(error: MmarInvalidError) -> None:
    """Say what was found, place and mend, on standard error."""
    if len(error.findings) == 1:
        return  # the error's sentence says it
    for found in error.findings[:_MOST]:
        place = ":".join(str(found[key]) for key in ("file", "line", "column") if key in found)
        say(f"{place}: {found.get('code', 'finding')}: {found.get('message', '')}", err=True)
        if found.get("hint"):
            say(f"    hint: {found['hint']}", err=True)
    if (more := len(error.findings) - _MOST) > 0:
        say(f"and {more} more: --json has them all", err=True)
