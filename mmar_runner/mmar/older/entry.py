# SPDX-License-Identifier: Apache-2.0
"""One older name, and how class paths of older systems are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Packages of the older systems: what lies below them is known by its class name alone.
PACKAGES: Final = ("medl", "nvflare", "fed_learn", "ai4med", "dlmed", "nvmidl")
_CLASS_PATH: Final = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)*\.([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Older:
    """An older name and what became of it; exactly one of the last three says it.

    Attributes:
        name: The class name that archives declare.
        what: What it is: the value of a component kind, or words for what has none here.
        generations: The generations that know it.
        became: The component that does it now.
        needs_nothing: Why nothing is needed in its place.
        instead: What to do without it; it is not available.
        differs: How what became of it works differently, in a sentence; empty if it does not.
        cause: What names have in common that are missed together: one finding for all.
    """

    name: str
    what: str
    generations: str
    became: str = ""
    needs_nothing: str = ""
    instead: str = ""
    differs: str = ""
    cause: str = ""


def class_of(path: object) -> str | None:
    """Return the class name of a class path of an older system; None for any other text."""
    found = _CLASS_PATH.fullmatch(path) if isinstance(path, str) else None
    return found[1] if found else None


def older_name(declaration: object) -> str | None:
    """Return by which class name a declaration can be known as an older system's, or None.

    As with any component a path counts more than a name.
    """
    if not isinstance(declaration, dict):
        return None
    if "path" in declaration:
        return class_of(declaration["path"])
    name = declaration.get("name")
    return name if isinstance(name, str) else None
