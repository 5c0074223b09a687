# SPDX-License-Identifier: Apache-2.0
"""Keeps MONAI from doing what a configuration must not be able to ask for.

A few of its classes take an argument for the path of something to call, for leave to load
objects out of files, or to fetch something. An archive is data: what runs is what the site
installed.
"""

from __future__ import annotations

import pydoc
import sys
from collections.abc import Mapping
from typing import Any, Final

from mmar_runner.errors import NotAuthorizedError

#: Where classes may be that MONAI looks up by themselves: readers of images.
_READERS: Final = "monai.data."
#: Arguments that make a part fetch something, or load objects that run code.
_REFUSED: Final = ("allow_pickle", "download", "pretrained")


def require_harmless(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments by which a part would do more than work on data.

    Args:
        name: Of the part.
        arguments: As declared.

    Raises:
        NotAuthorizedError: COMPONENT_NOT_ALLOWED.
    """
    for argument in _REFUSED:
        if arguments.get(argument):
            raise NotAuthorizedError(
                f"{name} may not have '{argument}' from an MMAR",
                hint=f"leave '{argument}' out, or write false",
                reason="COMPONENT_NOT_ALLOWED",
            )


def close_lookups() -> None:
    """Let MONAI find by a path only what reads images, in every module that looks things up."""
    for name, module in list(sys.modules.items()):
        if name.startswith("monai.") and getattr(module, "locate", None) is pydoc.locate:
            module.locate = _reader  # type: ignore[attr-defined]


def _reader(path: str, *_: Any, **__: Any) -> Any:
    found = pydoc.locate(path) if path.startswith(_READERS) else None
    inside = isinstance(found, type) and found.__module__.startswith(_READERS)
    return found if inside else None
