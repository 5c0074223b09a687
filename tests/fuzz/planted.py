# SPDX-License-Identifier: Apache-2.0
"""A search with a defect planted, so that a test can see it found."""

from __future__ import annotations

from dataclasses import replace

from tests.fuzz import guided
from tests.fuzz.target import Target


def planted(module: str, name: str) -> Target:
    """Return a target with a reader that stumbles."""
    return replace(guided.load(module, name), run=_stumble)


def _stumble(data: bytes) -> None:
    if b"!" in data:
        raise KeyError(data)


if __name__ == "__main__":
    guided.main(planted)
