# SPDX-License-Identifier: Apache-2.0
"""The mutants that no test can or should notice, and why, from ``explained.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why mutants of one line survive.

    Attributes:
        module: The module within the package, such as ``federation.plan``.
        text: The line, without the blanks around it.
        change: What was put in place of what; ``*`` for every change of that line.
        why: Why no test notices.
    """

    module: str
    text: str
    change: str
    why: str

    def fits(self, module: str, text: str, change: str) -> bool:
        """Return True if this is about that mutant."""
        return (self.module, self.text) == (module, text) and self.change in {"*", change}


def explanations() -> list[Explanation]:
    """Read ``explained.toml``."""
    return [Explanation(**entry) for entry in tomllib.loads(FILE.read_text())["explained"]]
